"""How a step fails: one ``PROVENDER_ERROR`` line, the same in the run's folder, and an exit code that decides retry."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from provender.errors import ProvenderError, StorageError, TerminalError
from provender.models.runs import write_failure

ERROR_MARK = "PROVENDER_ERROR"
_LOG_LINES = 40


@contextmanager
def reported(step: str, output_uri: str, run_name: str) -> Iterator[None]:
    """Reports what the block raises, and ends the process with the error's exit code.

    Of what is not an error of ours, only the system's (:class:`OSError`) is worth another try.
    """
    try:
        yield
    except Exception as error:  # noqa: BLE001 (whatever it is, whoever awaits the run has to learn of it)
        known = error if isinstance(error, ProvenderError) else _unexpected(step, error)
        log = "".join(traceback.format_exception(error)[-_LOG_LINES:])
        print(log, file=sys.stderr)
        print(f"{ERROR_MARK} {json.dumps(known.to_dict())}", file=sys.stderr, flush=True)
        _write(output_uri, run_name, step, known, log)
        sys.exit(known.exit_code)


def _unexpected(step: str, error: Exception) -> ProvenderError:
    kind = StorageError if isinstance(error, OSError) else TerminalError
    return kind(
        f"step {step} failed: {type(error).__name__}: {error}",
        where=f"step {step} of the training pipeline",
        not_affected="whatever serves now",
        remedy="the traceback is in the step's log",
    )


def _write(output_uri: str, run_name: str, step: str, error: ProvenderError, log: str) -> None:
    try:
        write_failure(output_uri, run_name, step, error.to_dict(), log)
    except (ProvenderError, OSError) as unwritable:
        print(f"the error could not be written to {output_uri}: {unwritable}", file=sys.stderr, flush=True)

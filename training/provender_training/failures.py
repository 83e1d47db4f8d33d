"""How a step fails: its traceback, a failure document in the model's folder, and an exit code that decides retry."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from provender.errors import ProvenderError, StorageError, TerminalError
from provender.failures import Failure, leave_failure, traceback_of


@contextmanager
def reported(step: str, output_uri: str, run_name: str) -> Iterator[None]:
    """Reports what the block raises, and ends the process with the error's exit code.

    Of what is not an error of ours, only the system's (:class:`OSError`) is worth another try.
    """
    try:
        yield
    except Exception as error:  # noqa: BLE001 (whatever it is, whoever awaits the run has to learn of it)
        known = error if isinstance(error, ProvenderError) else _unexpected(step, error)
        log = traceback_of(error)
        print(log, file=sys.stderr)
        print(known, file=sys.stderr, flush=True)
        leave_failure(output_uri, Failure(run_name, known, step, log))
        sys.exit(known.exit_code)


def _unexpected(step: str, error: Exception) -> ProvenderError:
    kind = StorageError if isinstance(error, OSError) else TerminalError
    return kind(
        f"step {step} failed: {type(error).__name__}: {error}",
        where=f"step {step} of the training pipeline",
        not_affected="whatever serves now",
        remedy="the traceback is in the step's log",
    )

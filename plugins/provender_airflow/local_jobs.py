"""What Spark applications and training runs share: the process of this machine, and the error one reports."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from provender.errors import ProvenderError, error_from_dict

ERROR_PREFIX = "PROVENDER_ERROR "
_TAIL_BYTES = 64 * 1024


def environment(**added: str) -> dict[str, str]:
    """The task's environment without what says that it is a task: the process is one of its own."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_CTX_", "_AIRFLOW"))
    }
    return {**inherited, "PYTHONUNBUFFERED": "1", **added}


def last_lines(log: Path) -> list[str]:
    """The log's last 64 KiB, line by line."""
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - _TAIL_BYTES))
        return stream.read().decode("utf-8", errors="replace").splitlines()


def reported_error(log: Path) -> ProvenderError | None:
    """What the log's last ``PROVENDER_ERROR`` line says."""
    return error_in(last_lines(log))


def error_in(lines: Sequence[str]) -> ProvenderError | None:
    """What the last ``PROVENDER_ERROR`` line of a log says."""
    for line in reversed(lines):
        if line.startswith(ERROR_PREFIX):
            try:
                return error_from_dict(json.loads(line.removeprefix(ERROR_PREFIX)))
            except ValueError:
                return None
    return None

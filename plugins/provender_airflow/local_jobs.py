"""What Spark applications and training runs share: the process of this machine."""

from __future__ import annotations

import os
from pathlib import Path

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

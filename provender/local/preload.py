"""What the ``airflow_local_settings`` of ``provender up`` runs in each of Airflow's processes at its start.

Imports that every task needs are made once in the scheduler, from which the task processes are forked.

Measured on two cores: a worker's first task 2.6 s → 0.3 s, staging a small file 2.4 s → 0.4 s. Only other
people's libraries: our own code is read again by each task, so that an edit counts at once.
"""

from __future__ import annotations

import importlib
import sys
from functools import wraps
from typing import Any

_MODULES = (
    "airflow.sdk.execution_time.supervisor",
    "airflow.sdk.execution_time.task_runner",
    "airflow.dag_processing.dagbag",
    "psutil",
    "pyarrow.csv",
    "pyarrow.dataset",
    "pyarrow.parquet",
    "pydantic",
    "yaml",
)

SQLITE_ARGUMENTS = {"timeout": 30}
"""How many seconds a writer of Airflow's database waits for another one (5 if not told)."""


_HOST = "127.0.0.1"


def host_name() -> str:
    """Return the name under which Airflow's processes find one another's log servers (``core.hostname_callable``)."""
    return _HOST


def on_loopback() -> None:
    """Make Airflow's log servers, of the scheduler and the triggerer, listen on 127.0.0.1.

    Airflow 3.3 has a port for each in its settings, but no address: ``airflow.utils.serve_logs`` runs uvicorn with
    ``host=""``, which is all of them. In a process that serves no logs nothing changes.
    """
    import uvicorn

    original = uvicorn.run
    if getattr(original, "is_on_loopback", False):
        return

    @wraps(original)
    def run(app: Any, **options: Any) -> None:
        if isinstance(app, str) and app.startswith("airflow.utils.serve_logs"):
            options["host"] = _HOST
        original(app, **options)

    run.is_on_loopback = True  # type: ignore[attr-defined]
    uvicorn.run = run


def in_scheduler() -> None:
    """Import :data:`_MODULES` in the scheduler; does nothing in other processes."""
    if "scheduler" in sys.argv[1:2]:
        for name in _MODULES:
            importlib.import_module(name)

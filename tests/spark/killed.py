"""A job that ends by SIGKILL at a step of one's choice, in a process of its own.

run_killed(project, "ingest", ["2026-01-03"], "provender.tables.tables:DeltaTable.replace", after=1)
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Any

from tests.engine import CHECKOUT, Project


def run_killed(
    project: Project,
    job: str,
    keys: list[str],
    step: str,
    *,
    before: int = 0,
    after: int = 0,
    attempt: str,
    ahead_seconds: float = 0,
) -> None:
    """Runs ``job`` (stage, ingest, materialize) of source ``readings`` until it has come right before, or right
    after, the n-th call of ``step`` (``module:function`` or ``module:Class.method``). An ingest's clock is
    ``ahead_seconds`` ahead."""
    order = {
        "repo": str(project.settings.repo),
        "job": job,
        "keys": keys,
        "attempt": attempt,
        "step": step,
        "before": before,
        "after": after,
        "ahead_seconds": ahead_seconds,
    }
    command = [sys.executable, "-m", "tests.spark.killed", json.dumps(order)]
    ended = subprocess.run(command, cwd=CHECKOUT, capture_output=True, timeout=120)
    assert ended.returncode == -signal.SIGKILL, (step, ended.stdout.decode(), ended.stderr.decode())


def _dying(function: Callable[..., Any], before: int, after: int) -> Callable[..., Any]:
    calls = 0

    @wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == before:
            os.kill(os.getpid(), signal.SIGKILL)
        result = function(*args, **kwargs)
        if calls == after:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return wrapped


def _main(order: dict[str, Any]) -> None:
    from provender.intervals import Partition
    from provender.settings import load_settings
    from provender.specs.catalog import Catalog

    settings = load_settings(order["repo"])
    source = Catalog.load(settings.repo).source("readings")
    partitions = [Partition.parse(source.cadence, key) for key in order["keys"]]
    module_name, _, path = order["step"].partition(":")
    owner: Any = importlib.import_module(module_name)
    *classes, name = path.split(".")
    for each in classes:
        owner = getattr(owner, each)
    setattr(owner, name, _dying(getattr(owner, name), order["before"], order["after"]))
    if order["job"] == "stage":
        from provender.staging import stage

        stage(settings, source, partitions, order["attempt"])
    elif order["job"] == "ingest":
        from provender.ingestion.ingest import ingest

        ahead = timedelta(seconds=order["ahead_seconds"])
        ingest(settings, "readings", partitions, order["attempt"], clock=lambda: datetime.now(UTC) + ahead)
    else:
        from provender.materialization.run import materialize

        materialize(settings, "readings", order["attempt"])


if __name__ == "__main__":
    _main(json.loads(sys.argv[1]))

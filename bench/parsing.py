"""How long a DAG file with 500 sources takes to parse, beyond importing Airflow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from bench.repos import CHECKOUT, many_sources_repo
from bench.results import Result, median

SOURCES = 500
TARGET_SECONDS = 1.0
_RUNS = 5

_PROGRAM = """
import json, sys, time
started = time.perf_counter()
import airflow.sdk
imported = time.perf_counter()
sys.path.insert(0, {plugins!r})
import runpy
found = runpy.run_path({dag_file!r})
parsed = time.perf_counter()
dags = [name for name in found if name.startswith("features__")]
print(json.dumps({{"airflow": imported - started, "parse": parsed - imported, "dags": len(dags)}}))
"""


def run(folder: Path) -> list[Result]:
    """A cold parse (specs read from YAML) and warm ones (compiled specs)."""
    settings = many_sources_repo(folder / "parsing", SOURCES)
    measured = [_parse(settings.repo, folder) for _ in range(_RUNS + 1)]
    if any(found["dags"] != SOURCES for found in measured):
        raise RuntimeError(f"expected {SOURCES} DAGs, found {[found['dags'] for found in measured]}")
    cold, warm = measured[0]["parse"], median([found["parse"] for found in measured[1:]])
    imports = median([found["airflow"] for found in measured])
    return [
        _result("parse 500 sources, first time", cold, imports, 1),
        _result("parse 500 sources, again", warm, imports, _RUNS),
    ]


def _result(name: str, ours: float, imports: float, runs: int) -> Result:
    target = f"under {TARGET_SECONDS:g} s beyond the import"
    return Result(
        name, "s", ours, imports, "importing Airflow", ours / imports, target, ours < TARGET_SECONDS, runs
    )


def _parse(repo: Path, folder: Path) -> dict[str, float]:
    program = _PROGRAM.format(
        plugins=str(CHECKOUT / "plugins"), dag_file=str(CHECKOUT / "dags" / "features.py")
    )
    environment = {**os.environ, "PROVENDER_REPO": str(repo), "AIRFLOW_HOME": str(folder / "airflow")}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found

"""``examples/own_dag`` is a DAG that Airflow takes, with features that exist."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine import CHECKOUT

pytestmark = pytest.mark.airflow
PARSE = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(sys.argv[1])
found = bag.dags["weekly_features"].tasks
tasks = {task.task_id: [type(task).__name__, sorted(task.downstream_task_ids)] for task in found}
print(json.dumps({"errors": bag.import_errors, "tasks": tasks}))
"""


def test_airflow_reads_it(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "PYTHONPATH": str(CHECKOUT / "plugins"),
    }
    command = [sys.executable, "-c", PARSE, str(CHECKOUT / "examples/own_dag")]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout.splitlines()[-1])
    assert document["errors"] == {}
    assert document["tasks"] == {
        "online": ["MaterializeOperator", ["features"]],
        "features": ["HistoricalFeaturesOperator", []],
    }

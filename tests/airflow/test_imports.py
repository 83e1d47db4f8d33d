"""What loading plugins and parsing DAG files brings into a process, each in a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.airflow.conftest import CHECKOUT

pytestmark = pytest.mark.airflow

LOAD_PLUGINS = """
import json, sys
from airflow import plugins_manager
plugins, errors = plugins_manager._get_plugins()
import feast, kubernetes, redis
print(json.dumps({
    "plugins": [plugin.name for plugin in plugins], "errors": errors,
    "files": [module.__file__ for module in (feast, kubernetes, redis)],
    "loaded": [name for name in ("operators", "retry", "docs", "spark", "partitions") if name in sys.modules],
}))
"""

PARSE_DAGS = """
import json, socket, sys
def refuse(*args, **kwargs):
    raise AssertionError(f"a DAG file connects: {args}")
socket.socket.connect = socket.create_connection = refuse
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(sys.argv[1])
print(json.dumps({
    "dags": sorted(bag.dags), "errors": bag.import_errors,
    "heavy": sorted({"pyspark", "feast", "redis", "duckdb", "deltalake", "pandas", "pyarrow", "kubernetes"}
                    & sys.modules.keys()),
}))
"""


def run(code: str, tmp_path: Path, *arguments: str, **variables: str) -> dict[str, Any]:
    environment = {
        **os.environ,
        **variables,
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(CHECKOUT / "plugins"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(CHECKOUT / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    }
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return document


def test_after_the_plugins_are_loaded_the_libraries_are_still_the_libraries(tmp_path: Path) -> None:
    loaded = run(LOAD_PLUGINS, tmp_path)
    assert loaded["errors"] == {}
    assert "provender" in loaded["plugins"]
    assert all("site-packages" in file for file in loaded["files"]), loaded["files"]
    assert loaded["loaded"] == []


def test_dag_files_import_nothing_heavy_and_connect_to_nothing(tmp_path: Path) -> None:
    parsed = run(PARSE_DAGS, tmp_path, str(CHECKOUT / "dags"))
    assert parsed["errors"] == {}
    assert parsed["heavy"] == []
    assert {"features__flights", "features__weather", "features__driver_statistics"} <= set(parsed["dags"])


def test_dag_files_parse_although_the_registry_is_nowhere(tmp_path: Path) -> None:
    """With the cluster's settings: the registry's URL is in a variable, which is not even set here."""
    repo = tmp_path / "feature_defs"
    shutil.copytree(CHECKOUT / "feature_defs", repo)
    settings = yaml.safe_load((CHECKOUT / "deploy/kubernetes/feature_store.yaml").read_text())
    assert settings["registry"]["path"] == "${PROVENDER_REGISTRY}"
    settings["provender"]["storage_root"] = "../storage"
    (repo / "feature_store.yaml").write_text(yaml.safe_dump(settings))
    parsed = run(PARSE_DAGS, tmp_path, str(CHECKOUT / "dags"), PROVENDER_REPO=str(repo))
    assert parsed["errors"] == {} and parsed["heavy"] == []
    assert {"features__flights", "model__flight_delay", "upkeep"} <= set(parsed["dags"])

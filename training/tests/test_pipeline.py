"""The compiled pipeline: up to date, and run as it stands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import planted
import pyarrow.parquet as pq
import pytest
import yaml
from conftest import TRAINING

from provender.errors import TrainingSetError
from provender.failures import read_failure
from provender.model_registry.artifact import read_artifact
from provender.storage import local_path

COMPILED = TRAINING / "pipeline.yaml"


def test_the_compiled_pipeline_is_up_to_date(tmp_path: Path) -> None:
    again = tmp_path / "pipeline.yaml"
    subprocess.run(
        [sys.executable, str(TRAINING / "pipeline.py"), str(again)], check=True, capture_output=True
    )
    assert again.read_text() == COMPILED.read_text(), (
        "compile it: training/.venv/bin/python training/pipeline.py"
    )


def test_every_step_has_the_workspace_and_the_secret_and_is_never_taken_from_a_cache() -> None:
    spec, platform = yaml.safe_load_all(COMPILED.read_text())
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert executors.keys() == spec["deploymentSpec"]["executors"].keys()
    for executor in executors.values():
        assert executor["pvcMount"][0]["pvcNameParameter"] == {"componentInputParameter": "workspace_claim"}
        assert executor["secretAsVolume"][0]["optional"] is True
    assert all(not task["cachingOptions"] for task in spec["root"]["dag"]["tasks"].values())


def test_only_the_model_and_where_it_goes_have_to_be_given() -> None:
    spec, _ = yaml.safe_load_all(COMPILED.read_text())
    parameters = spec["root"]["inputDefinitions"]["parameters"]
    needed = {name for name, each in parameters.items() if not each.get("isOptional")}
    assert needed == {"model_name", "output_uri"}


def run(tmp_path: Path, arguments: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    given = {"model_name": "late", "output_uri": f"{tmp_path.as_uri()}/models/late", "run_name": "run-1"}
    command = [
        sys.executable,
        "-m",
        "provender_training.run",
        "--arguments",
        json.dumps({**given, **arguments}),
    ]
    command += ["--result", str(tmp_path / "result.json"), "--work", str(tmp_path / "work")]
    # From elsewhere, and without this environment on the path: as a job of Airflow's.
    environment = {**os.environ, "PYTHONPATH": str(TRAINING), "PATH": "/usr/bin:/bin"}
    return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)


def test_the_compiled_pipeline_runs_on_this_machine(tmp_path: Path) -> None:
    folder = planted.write(tmp_path.as_uri(), planted.planted(1000))
    done = run(tmp_path, {"training_set_uri": folder, "parameters": {"max_iter": 20}})
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["metrics"]["roc_auc"] > 0.7
    artifact = read_artifact(result["artifact"])
    artifact.verify()
    assert artifact.version == result["version"]
    assert not (tmp_path / "work").exists()


def test_a_step_that_fails_ends_the_run_with_its_error_and_its_log(tmp_path: Path) -> None:
    table = planted.planted(100)
    folder = planted.write(tmp_path.as_uri(), table)
    pq.write_table(table.slice(1), local_path(folder) / "data.parquet")
    done = run(tmp_path, {"training_set_uri": folder})
    assert done.returncode == 3
    assert "Traceback" in done.stdout
    failure = read_failure(f"{tmp_path.as_uri()}/models/late", "run-1")
    assert failure is not None
    assert failure.step == "load"
    assert isinstance(failure.error, TrainingSetError)
    assert failure.error.what in done.stderr
    assert not (tmp_path / "models" / "late" / "versions").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [({"color": "red", "training_set_uri": "x"}, "color"), ({"run_name": ""}, "run_name")],
)
def test_parameters_that_the_pipeline_does_not_take_are_refused(
    tmp_path: Path, arguments: dict[str, Any], words: str
) -> None:
    done = run(tmp_path, arguments)
    assert done.returncode == 3
    assert words in done.stderr and "Traceback" not in done.stderr

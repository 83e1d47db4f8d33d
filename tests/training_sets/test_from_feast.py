"""The pipeline started from Kubeflow's UI alone: entity rows and feature references in place of a training set."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from provender.errors import TrainingSetError
from provender.storage import storage_at
from provender.training_sets.folder import open_training_set
from tests.feast.conftest import version
from tests.training_sets.conftest import FEATURES, Builder

TRAINING = Path(__file__).parents[2] / "training"
sys.path.append(str(TRAINING))


def asked(builder: Builder, rows: str, **changes: Any) -> dict[str, Any]:
    given = {"uri": rows, "features": list(FEATURES), "label": "tip", "request": {}}
    return {**given, "repo": str(builder.shop.repo), **changes}


def test_the_training_set_is_built_as_feast_has_its_features(builder: Builder) -> None:
    from provender_training.from_feast import training_set_from_feast

    builder.shop.ingest(version(1, 10, 0), recorded=500)
    uri = builder.entities((1, 20, 0), (2, 20, 1))
    folder = training_set_from_feast("tips", "run-1", asked(builder, uri))
    found = open_training_set(storage_at(builder.settings.storage_root), folder)
    assert found.lockfile.inputs.label == "tip"
    assert found.data().column("driver_trips__trips").null_count == 1


@pytest.mark.parametrize(
    ("lacking", "named"), [("uri", "entities_uri"), ("features", "features"), ("label", "label")]
)
def test_what_is_not_given_is_named(builder: Builder, lacking: str, named: str) -> None:
    from provender_training.from_feast import training_set_from_feast

    with pytest.raises(TrainingSetError, match=f"neither a training set nor {named}"):
        training_set_from_feast("tips", "run-1", asked(builder, "rows.csv", **{lacking: ""}))


@pytest.mark.slow
def test_the_compiled_pipeline_trains_from_entity_rows(builder: Builder, tmp_path: Path) -> None:
    builder.shop.ingest(*(version(driver, 10, 0) for driver in range(1, 9)), recorded=500)
    rows = [(n % 8 + 1, 20.0 + n, int(n % 3 == 0)) for n in range(60)]
    arguments = {
        "model_name": "tips",
        "output_uri": f"{builder.settings.storage_root}/models/tips",
        "run_name": "by-hand",
        "entities_uri": builder.entities(*rows),
        "features": list(FEATURES),
        "label": "tip",
        "repo": str(builder.shop.repo),
    }
    command = [str(TRAINING / ".venv" / "bin" / "python"), "-m", "provender_training.run"]
    command += ["--arguments", json.dumps(arguments), "--result", str(tmp_path / "result.json")]
    environment = {**os.environ, "PYTHONPATH": str(TRAINING)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads((tmp_path / "result.json").read_text())
    assert "/training_sets/tips/" in result["training_set"]
    assert result["train"]["rows"] + result["test"]["rows"] == 60

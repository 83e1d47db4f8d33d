"""From a training set to an artifact, on data whose signal is known."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import planted
import pyarrow as pa
import pytest
from conftest import TRAINING
from flow import GRADIENT_BOOSTING, LINEAR, from_folder, trained
from provender_training import canonical
from provender_training.fit import Recipe

from provender.errors import SpecError, TrainingSetError
from provender.model_registry.artifact import read_artifact
from provender.model_registry.inputs import model_input
from provender.storage import local_path


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("storage")


@pytest.fixture(scope="module")
def result(root: Path) -> dict[str, Any]:
    return trained(root, planted.planted())


@pytest.mark.parametrize(("module", "least"), [(GRADIENT_BOOSTING, 0.78), (LINEAR, 0.8)])
def test_a_planted_signal_is_found(tmp_path: Path, module: str, least: float) -> None:
    metrics = trained(tmp_path, planted.planted(), module=module, parameters={})["metrics"]
    assert metrics["roc_auc"] > least


def test_shuffled_labels_score_at_chance(tmp_path: Path) -> None:
    metrics = trained(tmp_path, planted.planted(6000, shuffled=True))["metrics"]
    assert abs(metrics["roc_auc"] - 0.5) < 0.05  # 1200 rows: a standard deviation is 0.017


def test_the_baselines_know_less(result: dict[str, Any]) -> None:
    scores = {name: each["roc_auc"] for name, each in result["baselines"].items()}
    assert scores["constant"] == 0.5
    assert scores["constant"] < scores["request_only"] < result["metrics"]["roc_auc"]
    assert result["metrics"]["log_loss"] < result["baselines"]["constant"]["log_loss"]


def test_no_test_row_is_earlier_than_a_training_row(result: dict[str, Any]) -> None:
    assert (result["train"]["rows"], result["test"]["rows"]) == (2400, 600)
    assert datetime.fromisoformat(result["train"]["to"]) < datetime.fromisoformat(result["test"]["from"])


def test_the_artifact_is_whole_and_says_what_the_model_takes(result: dict[str, Any]) -> None:
    artifact = read_artifact(result["artifact"])
    artifact.verify()
    signed = artifact.signature
    assert signed.inputs == ("hour", "carrier", planted.DELAY, planted.SIZE, planted.SEEN)
    assert [(each.name, each.type) for each in signed.request] == [("hour", "INT32"), ("carrier", "STRING")]
    assert [(each.name, each.type) for each in signed.entities] == [("carrier", "STRING")]
    feature = signed.feature(planted.DELAY)
    assert (feature.view, feature.feature, feature.type) == ("carrier_day", "delay", "DOUBLE")
    assert (feature.join_keys, feature.max_age_seconds) == (("carrier",), 604800.0)
    assert signed.output[0].description == "probability that is_late is 1, not 0"
    assert {"confusion_matrix.png", "roc_curve.png", "model_card.md", "evaluation.json"} <= set(
        artifact.files
    )
    assert artifact.metrics == result["metrics"]
    assert result["null_inputs"] == []


def test_a_feature_that_is_null_in_every_training_row_is_named(tmp_path: Path) -> None:
    """By the train step, where the module cannot be fitted to it, and otherwise in the result, for the gate."""
    table = planted.planted(600)
    place = table.schema.get_field_index(planted.DELAY)
    for name, column in (("nulls", pa.nulls(600, pa.float64())), ("nans", pa.array([float("nan")] * 600))):
        empty = table.set_column(place, planted.DELAY, column)
        with pytest.raises(TrainingSetError) as caught:
            trained(tmp_path / name, empty)
        assert f"{planted.DELAY} is null in every one of the 480 training rows" in caught.value.what
        assert "window shape" not in caught.value.what
    result = trained(tmp_path / "linear", empty, module=LINEAR, parameters={})
    assert result["null_inputs"] == [planted.DELAY]


def test_the_golden_rows_are_predicted_again(result: dict[str, Any]) -> None:
    artifact = read_artifact(result["artifact"])
    model = canonical.load(artifact.read("model.skops"))
    kinds = {feature.name: feature.type for feature in artifact.signature.features}
    assert len(artifact.examples) == 20
    for example in artifact.examples:
        values = {
            name: [datetime.fromisoformat(value) if kinds.get(name) == "TIMESTAMP" and value else value]
            for name, value in example.inputs.items()
        }
        matrix = model_input(values, artifact.signature.inputs)
        assert model.predict_proba(matrix)[0, 1] == pytest.approx(example.prediction, abs=1e-12)


def test_confusion_matrix_and_metrics_agree(result: dict[str, Any]) -> None:
    document = read_artifact(result["artifact"]).read_json("evaluation.json")
    (right_no, wrong_yes), (wrong_no, right_yes) = document["confusion_matrix"]["actual_by_predicted"]
    assert right_no + wrong_yes + wrong_no + right_yes == 600
    assert result["metrics"]["accuracy"] == pytest.approx((right_no + right_yes) / 600)
    assert result["metrics"]["recall"] == pytest.approx(right_yes / (right_yes + wrong_no))
    curve = document["roc_curve"]
    assert np.trapezoid(curve["tpr"], curve["fpr"]) == pytest.approx(result["metrics"]["roc_auc"], abs=0.01)


def test_the_card_and_the_report_stand_alone(result: dict[str, Any]) -> None:
    artifact = read_artifact(result["artifact"])
    card = artifact.read("model_card.md").decode()
    assert result["lockfile_id"] in card
    assert "| roc_auc |" in card
    assert "at most 168 h old" in card
    report = artifact.read("report.html").decode()
    assert report.count("data:image/png;base64,") == 2
    assert "http" not in report.split("base64")[0]


def test_the_same_training_twice_is_one_artifact(root: Path, result: dict[str, Any]) -> None:
    folder = local_path(result["artifact"])
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}
    again = from_folder(
        root, result["training_set"], "again", Recipe(GRADIENT_BOOSTING, "classification", {"max_iter": 30})
    )
    assert again["version"] == result["version"]
    assert {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()} == before
    assert len(list(folder.parent.iterdir())) == 1


def test_the_same_training_gives_the_same_bytes_in_another_process(
    tmp_path: Path, result: dict[str, Any]
) -> None:
    script = (
        "import sys; sys.path[:0] = sys.argv[1:3]\n"
        "from pathlib import Path\nfrom flow import *\n"
        "recipe = Recipe(GRADIENT_BOOSTING, 'classification', {'max_iter': 30})\n"
        "done = from_folder(Path(sys.argv[3]), sys.argv[4], 'r', recipe)\n"
        "print(done['artifact'])\n"
    )
    given = [str(TRAINING), str(TRAINING / "tests"), str(tmp_path), result["training_set"]]
    environment = {"PYTHONHASHSEED": "7", "OMP_NUM_THREADS": "2", "PATH": "/usr/bin:/bin", "TZ": "Asia/Tokyo"}
    done = subprocess.run(
        [sys.executable, "-c", script, *given], env=environment, capture_output=True, text=True, check=True
    )
    other, first = local_path(done.stdout.strip()), local_path(result["artifact"])
    for path in first.iterdir():
        if path.name != "artifact.json":  # has the time of writing
            digests = [
                hashlib.sha256((folder / path.name).read_bytes()).hexdigest() for folder in (first, other)
            ]
            assert digests[0] == digests[1], path.name


def test_a_half_written_artifact_is_completed(tmp_path: Path) -> None:
    table = planted.planted(300)
    done = trained(tmp_path, table)
    folder = local_path(done["artifact"])
    (folder / "artifact.json").unlink()
    (folder / "metrics.json").write_text("{")
    recipe = Recipe(GRADIENT_BOOSTING, "classification", {"max_iter": 30})
    again = from_folder(tmp_path, done["training_set"], "again", recipe)
    assert again["version"] == done["version"]
    read_artifact(again["artifact"]).verify()


def test_the_serving_model_is_scored_on_the_same_rows(tmp_path: Path) -> None:
    serving = trained(tmp_path, planted.planted(2000), parameters={"max_iter": 2})
    result = trained(tmp_path, planted.planted(3000), baseline=serving["artifact"], run="next")
    baseline = result["baseline"]
    assert baseline["version"] == serving["version"] != result["version"]
    assert 0.5 < baseline["metrics"]["roc_auc"] < 1
    assert baseline["metrics"]["positive_share"] == result["metrics"]["positive_share"]
    assert baseline["seen_test_rows"] == 0


def test_held_out_rows_that_the_serving_model_was_trained_on_are_counted(tmp_path: Path) -> None:
    serving = trained(tmp_path, planted.planted(3000))
    result = trained(tmp_path, planted.planted(2500), baseline=serving["artifact"], run="next")
    assert result["baseline"]["seen_test_rows"] == 2400 - 2000


def test_a_serving_model_that_needs_other_columns_is_no_end_of_the_run(tmp_path: Path) -> None:
    serving = trained(tmp_path, planted.planted(500))
    inputs_without = planted.without_view(planted.planted(500))
    result = trained(tmp_path, inputs_without, baseline=serving["artifact"], run="next", logs=())
    assert result["baseline"]["metrics"] == {}
    assert planted.DELAY in result["baseline"]["problem"]


def test_a_number_is_predicted_by_a_regression(tmp_path: Path) -> None:
    table = planted.planted(2000)
    delays = table.column(planted.DELAY).fill_null(0.0).to_numpy() * 10 + 3
    target = table.set_column(table.schema.get_field_index("is_late"), "is_late", pa.array(delays))
    result = trained(tmp_path, target, mode="regression", parameters={})
    assert result["metrics"]["r2"] > 0.9
    assert result["baselines"]["constant"]["r2"] < 0.01
    assert "predicted_and_actual.png" in read_artifact(result["artifact"]).files


@pytest.mark.parametrize(("labels", "count"), [([1], 1), ([0, 1, 2], 3)])
def test_a_classification_of_other_than_two_classes_is_refused(
    tmp_path: Path, labels: list[int], count: int
) -> None:
    table = planted.planted(300)
    column = pa.array([labels[n % len(labels)] for n in range(300)], pa.int32())
    with pytest.raises(TrainingSetError, match=f"training rows have {count}"):
        trained(tmp_path, table.set_column(table.schema.get_field_index("is_late"), "is_late", column))


def test_text_labels_are_two_classes_in_their_order(tmp_path: Path) -> None:
    table = planted.planted(600)
    column = pa.array(["yes" if each else "no" for each in table.column("is_late").to_pylist()])
    result = trained(tmp_path, table.set_column(table.schema.get_field_index("is_late"), "is_late", column))
    signed = read_artifact(result["artifact"]).signature
    assert signed.output[0].description == "probability that is_late is yes, not no"
    assert result["metrics"]["roc_auc"] > 0.7


def test_a_mode_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="clustering"):
        trained(tmp_path, planted.planted(100), mode="clustering")


def test_the_result_is_plain_json(result: dict[str, Any]) -> None:
    assert json.loads(json.dumps(result, allow_nan=False)) == result

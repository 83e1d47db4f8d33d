from __future__ import annotations

from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from provender.errors import SparkUnavailableError
from provender.settings import Settings
from provender.storage import storage_at
from provender.training_sets.folder import ROOT
from provender_airflow import reports
from provender_airflow.operators.training_set import HistoricalFeaturesOperator, TrainingSetOperator
from tests.airflow.test_operators import context

pytestmark = pytest.mark.airflow


def test_a_models_job_is_told_model_and_key(repo: Path) -> None:
    operator = TrainingSetOperator(task_id="set", repo=str(repo), model="tips", key="2026-11-22")
    job = operator.spark_job(context())
    assert job.module == "spark_jobs.training_set"
    assert job.arguments == (
        *("--repo", str(repo), "--model", "tips", "--key", "2026-11-22"),
        *("--attempt", "{attempt}"),
    )


def test_a_file_of_entity_rows_is_told_with_its_features(repo: Path) -> None:
    features = ["drivers:acc_rate", "drivers:conv_rate"]
    operator = HistoricalFeaturesOperator(
        task_id="set", repo=str(repo), name="tips", entities="rows.csv", features=features, as_known=True
    )
    arguments = operator.spark_job(context()).arguments
    assert arguments[arguments.index("--features") + 1] == "drivers:acc_rate,drivers:conv_rate"
    assert "--as-known" in arguments


def test_only_the_attempts_own_receipt_is_success(repo: Path, settings: Settings) -> None:
    operator = TrainingSetOperator(task_id="set", repo=str(repo), model="tips")
    with pytest.raises(SparkUnavailableError, match="wrote no training set"):
        operator.result(settings, "new", context())
    storage = storage_at(settings.storage_root)
    storage.create(f"{ROOT}/tips/attempts/old.json", b'{"id": "0123456789abcdef"}')
    with pytest.raises(SparkUnavailableError, match="wrote no training set"):
        operator.result(settings, "new", context())


def test_a_report_is_shown_to_nobody_without_a_login() -> None:
    assert TestClient(reports.Reports()).get("/tips/0123456789abcdef").status_code == 401


def test_only_the_report_of_a_whole_training_set_is_read(
    repo: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROVENDER_REPO", str(repo))
    storage = storage_at(settings.storage_root)
    storage.create(f"{ROOT}/tips/0123456789abcdef/report.html", b"<html>")
    assert reports.read_report("tips", "0123456789abcdef") is None
    storage.create(f"{ROOT}/tips/0123456789abcdef/lockfile.json", b"{}")
    assert reports.read_report("tips", "0123456789abcdef") == b"<html>"
    assert reports.read_report("..", "0123456789abcdef") is None
    assert reports.read_report("tips", "../x") is None

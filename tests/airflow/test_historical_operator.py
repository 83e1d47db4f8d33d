from __future__ import annotations

import json
from pathlib import Path

import pytest

from provender.errors import SparkUnavailableError
from provender.settings import Settings
from provender_airflow.operators.historical import HistoricalFeaturesOperator
from tests.airflow.test_operators import context

pytestmark = pytest.mark.airflow


def operator(repo: Path) -> HistoricalFeaturesOperator:
    return HistoricalFeaturesOperator(
        task_id="set",
        repo=str(repo),
        entities="rows.csv",
        features=["drivers:acc_rate", "drivers:conv_rate"],
        path=str(repo / "set.parquet"),
        as_known=True,
    )


def test_the_job_is_told_rows_features_and_output(repo: Path) -> None:
    arguments = operator(repo).spark_job(context()).arguments
    assert arguments[arguments.index("--features") + 1] == "drivers:acc_rate,drivers:conv_rate"
    assert "--as-known" in arguments
    assert arguments[-2:] == ("--attempt", "{attempt}")


def test_only_the_attempts_own_receipt_is_success(repo: Path, settings: Settings) -> None:
    receipt = repo / "set.parquet.json"
    with pytest.raises(SparkUnavailableError, match="wrote no training set"):
        operator(repo).result(settings, "new", context())
    receipt.write_text(json.dumps({"attempt": "old", "rows": 3, "columns": []}))
    with pytest.raises(SparkUnavailableError, match="wrote no training set"):
        operator(repo).result(settings, "new", context())
    assert operator(repo).result(settings, "old", context())["rows"] == 3

"""The publish task on the BigQuery emulator, as Airflow calls it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from provender.ledger import Job
from provender_airflow.operators.bigquery import PublishOperator
from tests.bigquery.conftest import Warehouse, warehouse_in
from tests.bigquery.emulator import Cloud
from tests.bigquery.wire import Wire
from tests.feast.conftest import version
from tests.point_in_time.logs import at

pytestmark = [pytest.mark.slow, pytest.mark.airflow, pytest.mark.bigquery, pytest.mark.gcs]


@pytest.fixture
def warehouse(tmp_path: Path, cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[Warehouse]:
    wire = Wire(cloud.bigquery.port)
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", wire.url)
    yield warehouse_in(tmp_path, cloud, wire)
    wire.close()
    assert wire.refused == []


def test_a_task_publishes_and_each_try_commits_a_manifest_of_its_own(warehouse: Warehouse) -> None:
    warehouse.ingest(version(7, 12, 60, 120), recorded=1000)
    operator = PublishOperator(task_id="publish", repo=str(warehouse.repo), source="trips")

    def result(attempt: int) -> dict[str, object]:
        ti = SimpleNamespace(dag_id="features__trips", task_id="publish", run_id="run", try_number=attempt)
        found: dict[str, object] = operator.execute({"ti": ti})  # type: ignore[typeddict-item]
        return found

    first, second = result(1), result(2)
    assert (first["kind"], first["days"]) == ("manifest", 1)
    assert (second["kind"], second["days"]) == ("receipt", 0)
    assert first["attempt"] != second["attempt"]
    assert warehouse.ledger.find_attempt(Job.PUBLISH, str(first["attempt"])) is not None
    assert warehouse.rows() == [(7, 12, at(60), at(120))]

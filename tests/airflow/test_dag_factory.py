from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from airflow.sdk import DAG
from airflow.sdk.definitions.param import ParamsDict
from airflow.serialization.serialized_objects import DagSerialization

from provender.errors import SpecError
from provender.specs.source import Source
from provender_airflow import dag_factory
from provender_airflow.dag_factory import features_dags
from tests.airflow.conftest import CHECKOUT, WriteSpec

pytestmark = pytest.mark.airflow


def dags_of(repo: Path) -> dict[str, DAG]:
    return {dag.dag_id: dag for dag in features_dags(repo)}


@pytest.fixture
def dag(repo: Path, write_spec: WriteSpec) -> DAG:
    write_spec()
    return dags_of(repo)["features__trips"]


def test_a_source_is_a_dag_of_tasks_in_a_row(dag: DAG) -> None:
    order = ["wait_for_data", "stage", "ingest", "materialize", "record_in_feast"]
    assert [task.task_id for task in dag.topological_sort()] == order
    assert [sorted(dag.get_task(name).downstream_task_ids) for name in order] == [[t] for t in order[1:]] + [
        []
    ]


def test_with_a_bigquery_data_set_publishing_follows_ingest_beside_materialize(
    repo: Path, write_spec: WriteSpec
) -> None:
    write_spec()
    file = repo / "feature_store.yaml"
    document = yaml.safe_load(file.read_text())
    document["provender"]["bigquery"] = {"project": "my-project", "dataset": "features"}
    file.write_text(yaml.safe_dump(document))
    dag = dags_of(repo)["features__trips"]
    assert dag.get_task("ingest").downstream_task_ids == {"materialize", "publish"}
    publish = dag.get_task("publish")
    assert publish.downstream_task_ids == set() and publish.outlets == []
    assert publish.max_active_tis_per_dag == 1


def test_the_schedule_is_the_partitions_boundary_and_the_key_its_start(dag: DAG) -> None:
    timetable = DagSerialization.from_dict(DagSerialization.to_dict(dag)).timetable
    date, key = timetable._get_partition_info(run_date=_pendulum(datetime(2026, 11, 24, tzinfo=UTC)))
    assert (date, key) == (datetime(2026, 11, 23, tzinfo=UTC), "2026-11-23")
    assert dag.start_date == datetime(2026, 11, 2, tzinfo=UTC)
    assert not dag.catchup


@pytest.mark.parametrize(
    ("cadence", "start", "run_date", "key"),
    [
        ("hourly", "2026-11-01", datetime(2026, 11, 24, 8, tzinfo=UTC), "2026-11-24T07"),
        ("weekly", "2026-11-02", datetime(2026, 11, 23, tzinfo=UTC), "2026-11-16"),
        ("monthly", "2026-11-01", datetime(2026, 12, 1, tzinfo=UTC), "2026-11"),
    ],
)
def test_every_cadence_has_its_keys(
    repo: Path, write_spec: WriteSpec, cadence: str, start: str, run_date: datetime, key: str
) -> None:
    write_spec(cadence=cadence, start=start)
    timetable = DagSerialization.from_dict(
        DagSerialization.to_dict(dags_of(repo)["features__trips"])
    ).timetable
    assert timetable._get_partition_info(run_date=_pendulum(run_date))[1] == key


def test_one_run_at_a_time_writes_a_sources_tables_and_others_may_stage(dag: DAG) -> None:
    limits = {task.task_id: task.max_active_tis_per_dag for task in dag.tasks}
    writers = {"ingest": 1, "materialize": 1, "record_in_feast": 1}
    assert limits == {"wait_for_data": None, "stage": None, **writers}
    assert dag.max_active_runs > 1


def test_only_materialize_tells_that_features_are_there(dag: DAG) -> None:
    assert {t.task_id: [o.name for o in t.outlets] for t in dag.tasks if t.outlets} == {
        "materialize": ["features/trips"]
    }


def test_owner_cadence_and_the_specs_tags_are_seen_in_the_ui(dag: DAG) -> None:
    assert dag.owner == "data"
    assert set(dag.tags) == {"data", "daily", "demo"}


def test_the_docs_hold_columns_contract_and_tables(dag: DAG) -> None:
    docs = dag.doc_md or ""
    assert "| driver_id | INT64 | required; ≥ 1 | Who \\| drove |" in docs
    assert "### trips" in docs
    assert "airflow backfill create --dag-id features__trips --from-date 2026-11-01" in docs


def test_the_forms_defaults_are_valid_and_dates_are_dates(dag: DAG) -> None:
    params: ParamsDict = dag.params
    assert params.validate() == {
        "start": None,
        "end": None,
        "allow_withdrawal": False,
        "rebuild_online": False,
    }
    assert params.get_param("start").schema["format"] == "date"


def test_tasks_retry_with_backoff_and_first_within_a_jobs_lease(dag: DAG) -> None:
    for task in dag.tasks:
        assert task.retries > 0
        assert task.retry_exponential_backoff > 1
        assert task.retry_delay < timedelta(seconds=30)


def test_a_dag_survives_serialization(dag: DAG) -> None:
    restored = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    assert restored.dag_id == dag.dag_id
    assert restored.get_task("ingest").max_active_tis_per_dag == 1


def test_a_broken_spec_is_a_red_dag_and_its_neighbours_are_as_ever(repo: Path, write_spec: WriteSpec) -> None:
    write_spec("good")
    write_spec("bad", extra="cadense: daily\n")
    dags = dags_of(repo)
    assert sorted(dags) == ["features__bad", "features__good"]
    assert len(dags["features__good"].tasks) == 5
    bad = dags["features__bad"]
    assert "cadense" in (bad.doc_md or "")
    [task] = bad.tasks
    assert task.retries == 0
    with pytest.raises(SpecError, match="cadense"):
        task.execute({})
    DagSerialization.from_dict(DagSerialization.to_dict(bad))


def test_a_spec_that_is_not_even_yaml_hides_nothing(repo: Path, write_spec: WriteSpec) -> None:
    write_spec("good")
    (repo / "sources" / "worse.yaml").write_bytes(b"\xff\xfe{{{")
    (repo / "sources" / "odd name!.yaml").write_text("name: x\n")
    assert sorted(dags_of(repo)) == ["features__good", "features__odd_name_", "features__worse"]


def test_whatever_a_file_holds_the_dags_of_the_others_are_built(
    repo: Path, write_spec: WriteSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_spec("a_good")
    write_spec("far", start="0001-01-01")
    write_spec("farther", start="9999-12-31")
    (repo / "sources" / "a good.yaml").write_text("name: x\n")
    (repo / "sources" / f"{'long' * 60}.yaml").write_text("cadence: {every: daily}\n")
    (repo / "sources" / "folder.yaml").mkdir()
    build = dag_factory.source_docs

    def fail_for_one(source: Source) -> str:
        if source.name == "unlucky":
            raise RecursionError("too deep")
        return build(source)

    write_spec("unlucky")
    monkeypatch.setattr(dag_factory, "source_docs", fail_for_one)
    dags = dags_of(repo)
    assert len(dags["features__a_good"].tasks) == 5
    assert len(dags) == 7
    for dag in dags.values():
        DagSerialization.from_dict(DagSerialization.to_dict(dag))
    assert "'0001-01-01' is too far away" in (dags["features__far"].doc_md or "")
    assert "RecursionError: too deep" in (dags["features__unlucky"].doc_md or "")


def test_a_task_reads_its_own_spec_alone(
    repo: Path, write_spec: WriteSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_spec("mine")
    write_spec("bad", extra="cadense: daily\n")
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "features__mine")
    assert list(dags_of(repo)) == ["features__mine"]
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "features__bad")
    assert list(dags_of(repo)) == ["features__bad"]


def test_every_source_of_the_demo_has_a_dag() -> None:
    dags = dags_of(CHECKOUT / "feature_defs")
    assert {"features__flights", "features__weather", "features__driver_statistics"} <= dags.keys()
    for dag in dags.values():
        assert "broken" not in dag.tags, dag.doc_md


def _pendulum(moment: datetime) -> object:
    from airflow._shared.timezones.timezone import coerce_datetime

    return coerce_datetime(moment)

"""Operators called as Airflow calls them, with real jobs and a real ledger, without a scheduler."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import Asset
from airflow.sdk.exceptions import TaskDeferred
from airflow.sdk.execution_time.context import OutletEventAccessors

from provender.errors import (
    OnlineStoreError,
    PartitionError,
    ProvenderError,
    SourceNotReadyError,
    SparkUnavailableError,
)
from provender.ledger import Job, Ledger
from provender.local import jobs
from provender.settings import Settings
from provender.specs.loader import load_source
from provender.storage import storage_at
from provender_airflow.operators.feast import IngestOperator, MaterializeOperator
from provender_airflow.operators.raw_data import StageOperator, WaitForDataOperator
from provender_airflow.triggers.raw_data import RawDataTrigger
from tests.airflow.conftest import WriteSpec

pytestmark = pytest.mark.airflow

APPLICATION = '''
"""Commits a manifest as the real application does, as the file `behavior` says."""
import argparse, json, os, sys, time
from datetime import UTC, datetime
from pathlib import Path
from provender.errors import OnlineStoreError
from provender.failures import Failure, write_failure
from provender.intervals import Cadence, Partition, partitions_between
from provender.ledger import Draft, Job, Kind, Ledger
from provender.settings import load_settings
from provender.storage import storage_at
ENTRY = {"content": "c", "delivery": 1, "delivered": "2026-01-01T00:00:00Z", "waived": [], "spec": ""}
ENTRY |= {"staged": 0, "accepted": 0, "quarantined": 0, "reasons": {}, "features": {}}
parser = argparse.ArgumentParser()
for name in ("repo", "source", "partitions", "attempt"):
    parser.add_argument("--" + name)
parser.add_argument("--full", action="store_true")
given = parser.parse_args()
settings = load_settings(given.repo)
behavior = Path(given.repo, "behavior").read_text()
with Path(given.repo, "submissions").open("a") as log:
    log.write(given.attempt + "\\n")
print("started", behavior, flush=True)
if behavior == "wait":
    time.sleep(60)
if behavior == "away":
    error = OnlineStoreError("127.0.0.1:1 does not answer")
    write_failure(settings.storage_root, Failure(given.attempt, error))
    sys.exit(4)
if behavior != "silent":
    keys = {}
    if given.partitions:
        first, _, last = given.partitions.partition("..")
        ends = [Partition.parse(Cadence.DAILY, key) for key in (first, last or first)]
        keys = {p.key: ENTRY for p in partitions_between(*ends)}
    job = Job(sys.argv[0].rsplit("/", 1)[1].removesuffix(".py"))
    draft = Draft(job, given.attempt, Kind.MANIFEST, keys, datetime.now(UTC), counts={"accepted": 3})
    Ledger(storage_at(settings.storage_root), given.source).commit(draft)
'''


@pytest.fixture
def behave(repo: Path, write_spec: WriteSpec) -> Iterator[Any]:
    """Says how the applications behave: ``commit``, ``silent``, ``away`` or ``wait``."""
    write_spec()
    package = repo.parent / "spark_jobs"
    package.mkdir()
    (package / "__init__.py").touch()
    for name in ("ingest", "materialize"):
        (package / f"{name}.py").write_text(APPLICATION)
    yield (repo / "behavior").write_text
    jobs.stop_all(repo.parent / "state")


def context(key: str | None = "2026-11-03", try_number: int = 1, **params: Any) -> dict[str, Any]:
    xcom = {"partitions": [key]} if key else {"partitions": ["2026-11-03", "2026-11-04"]}
    return {
        "ti": SimpleNamespace(
            dag_id="features__trips",
            task_id="a_task",
            run_id="a_run",
            try_number=try_number,
            xcom_pull=lambda task_ids: xcom,
        ),
        "dag_run": SimpleNamespace(partition_key=key, run_after=datetime(2026, 11, 24, 9, tzinfo=UTC)),
        "params": {"start": None, "end": None, **params},
        "outlet_events": OutletEventAccessors(),
    }


def ingest(repo: Path) -> IngestOperator:
    return IngestOperator(task_id="ingest", repo=str(repo), source="trips")


def submissions(repo: Path) -> list[str]:
    return (repo / "submissions").read_text().split()


def test_ingest_returns_the_counts_of_its_own_manifest(repo: Path, behave: Any) -> None:
    behave("commit")
    result = ingest(repo).execute(context())
    assert result["partitions"] == ["2026-11-03"]
    assert (result["accepted"], result["kind"], result["manifest"]) == (3, "manifest", 1)
    assert result["attempt"] == submissions(repo)[0]


def test_a_range_is_one_application(repo: Path, behave: Any) -> None:
    behave("commit")
    result = ingest(repo).execute(context(None, start="2026-11-03", end="2026-11-05"))
    assert result["partitions"] == ["2026-11-03", "2026-11-04", "2026-11-05"]
    assert len(submissions(repo)) == 1


def test_an_application_that_ends_well_without_a_manifest_has_not_succeeded(repo: Path, behave: Any) -> None:
    behave("commit")
    ingest(repo).execute(context())
    behave("silent")
    with pytest.raises(SparkUnavailableError, match="committed no manifest"):
        ingest(repo).execute(context(try_number=2))


def test_the_applications_own_error_is_the_tasks(repo: Path, behave: Any) -> None:
    behave("away")
    with pytest.raises(OnlineStoreError, match=r"127\.0\.0\.1:1 does not answer"):
        ingest(repo).execute(context())


def test_a_task_that_runs_again_starts_a_new_submission(repo: Path, behave: Any) -> None:
    behave("commit")
    ingest(repo).execute(context())
    ingest(repo).execute(context(try_number=2))
    assert len(set(submissions(repo))) == 2


def test_a_retry_finds_the_job_of_a_task_that_was_killed(repo: Path, behave: Any, settings: Settings) -> None:
    behave("commit")
    operator = ingest(repo)
    from provender_airflow.spark.backends import backend_for

    abandoned = backend_for(settings).submit(operator.spark_job(context()))
    assert operator.execute(context(try_number=2))["attempt"] == abandoned.attempt
    assert submissions(repo) == [abandoned.attempt]


def test_killing_the_task_ends_the_application(repo: Path, behave: Any, settings: Settings) -> None:
    behave("wait")
    operator, raised = ingest(repo), []

    def run() -> None:
        try:
            operator.execute(context())
        except ProvenderError as error:
            raised.append(error)

    task = threading.Thread(target=run)
    task.start()
    while not (repo / "submissions").exists():
        task.join(0.05)
    operator.on_kill()
    task.join(20)
    assert not task.is_alive()
    assert "cancelled" in str(raised[0])
    assert jobs.running(settings.state_dir) == []


def test_materialize_names_every_ingested_partition_to_who_waits(repo: Path, behave: Any) -> None:
    behave("commit")
    operator = MaterializeOperator(task_id="m", repo=str(repo), source="trips", ingest_task_id="ingest")
    given = context(None, start="2026-11-03", end="2026-11-04")
    assert operator.execute(given)["partitions"] == ["2026-11-03", "2026-11-04"]
    events = given["outlet_events"][Asset("features/trips")]
    assert events.partition_keys == {"2026-11-03", "2026-11-04"}


@pytest.mark.parametrize(("full", "flag"), [("True", True), (True, True), ("False", False), (False, False)])
def test_a_rebuild_is_one_flag(repo: Path, behave: Any, full: bool | str, flag: bool) -> None:
    operator = MaterializeOperator(task_id="m", repo=str(repo), source="trips", full=full)
    assert ("--full" in operator.spark_job(context()).arguments) is flag


# ---- raw data ---------------------------------------------------------------------------------------------


def drop(repo: Path, key: str) -> None:
    path = repo.parent / "raw" / "trips" / f"{key}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("driver_id,at,fare\n1,2026-11-03T01:00:00Z,2.5\n")


def wait(repo: Path) -> WaitForDataOperator:
    return WaitForDataOperator(task_id="w", repo=str(repo), source="trips")


def days_ago(days: int) -> str:
    return f"{datetime.now(UTC) - timedelta(days=days):%Y-%m-%d}"


def test_data_that_is_there_is_not_waited_for(repo: Path, write_spec: WriteSpec) -> None:
    write_spec()
    drop(repo, "2026-11-03")
    assert wait(repo).execute(context()) == {"partitions": ["2026-11-03"]}


def test_data_that_is_still_to_come_is_waited_for_outside_the_worker(
    repo: Path, write_spec: WriteSpec
) -> None:
    spec = write_spec(start=days_ago(20))
    spec.write_text(spec.read_text().replace("timeout: 2h", "timeout: 9d"))
    with pytest.raises(TaskDeferred) as deferred:
        wait(repo).execute(context(days_ago(2)))
    trigger = deferred.value.trigger
    assert isinstance(trigger, RawDataTrigger)
    assert trigger.keys == [days_ago(2)]


def test_data_that_never_came_is_a_clear_failure(repo: Path, write_spec: WriteSpec) -> None:
    write_spec(start=days_ago(20))
    with pytest.raises(SourceNotReadyError, match=f"no raw data for trips {days_ago(5)}") as caught:
        wait(repo).execute(context(days_ago(5)))
    assert f"raw/trips/{days_ago(5)}.csv" in str(caught.value)


def test_a_partition_in_the_future_is_refused(repo: Path, write_spec: WriteSpec) -> None:
    write_spec(start=days_ago(20))
    with pytest.raises(PartitionError, match="in the future"):
        wait(repo).execute(context(days_ago(-3)))


def test_waiting_that_ended_late_says_what_is_missing(repo: Path, write_spec: WriteSpec) -> None:
    write_spec()
    event = {"arrival": "late", "missing": ["2026-11-03"]}
    with pytest.raises(SourceNotReadyError, match="2026-11-03"):
        wait(repo).execute_complete(context(), event)
    assert wait(repo).execute_complete(context(), {"arrival": "complete", "missing": []})


def test_staging_commits_a_manifest_and_returns_its_counts(repo: Path, write_spec: WriteSpec) -> None:
    spec = write_spec()
    drop(repo, "2026-11-03")
    operator = StageOperator(task_id="stage", repo=str(repo), source="trips")
    result = operator.execute(context())
    assert (result["files"], result["kind"]) == (1, "manifest")
    assert operator.execute(context(try_number=2))["kind"] == "receipt"
    storage = storage_at(operator.reference.settings().storage_root)
    assert [m.number for m in Ledger(storage, load_source(spec).name).manifests(Job.STAGE)] == [1, 2]

"""Spark applications on Dataproc, as batches and as jobs of a cluster: every test on both."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.google.cloud.hooks.dataproc import DataprocHook
from airflow.sdk.exceptions import TaskDeferred
from google.auth.credentials import AnonymousCredentials
from google.cloud.dataproc_v1 import BatchControllerClient, JobControllerClient

from provender.errors import (
    OnlineStoreError,
    ProvenderError,
    SettingsError,
    SparkUnavailableError,
    TerminalError,
)
from provender.failures import Failure, write_failure
from provender.ledger import Draft, Job, Kind, Ledger
from provender.settings import Settings
from provender.spark_settings import SparkSettings
from provender.storage import storage_at
from provender_airflow.operators.feast import IngestOperator
from provender_airflow.spark import dataproc as dataproc_backend
from provender_airflow.spark.backend import JobHandle, JobState, JobStatus
from provender_airflow.spark.dataproc import DataprocBackend
from provender_airflow.spark.dataproc_api import Batches, ClusterJobs
from provender_airflow.spark.job import SparkJob, job_name
from provender_airflow.triggers.spark import SparkJobTrigger
from tests.airflow.conftest import WriteSpec
from tests.airflow.dataproc_server import (
    BATCH_BADLY,
    BATCH_WELL,
    CUT_AFTER,
    CUT_BEFORE,
    JOB_BADLY,
    JOB_WELL,
    Dataproc,
    running,
)
from tests.discovery import problems
from tests.gcs import GcsServer
from tests.manifests import ingested

pytestmark = pytest.mark.airflow

BOUND_SECONDS = 20
DATAPROC: dict[str, Any] = {"region": "europe-west1", "project": "p"}
JOB = SparkJob(
    "spark_jobs.ingest",
    ("--repo", "/dags/feature_defs", "--source", "trips", "--attempt", "{attempt}"),
    job_name("features__trips", "ingest", "scheduled__2026-11-03"),
    labels=(("dag", "features__trips"), ("run", "manual__2026-11-03T00:00:00+00:00"), ("try", "1")),
)


@pytest.fixture(params=["batch", "cluster"])
def cluster(request: pytest.FixtureRequest) -> str:
    """Name of the cluster; empty: serverless."""
    return "" if request.param == "batch" else "spark-1"


@pytest.fixture
def dataproc(cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Dataproc]:
    """The service; the provider's hook leads there, since its own clients speak gRPC to Google only."""
    plan = JOB_WELL if cluster else BATCH_WELL
    (tmp_path / "output").mkdir()
    with running(Dataproc(plan=plan, output_uri=(tmp_path / "output" / "driveroutput").as_uri())) as server:
        options: dict[str, Any] = {
            "credentials": AnonymousCredentials(),
            "transport": "rest",
            "client_options": {"api_endpoint": server.url},
        }
        clients = BatchControllerClient(**options), JobControllerClient(**options)
        monkeypatch.setattr(DataprocHook, "get_batch_client", lambda *_: clients[0])
        monkeypatch.setattr(DataprocHook, "get_job_client", lambda *_: clients[1])
        monkeypatch.setenv(
            "AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT", json.dumps({"conn_type": "google_cloud_platform"})
        )
        yield server


def backend(settings: Settings, **changes: Any) -> DataprocBackend:
    spark = SparkSettings(backend="dataproc", dataproc={**DATAPROC, **changes.pop("dataproc", {})}, **changes)
    made = DataprocBackend.of(settings.model_copy(update={"spark": spark}))
    made.poll_seconds = 0.01
    return made


@pytest.fixture
def spark(settings: Settings, dataproc: Dataproc, cluster: str) -> DataprocBackend:
    return backend(settings, dataproc={"cluster": cluster})


def badly(cluster: str) -> tuple[str, ...]:
    return JOB_BADLY if cluster else BATCH_BADLY


def end_of(spark: DataprocBackend, handle: JobHandle) -> JobStatus:
    for _ in range(20):
        status = spark.poll(handle)
        if status.is_final:
            return status
    raise AssertionError("it did not end")


def failure_of(spark: DataprocBackend, handle: JobHandle) -> ProvenderError:
    status = end_of(spark, handle)
    assert status.state is not JobState.SUCCEEDED and status.error is not None
    return status.error


def driver_says(tmp_path: Path, *parts: str) -> None:
    for number, part in enumerate(parts):
        (tmp_path / "output" / f"driveroutput.{number:09d}").write_text(part)


# ---- what is sent


@pytest.mark.parametrize("cluster", [""], indirect=False)
def test_a_batch_carries_everything_the_settings_say(settings: Settings, dataproc: Dataproc) -> None:
    spark = backend(
        settings,
        conf={"spark.sql.shuffle.partitions": 400, "spark.eventLog.enabled": True},
        dataproc={
            "image": "europe-docker.pkg.dev/p/provender/spark:1",
            "runtime_version": "3.0",
            "service_account": "spark@p.iam.gserviceaccount.com",
            "subnetwork": "projects/p/regions/europe-west1/subnetworks/s",
            "network_tags": ["spark"],
            "staging_bucket": "staging",
            "history_server": "projects/p/regions/europe-west1/clusters/history",
            "ttl_seconds": 7200,
            "labels": {"team": "data"},
            "jars": ["gs://b/delta.jar"],
            "py_files": ["gs://b/more.zip"],
            "env": {"TZ": "UTC"},
            "secrets": {"PROVENDER_REDIS": "projects/p/secrets/redis/versions/latest"},
        },
    )
    handle = spark.submit(replace(JOB, conf=(("spark.sql.shuffle.partitions", "8"),)))
    made = dataproc.only
    assert made["pysparkBatch"] == {
        "mainPythonFileUri": "file:///opt/venv/lib/python3.11/site-packages/spark_jobs/launch.py",
        "args": [
            *("--env", "TZ=UTC"),
            *("--secret", "PROVENDER_REDIS=projects/p/secrets/redis/versions/latest"),
            *("spark_jobs.ingest", "--repo", "/opt/provender/feature_defs", "--source", "trips"),
            *("--attempt", handle.attempt),
        ],
        "jarFileUris": ["gs://b/delta.jar"],
        "pythonFileUris": ["gs://b/more.zip"],
    }
    assert made["runtimeConfig"] == {
        "version": "3.0",
        "containerImage": "europe-docker.pkg.dev/p/provender/spark:1",
        "properties": {
            "spark.executorEnv.TZ": "UTC",
            "spark.sql.shuffle.partitions": "8",
            "spark.eventLog.enabled": "true",
        },
    }
    execution = made["environmentConfig"]["executionConfig"]
    assert execution["serviceAccount"] == "spark@p.iam.gserviceaccount.com"
    assert (execution["networkTags"], execution["stagingBucket"], execution["ttl"]) == (
        ["spark"],
        "staging",
        "7200s",
    )
    history = made["environmentConfig"]["peripheralsConfig"]["sparkHistoryServerConfig"]
    assert history == {"dataprocCluster": "projects/p/regions/europe-west1/clusters/history"}
    assert made["labels"]["team"] == "data"


@pytest.mark.parametrize("cluster", ["spark-1"], indirect=False)
def test_a_job_names_its_cluster_and_itself(settings: Settings, dataproc: Dataproc) -> None:
    handle = backend(settings, dataproc={"cluster": "spark-1"}).submit(JOB)
    made = dataproc.only
    assert made["placement"] == {"clusterName": "spark-1"}
    assert made["reference"] == {"projectId": "p", "jobId": handle.reference}
    assert made["pysparkJob"]["args"][0] == "spark_jobs.ingest"


def test_a_submission_says_who_asked_for_it(spark: DataprocBackend, dataproc: Dataproc) -> None:
    handle = spark.submit(JOB)
    labels = dataproc.only["labels"]
    assert (labels["provender_job"], labels["provender_attempt"]) == (JOB.name, handle.attempt)
    assert labels["provender_run"] == "manual__2026-11-03t00-00-00-00-00"
    assert handle.reference in spark.place(handle)


def test_settings_of_a_batch_do_not_go_with_a_cluster() -> None:
    with pytest.raises(ValueError, match="image, ttl_seconds: the cluster has its own"):
        SparkSettings(dataproc={"cluster": "c", "image": "i", "ttl_seconds": 600})


@pytest.mark.parametrize("cluster", [""], indirect=False)
def test_without_a_region_nothing_is_sent(settings: Settings, dataproc: Dataproc) -> None:
    with pytest.raises(SettingsError, match="no region"):
        backend(settings, dataproc={"region": ""})


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ({"pysparkBatch": {"mainPythonFile": "a"}}, "Batch.pysparkBatch.mainPythonFile: unknown field"),
        ({"state": "RUNNING"}, "Batch.state: only Google may set it"),
        ({"labels": {"a": 1}}, "Batch.labels.a: 1 is not string"),
        ({"pysparkBatch": {"args": "a"}}, "Batch.pysparkBatch.args: not a list"),
        ({"environmentConfig": {"executionConfig": {"ttl": 600}}}, "600 is not google-duration"),
    ],
)
def test_googles_own_document_finds_what_google_would_refuse(body: dict[str, Any], found: str) -> None:
    assert found in "; ".join(problems("dataproc.v1", "Batch", body))


# ---- how it goes


def test_a_submission_runs_until_it_has_succeeded(spark: DataprocBackend, dataproc: Dataproc) -> None:
    handle = spark.submit(JOB)
    seen = [spark.poll(handle).state for _ in range(6)]
    assert seen == [JobState.RUNNING] * 4 + [JobState.SUCCEEDED] * 2


def test_the_reported_error_comes_back_as_its_own_class(
    settings: Settings, spark: DataprocBackend, dataproc: Dataproc, cluster: str
) -> None:
    dataproc.plan = badly(cluster)
    handle = spark.submit(JOB)
    write_failure(settings.storage_root, Failure(handle.attempt, OnlineStoreError("redis does not answer")))
    found = failure_of(spark, handle)
    assert isinstance(found, OnlineStoreError) and found.what == "redis does not answer"


def test_one_that_dies_says_what_dataproc_says(
    spark: DataprocBackend, dataproc: Dataproc, cluster: str
) -> None:
    handle = spark.submit(JOB)
    dataproc.becomes(handle.reference, badly(cluster)[-1], "Task was preempted")
    found = failure_of(spark, handle)
    assert isinstance(found, SparkUnavailableError) and "Task was preempted" in found.what


def test_one_that_was_deleted_is_a_clear_failure(spark: DataprocBackend, dataproc: Dataproc) -> None:
    handle = spark.submit(JOB)
    dataproc.batches.clear()
    dataproc.jobs.clear()
    assert "somebody deleted it" in failure_of(spark, handle).what
    spark.cancel(handle)
    assert next(spark.log_lines(handle, from_start=True)) is None


def test_the_drivers_output_is_read_as_far_as_there_is_one(
    spark: DataprocBackend, dataproc: Dataproc, tmp_path: Path
) -> None:
    handle = spark.submit(JOB)
    driver_says(tmp_path, "one\ntw", "o\n")
    assert [line for line, _ in zip(spark.log_lines(handle, from_start=True), range(3), strict=False)] == [
        "one",
        "two",
        None,
    ]
    dataproc.output_uri = ""
    dataproc.becomes(handle.reference, "RUNNING")
    assert next(spark.log_lines(handle, from_start=True)) == "The driver left no output"


@pytest.mark.gcs
@pytest.mark.parametrize("cluster", [""], indirect=False)
def test_the_drivers_output_in_a_bucket_is_read_part_by_part(
    spark: DataprocBackend, dataproc: Dataproc, gcs_server: GcsServer
) -> None:
    bucket = gcs_server.client().bucket(gcs_server.new_bucket())
    folder = "google-cloud-dataproc-metainfo/c/jobs/j"
    for name, text in (
        ("driveroutput.000000000", "on"),
        ("driveroutput.000000001", "e\ntwo\n"),
        ("other", "x"),
    ):
        bucket.blob(f"{folder}/{name}").upload_from_string(text)
    handle = spark.submit(JOB)
    dataproc.output_uri = f"gs://{bucket.name}/{folder}/driveroutput"
    dataproc.becomes(handle.reference, "RUNNING")
    lines = spark.log_lines(handle, from_start=True)
    assert [next(lines) for _ in range(3)] == ["one", "two", None]
    dataproc.output_uri = "gs://no-such-bucket/f/driveroutput"
    dataproc.becomes(handle.reference, "RUNNING")
    assert str(next(spark.log_lines(handle, from_start=True))).startswith(
        "The driver's output could not be fetched"
    )


# ---- found again


def test_a_running_submission_is_found_and_none_is_made_beside_it(
    spark: DataprocBackend, dataproc: Dataproc
) -> None:
    handle = spark.submit(JOB)
    assert spark.find(JOB.name) == handle
    assert spark.find(job_name("another")) is None


def test_one_that_ended_is_not_found_and_the_next_has_another_name(
    spark: DataprocBackend, dataproc: Dataproc
) -> None:
    handle = spark.submit(JOB)
    end_of(spark, handle)
    spark.take(handle)
    assert spark.find(JOB.name) is None
    again = spark.submit(JOB)
    assert (again.reference, again.attempt) != (handle.reference, handle.attempt)


def test_of_two_tries_at_once_one_makes_it_and_the_other_adopts_it(
    spark: DataprocBackend, dataproc: Dataproc, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = spark.submit(JOB)
    for kind in (Batches, ClusterJobs):
        monkeypatch.setattr(kind, "of_job", lambda *_: [])  # as it was before the other one's submission
    assert spark.submit(JOB) == first
    assert dataproc.submitted == [first.reference]


def test_a_submission_whose_answer_is_lost_is_found(spark: DataprocBackend, dataproc: Dataproc) -> None:
    dataproc.failures = [0, CUT_AFTER]
    with pytest.raises(SparkUnavailableError, match="cannot be reached"):
        spark.submit(JOB)
    found = spark.find(JOB.name)
    assert found is not None and end_of(spark, found).state is JobState.SUCCEEDED


def test_a_cancelled_submission_is_awaited_and_not_offered(
    spark: DataprocBackend, dataproc: Dataproc
) -> None:
    dataproc.looks_until_cancelled = 3
    handle = spark.submit(JOB)
    spark.cancel(handle)
    spark.cancel(handle)
    assert spark.find(JOB.name) is None
    assert dataproc.state_of(handle.reference) == "CANCELLED"
    assert "was cancelled" in failure_of(spark, handle).what
    spark.cancel(handle)


def test_one_that_does_not_end_is_not_waited_for_for_ever(
    spark: DataprocBackend, dataproc: Dataproc, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataproc_backend, "_END_SECONDS", 0.02)
    dataproc.looks_until_cancelled = 10_000
    spark.cancel(spark.submit(JOB))
    with pytest.raises(SparkUnavailableError, match="still being ended"):
        spark.find(JOB.name)


def test_one_that_ends_while_it_is_being_cancelled_is_no_error(
    spark: DataprocBackend, dataproc: Dataproc, cluster: str
) -> None:
    handle = spark.submit(JOB)
    found = spark._submissions.get(handle.reference)
    assert found is not None
    dataproc.becomes(handle.reference, "DONE" if cluster else "SUCCEEDED")
    spark._submissions.cancel(found)


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (429, SparkUnavailableError),
        (500, SparkUnavailableError),
        (503, SparkUnavailableError),
        (CUT_BEFORE, SparkUnavailableError),
        (401, SettingsError),
        (403, SettingsError),
        (400, TerminalError),
    ],
)
def test_each_refusal_says_whether_a_retry_can_mend_it(
    spark: DataprocBackend, dataproc: Dataproc, failure: int, kind: type[ProvenderError]
) -> None:
    dataproc.failures = [failure]
    with pytest.raises(ProvenderError) as raised:
        spark.submit(JOB)
    assert type(raised.value) is kind


# ---- the operator and its trigger


@pytest.fixture
def repo_on_dataproc(repo: Path, write_spec: WriteSpec, dataproc: Dataproc, cluster: str) -> Path:
    """The settings file names Dataproc."""
    write_spec()
    spark = (
        f"spark: {{backend: dataproc, dataproc: {{region: europe-west1, project: p, cluster: '{cluster}'}}}}"
    )
    file = repo / "feature_store.yaml"
    file.write_text(file.read_text().replace("provender: {", f"provender: {{{spark}, "))
    return repo


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DataprocBackend, "poll_seconds", 0.01)


def ingest(repo: Path, **changes: Any) -> IngestOperator:
    return IngestOperator(task_id="ingest", repo=str(repo), source="trips", **changes)


def context(try_number: int = 1) -> Any:
    ti = SimpleNamespace(dag_id="features__trips", task_id="ingest", run_id="a_run", try_number=try_number)
    return {
        "ti": ti,
        "dag_run": SimpleNamespace(
            partition_key="2026-11-03", run_after=datetime(2026, 11, 24, 9, tzinfo=UTC)
        ),
        "params": {"start": None, "end": None},
    }


def deferred(task: IngestOperator, **given: Any) -> TaskDeferred:
    with pytest.raises(TaskDeferred) as found:
        task.execute(context(**given))
    return found.value


def event_of(trigger: Any) -> dict[str, Any]:
    async def first() -> dict[str, Any]:
        async for event in trigger.run():
            return dict(event.payload)
        raise AssertionError("no event")

    return asyncio.run(asyncio.wait_for(first(), BOUND_SECONDS))


def resumed(repo: Path, waits: TaskDeferred) -> dict[str, Any]:
    _, arguments = waits.trigger.serialize()
    event = event_of(SparkJobTrigger(**json.loads(json.dumps(arguments))))
    return ingest(repo).resume(context(), event, **json.loads(json.dumps(waits.kwargs)))


def test_a_task_ends_with_its_attempts_manifest_and_nothing_less(
    repo_on_dataproc: Path, settings: Settings, dataproc: Dataproc
) -> None:
    waits = deferred(ingest(repo_on_dataproc))
    attempt = dataproc.only["labels"]["provender_attempt"]
    draft = Draft(
        Job.INGEST,
        attempt,
        Kind.MANIFEST,
        {"2026-11-03": ingested()},
        datetime.now(UTC),
        counts={"accepted": 3},
    )
    Ledger(storage_at(settings.storage_root), "trips").commit(draft)
    assert resumed(repo_on_dataproc, waits)["attempt"] == attempt
    with pytest.raises(SparkUnavailableError, match="committed no manifest"):
        resumed(repo_on_dataproc, deferred(ingest(repo_on_dataproc), try_number=2))


def test_a_retry_of_a_killed_worker_finds_the_submission(repo_on_dataproc: Path, dataproc: Dataproc) -> None:
    first = deferred(ingest(repo_on_dataproc))
    assert deferred(ingest(repo_on_dataproc), try_number=2).trigger.serialize() == first.trigger.serialize()
    assert len(dataproc.submitted) == 1


def test_a_worker_that_is_killed_while_it_submits_cancels_the_submission(
    repo_on_dataproc: Path, dataproc: Dataproc
) -> None:
    task = ingest(repo_on_dataproc)
    deferred(task)
    task.on_kill()
    assert dataproc.state_of(dataproc.submitted[0]) in ("CANCELLING", "CANCEL_PENDING")


def test_a_person_who_clears_the_waiting_task_cancels_the_submission(
    repo_on_dataproc: Path, dataproc: Dataproc
) -> None:
    waits = deferred(ingest(repo_on_dataproc))
    asyncio.run(waits.trigger.on_kill())
    assert dataproc.state_of(dataproc.submitted[0]) in ("CANCELLING", "CANCEL_PENDING")


def test_the_tasks_time_cancels_the_submission(repo_on_dataproc: Path, dataproc: Dataproc) -> None:
    waits = deferred(ingest(repo_on_dataproc, execution_timeout=timedelta(seconds=0.2)))
    dataproc.becomes(dataproc.submitted[0], "RUNNING")
    with pytest.raises(SparkUnavailableError, match="did not end in the task's time"):
        resumed(repo_on_dataproc, waits)
    assert dataproc.state_of(dataproc.submitted[0]) in ("CANCELLING", "CANCEL_PENDING")


def test_a_triggerer_that_starts_again_goes_on_waiting_through_an_outage(
    repo_on_dataproc: Path, dataproc: Dataproc
) -> None:
    waits = deferred(ingest(repo_on_dataproc))
    dataproc.becomes(dataproc.submitted[0], "RUNNING")

    async def stop_while_waiting() -> None:
        waiting = asyncio.ensure_future(anext(aiter(waits.trigger.run())))
        await asyncio.sleep(0.1)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

    asyncio.run(stop_while_waiting())
    assert dataproc.state_of(dataproc.submitted[0]) == "RUNNING"
    dataproc.plans[dataproc.submitted[0]] = ["RUNNING", "DONE" if dataproc.jobs else "SUCCEEDED"]
    dataproc.failures = [503, 429, CUT_BEFORE]
    _, arguments = waits.trigger.serialize()
    assert event_of(SparkJobTrigger(**arguments)) == {"state": "succeeded", "error": None}

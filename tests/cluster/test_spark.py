"""The life of a SparkApplication on a real API server, with the rights and the token of Airflow's workers."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from provender.clients.kubernetes_api import KubernetesApi
from provender.errors import SettingsError, SparkUnavailableError, TerminalError
from provender.settings import Settings, load_settings
from provender_airflow.spark.application import spark_application
from provender_airflow.spark.applications import Applications
from provender_airflow.spark.backend import JobHandle, JobState
from provender_airflow.spark.job import SparkJob, job_name
from provender_airflow.spark.kubernetes import KubernetesBackend
from tests.cluster.operators import Operators, spark_says
from tests.cluster.sandbox import SPARK, Sandbox, eventually

pytestmark = [pytest.mark.cluster, pytest.mark.airflow]

RUNNING = (
    "SUBMITTED",
    "RUNNING",
    "SUCCEEDING",
    "FAILING",
    "PENDING_RERUN",
    "INVALIDATING",
    "SUSPENDING",
    "SUSPENDED",
    "RESUMING",
)
_LOOK_SECONDS = 120.0


@pytest.fixture
def settings(repo: Path, spark_namespace: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Those of ``deploy/``, in the namespace of this run."""
    monkeypatch.setenv("PROVENDER_REDIS", "redis:6379")
    found = load_settings(repo)
    kubernetes = found.spark.kubernetes.model_copy(update={"namespace": spark_namespace})
    return found.model_copy(update={"spark": found.spark.model_copy(update={"kubernetes": kubernetes})})


@pytest.fixture
def applications(airflow: KubernetesApi, spark_namespace: str) -> Applications:
    return Applications(airflow, spark_namespace)


@pytest.fixture
def backend(settings: Settings, applications: Applications) -> KubernetesBackend:
    made = KubernetesBackend(settings, applications)
    made.poll_seconds = 0.05
    return made


@pytest.fixture
def job() -> SparkJob:
    """Another one each time."""
    name = job_name("features__trips", "ingest", secrets.token_hex(4))
    arguments = ("--repo", "/dags/feature_defs", "--source", "trips", "--attempt", "{attempt}")
    labels = (("dag", "features__trips"), ("task", "ingest"), ("try", "1"))
    return SparkJob("spark_jobs.ingest", arguments, name, labels=labels)


@pytest.fixture
def says(api: KubernetesApi, spark_namespace: str, operators: Operators) -> object:
    """Writes what the operator would write."""
    if operators.spark:
        pytest.skip("the Spark operator runs here, and writes the status itself")

    def write(handle: JobHandle, state: str, message: str = "") -> None:
        spark_says(api, spark_namespace, handle.reference, state, message)

    return write


def test_an_application_is_made_and_adopted_by_whoever_submits_the_same(
    backend: KubernetesBackend, applications: Applications, settings: Settings, job: SparkJob
) -> None:
    handle = backend.submit(job)
    assert backend.find(job.name) == handle
    there = applications.get(handle.reference)
    assert there is not None
    assert there["spec"]["arguments"][-1] == handle.attempt
    wanted = spark_application(settings, job, handle.reference, handle.attempt)
    assert {key: there["spec"][key] for key in wanted["spec"]} == wanted["spec"]  # nothing was dropped
    assert applications.create(wanted) is False
    assert backend.poll(handle).state is JobState.RUNNING
    backend.cancel(handle)


@pytest.mark.parametrize("state", RUNNING)
def test_a_state_in_between_is_running(
    backend: KubernetesBackend, job: SparkJob, says: object, state: str
) -> None:
    handle = backend.submit(job)
    says(handle, state)  # type: ignore[operator]
    assert backend.poll(handle).state is JobState.RUNNING
    backend.cancel(handle)


def test_one_that_completed_is_taken_note_of_once(
    backend: KubernetesBackend, job: SparkJob, says: object
) -> None:
    handle = backend.submit(job)
    says(handle, "COMPLETED")  # type: ignore[operator]
    assert backend.poll(handle).state is JobState.SUCCEEDED
    assert backend.find(job.name) == handle
    backend.take(handle)
    assert backend.find(job.name) is None
    assert backend.submit(job).reference != handle.reference


@pytest.mark.parametrize("state", ["FAILED", "SUBMISSION_FAILED", "UNKNOWN"])
def test_one_that_failed_says_why(
    backend: KubernetesBackend, job: SparkJob, says: object, state: str
) -> None:
    handle = backend.submit(job)
    says(handle, state, "the driver's pod was evicted")  # type: ignore[operator]
    status = backend.poll(handle)
    assert status.state is JobState.FAILED and status.error is not None
    assert "the driver's pod was evicted" in status.error.what


def test_one_that_is_cancelled_ends(
    backend: KubernetesBackend, job: SparkJob, box: Sandbox, spark_namespace: str, applications: Applications
) -> None:
    handle = backend.submit(job)
    backend.cancel(handle)
    there = applications.get(handle.reference)
    if there is not None:  # a garbage collector may have been faster
        assert there["metadata"]["finalizers"] == ["foregroundDeletion"]
        assert backend.poll(handle).state is JobState.CANCELLED
        box.collect_garbage(SPARK, spark_namespace, handle.reference)
    eventually("it is gone", lambda: applications.get(handle.reference) is None)
    status = backend.poll(handle)
    assert status.state is JobState.FAILED and isinstance(status.error, SparkUnavailableError)
    assert backend.find(job.name) is None
    backend.cancel(handle)  # gone already: no error


def test_a_later_object_of_the_same_name_is_not_deleted(
    backend: KubernetesBackend, applications: Applications, job: SparkJob
) -> None:
    handle = backend.submit(job)
    document = applications.get(handle.reference)
    assert document is not None
    document["metadata"]["uid"] = "00000000-0000-0000-0000-000000000000"
    applications.delete(document)
    assert backend.find(job.name) == handle
    backend.cancel(handle)


def test_a_field_that_the_operator_does_not_know_is_final(
    settings: Settings, applications: Applications, job: SparkJob
) -> None:
    document = spark_application(settings, job, job.name, "attempt")
    document["spec"]["driver"]["memoryy"] = "2g"
    with pytest.raises(TerminalError, match="memoryy"):
        applications.create(document)
    assert applications.get(job.name) is None


def test_another_namespace_is_not_allowed(airflow: KubernetesApi, box: Sandbox, job: SparkJob) -> None:
    elsewhere = Applications(airflow, box.place("provender-models"))
    with pytest.raises(SettingsError, match="answered 403"):
        elsewhere.select(f"provender.dev/job={job.name}")


def test_an_operator_that_runs_is_waited_for(
    backend: KubernetesBackend, job: SparkJob, operators: Operators, applications: Applications
) -> None:
    if not operators.spark:
        pytest.skip("no Spark operator runs here")
    handle = backend.submit(job)

    def seen() -> bool:
        there = applications.get(handle.reference)
        return there is not None and bool((there.get("status") or {}).get("applicationState"))

    eventually("the operator has seen it (does it watch this namespace?)", seen, _LOOK_SECONDS)
    backend.cancel(handle)
    eventually("it is gone", lambda: applications.get(handle.reference) is None, _LOOK_SECONDS)

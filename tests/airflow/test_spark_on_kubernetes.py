"""Spark applications on a cluster that is strict, slow, ill, or says no; their operator and trigger on top."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred
from kubernetes.client import ApiClient, Configuration

from provender.errors import (
    ContractError,
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
from provender_airflow.kubernetes_calls import SPARK_CALLS
from provender_airflow.operators.feast import FeastApplyOperator, IngestOperator
from provender_airflow.spark import kubernetes as kubernetes_backend
from provender_airflow.spark.applications import Applications
from provender_airflow.spark.backend import JobHandle, JobState, JobStatus
from provender_airflow.spark.job import SparkJob, job_name
from provender_airflow.spark.kubernetes import KubernetesBackend
from provender_airflow.spark.names import submission_name
from provender_airflow.triggers.spark import SparkJobTrigger
from tests.airflow.conftest import WriteSpec
from tests.airflow.spark_application_schema import problems
from tests.airflow.spark_cluster import BADLY, CUT_AFTER, CUT_BEFORE, SparkCluster, running
from tests.manifests import ingested

pytestmark = pytest.mark.airflow

BOUND_SECONDS = 20
KUBERNETES: dict[str, Any] = {"namespace": "spark", "image": "registry/spark:1"}
EVERYTHING: dict[str, Any] = {
    **KUBERNETES,
    "image_pull_secrets": ["registry-pull"],
    "service_account": "spark-driver",
    "google_key_secret": "user-gcp-sa",
    "redis_secret": "feast-redis",
    "registry_secret": "feast-registry",
    "env": {"TZ": "UTC"},
    "env_from_secrets": ["warehouse"],
    "driver": {
        "cores": 2,
        "memory": "4g",
        "memory_overhead": "1g",
        "core_request": "500m",
        "core_limit": "2",
        "java_options": "-XX:+UseG1GC",
        "node_selector": {"pool": "batch"},
        "annotations": {"a": "b"},
    },
    "executor": {
        "instances": 4,
        "memory": "8g",
        "tolerations": [{"key": "spot", "operator": "Equal", "value": "yes", "effect": "NoSchedule"}],
    },
    "dynamic_allocation": {"min_executors": 2, "max_executors": 20},
    "jars": ["gs://bucket/extra.jar"],
    "packages": ["a:b:1"],
    "py_files": ["gs://bucket/extra.zip"],
    "time_to_live_seconds": 3600,
}
JOB = SparkJob(
    "spark_jobs.ingest",
    ("--repo", "/dags/feature_defs", "--source", "trips", "--attempt", "{attempt}"),
    job_name("features__trips", "ingest", "scheduled__2026-11-03"),
    labels=(
        ("dag", "features__trips"),
        ("task", "ingest"),
        ("run", "manual__2026-11-03T00:00:00+00:00"),
        ("try", "1"),
    ),
)


@pytest.fixture
def cluster() -> Iterator[SparkCluster]:
    with running(SparkCluster()) as found:
        yield found


def client(cluster: SparkCluster) -> ApiClient:
    configuration = Configuration(host=cluster.url)
    configuration.retries = False
    return ApiClient(configuration)


def backend(settings: Settings, cluster: SparkCluster, **changes: Any) -> KubernetesBackend:
    spark = SparkSettings(
        backend="kubernetes", kubernetes={**KUBERNETES, **changes.pop("kubernetes", {})}, **changes
    )
    made = KubernetesBackend(
        settings.model_copy(update={"spark": spark}), Applications(client(cluster), "spark")
    )
    made.poll_seconds = 0.01
    return made


@pytest.fixture
def spark(settings: Settings, cluster: SparkCluster) -> KubernetesBackend:
    return backend(settings, cluster)


def end_of(spark: KubernetesBackend, handle: JobHandle) -> JobStatus:
    for _ in range(20):
        status = spark.poll(handle)
        if status.is_final:
            return status
    raise AssertionError("it did not end")


def failure_of(spark: KubernetesBackend, handle: JobHandle) -> ProvenderError:
    status = end_of(spark, handle)
    assert status.state is JobState.FAILED and status.error is not None
    return status.error


# ---- what is sent


def test_an_application_carries_everything_the_settings_say(
    settings: Settings, cluster: SparkCluster
) -> None:
    conf: dict[str, Any] = {"spark.sql.shuffle.partitions": 400, "spark.eventLog.enabled": True}
    handle = backend(settings, cluster, kubernetes=EVERYTHING, conf=conf).submit(
        replace(JOB, conf=(("spark.sql.shuffle.partitions", "8"),))
    )
    spec = cluster.only["spec"]
    assert spec["arguments"][:5] == [
        "spark_jobs.ingest",
        "--repo",
        "/opt/provender/feature_defs",
        "--source",
        "trips",
    ]
    assert spec["arguments"][-1] == handle.attempt
    assert spec["restartPolicy"] == {"type": "Never"}
    assert (spec["image"], spec["imagePullSecrets"]) == ("registry/spark:1", ["registry-pull"])
    assert spec["timeToLiveSeconds"] == 3600
    assert spec["sparkConf"] == {"spark.sql.shuffle.partitions": "8", "spark.eventLog.enabled": "true"}
    assert spec["deps"] == {
        "jars": ["gs://bucket/extra.jar"],
        "packages": ["a:b:1"],
        "pyFiles": ["gs://bucket/extra.zip"],
    }
    assert spec["dynamicAllocation"] == {"enabled": True, "minExecutors": 2, "maxExecutors": 20}
    driver, executor = spec["driver"], spec["executor"]
    assert (driver["cores"], driver["memory"], driver["memoryOverhead"]) == (2, "4g", "1g")
    assert (driver["coreRequest"], driver["coreLimit"], driver["javaOptions"]) == (
        "500m",
        "2",
        "-XX:+UseG1GC",
    )
    assert (driver["nodeSelector"], driver["annotations"]) == ({"pool": "batch"}, {"a": "b"})
    assert "instances" not in executor
    assert executor["tolerations"] == [
        {"key": "spot", "operator": "Equal", "value": "yes", "effect": "NoSchedule"}
    ]
    for pod in (driver, executor):
        assert pod["serviceAccount"] == "spark-driver"
        assert pod["secrets"] == [
            {"name": "user-gcp-sa", "path": "/mnt/secrets/google", "secretType": "GCPServiceAccount"}
        ]
        assert pod["envFrom"] == [{"secretRef": {"name": "warehouse"}}]
        assert {"name": "TZ", "value": "UTC"} in pod["env"]


def test_the_password_of_the_online_store_is_a_secrets(settings: Settings, cluster: SparkCluster) -> None:
    secret = settings.model_copy(update={"redis": "redis:6379,password=hunter2"})
    backend(secret, cluster, kubernetes={"redis_secret": "feast-redis"}).submit(JOB)
    assert "hunter2" not in json.dumps(cluster.only)
    reference = {"name": "feast-redis", "key": "connection_string"}
    assert cluster.only["spec"]["driver"]["env"] == [
        {"name": "PROVENDER_REDIS", "valueFrom": {"secretKeyRef": reference}}
    ]


def test_the_registry_is_the_drivers_alone(settings: Settings, cluster: SparkCluster) -> None:
    backend(settings, cluster, kubernetes={"registry_secret": "feast-registry"}).submit(JOB)
    reference = {"name": "feast-registry", "key": "url"}
    assert cluster.only["spec"]["driver"]["env"] == [
        {"name": "PROVENDER_REGISTRY", "valueFrom": {"secretKeyRef": reference}}
    ]
    assert "env" not in cluster.only["spec"]["executor"]


def test_with_workload_identity_no_key_is_mounted(spark: KubernetesBackend, cluster: SparkCluster) -> None:
    spark.submit(JOB)
    assert "secrets" not in cluster.only["spec"]["driver"]


def test_an_application_says_who_asked_for_it(spark: KubernetesBackend, cluster: SparkCluster) -> None:
    handle = spark.submit(JOB)
    labels = cluster.only["metadata"]["labels"]
    assert labels["provender.dev/job"] == JOB.name
    assert labels["provender.dev/attempt"] == handle.attempt
    assert labels["provender.dev/run"] == "manual__2026-11-03T00-00-00-00-00"
    assert (labels["provender.dev/task"], labels["provender.dev/try"]) == ("ingest", "1")
    annotations = cluster.only["metadata"]["annotations"]
    assert annotations["provender.dev/run"] == "manual__2026-11-03T00:00:00+00:00"
    assert cluster.only["spec"]["driver"]["labels"] == labels


@pytest.mark.parametrize(
    ("path", "value", "found"),
    [
        (("spec", "imagePulPolicy"), "Always", 'unknown field "spec.imagePulPolicy"'),
        (("spec", "driver", "cores"), "2", "cores: '2' is not integer"),
        (("spec", "driver", "tolerations"), [{"keys": "a"}], "unknown field"),
        (("spec", "restartPolicy", "type"), "Sometimes", "'Sometimes' is not Never"),
        (("spec", "executor", "instances"), 0, "0 is not integer>=1"),
        (("metadata", "name"), "2fast", "not a DNS-1035 label"),
    ],
)
def test_the_schema_refuses_what_a_real_server_would(
    spark: KubernetesBackend, cluster: SparkCluster, path: tuple[str, ...], value: Any, found: str
) -> None:
    spark.submit(JOB)
    document = {key: cluster.only[key] for key in ("apiVersion", "kind", "metadata", "spec")}
    assert problems(document) == []
    inner = document
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    assert found in "; ".join(problems(document))


@pytest.mark.parametrize(
    "wrong",
    [
        {"driver": {"tolerations": [{"key": "a", "value": "b"}]}},
        {"dynamic_allocation": {"min_executors": 3, "max_executors": 2}},
        {"time_to_live_seconds": 5},
        {"drivr": {}},
    ],
)
def test_settings_that_the_operator_would_stumble_over_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        SparkSettings(kubernetes=wrong)


def test_without_an_image_nothing_is_sent(settings: Settings, cluster: SparkCluster) -> None:
    with pytest.raises(SettingsError, match="no image for Spark"):
        backend(settings, cluster, kubernetes={"image": ""}).submit(JOB)
    assert cluster.submitted == []


@pytest.mark.parametrize("dag", ["2fast", "-x-", "a" * 200, "features__trips"])
def test_names_are_what_operator_and_spark_can_add_to(dag: str) -> None:
    name = submission_name(job_name(dag, "t", "r"), 9999)
    assert len(name) <= 50 and name[0].isalpha() and "--" not in name
    assert name == submission_name(job_name(dag, "t", "r"), 9999)


# ---- how it goes


def test_an_application_is_pending_and_running_until_it_has_succeeded(
    spark: KubernetesBackend, cluster: SparkCluster
) -> None:
    handle, seen = spark.submit(JOB), []
    for _ in range(5):
        seen.append(spark.poll(handle).state)
    assert seen == [JobState.RUNNING] * 3 + [JobState.SUCCEEDED] * 2


def test_the_reported_error_comes_back_as_its_own_class(
    settings: Settings, spark: KubernetesBackend, cluster: SparkCluster
) -> None:
    cluster.plan = BADLY
    handle = spark.submit(JOB)
    write_failure(settings.storage_root, Failure(handle.attempt, OnlineStoreError("redis does not answer")))
    found = failure_of(spark, handle)
    assert isinstance(found, OnlineStoreError) and found.what == "redis does not answer"


def test_a_failure_document_of_another_attempt_does_not_count(
    settings: Settings, spark: KubernetesBackend, cluster: SparkCluster
) -> None:
    cluster.plan = BADLY
    handle = spark.submit(JOB)
    write_failure(settings.storage_root, Failure("another", OnlineStoreError("redis does not answer")))
    assert isinstance(failure_of(spark, handle), SparkUnavailableError)


def test_a_failure_document_that_cannot_be_read_does_not_hide_that_the_job_failed(
    settings: Settings, spark: KubernetesBackend, cluster: SparkCluster
) -> None:
    cluster.plan = BADLY
    handle = spark.submit(JOB)
    with storage_at(settings.storage_root).writing(f"failures/{handle.attempt}.json") as file:
        file.write(b"{")
    assert isinstance(failure_of(spark, handle), SparkUnavailableError)


def test_an_exit_code_that_no_retry_mends_is_terminal(
    spark: KubernetesBackend, cluster: SparkCluster
) -> None:
    handle = spark.submit(JOB)
    ended = {"terminated": {"exitCode": 3, "reason": "Error"}}
    cluster.pod_ends(handle.reference, phase="Failed", containerStatuses=[{"name": "driver", "state": ended}])
    cluster.becomes(handle.reference, "FAILED")
    assert isinstance(failure_of(spark, handle), TerminalError)


def test_a_driver_that_was_evicted_says_why(spark: KubernetesBackend, cluster: SparkCluster) -> None:
    handle = spark.submit(JOB)
    cluster.pod_ends(handle.reference, phase="Failed", reason="Evicted", message="The node was low on memory")
    cluster.becomes(handle.reference, "FAILED", "driver container status missing")
    found = failure_of(spark, handle)
    assert isinstance(found, SparkUnavailableError)
    assert "Evicted: The node was low on memory" in found.what
    assert "driver container status missing" in found.what


def test_a_driver_without_memory_says_so(spark: KubernetesBackend, cluster: SparkCluster) -> None:
    handle = spark.submit(JOB)
    killed = {"name": "driver", "state": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}
    cluster.pod_ends(handle.reference, phase="Failed", containerStatuses=[killed])
    cluster.becomes(handle.reference, "FAILED")
    assert "OOMKilled, exit code 137" in failure_of(spark, handle).what


def test_a_driver_that_is_lost_with_its_node_is_a_failure(
    spark: KubernetesBackend, cluster: SparkCluster
) -> None:
    handle = spark.submit(JOB)
    cluster.becomes(handle.reference, "UNKNOWN")
    assert spark.poll(handle).state is JobState.RUNNING
    cluster.loses_pod(handle.reference)
    found = failure_of(spark, handle)
    assert isinstance(found, SparkUnavailableError) and "the driver's pod is gone" in found.what
    spark.take(handle)
    assert spark.find(JOB.name) is None
    assert cluster.applications == {}


def test_a_submission_that_failed_is_a_failure(spark: KubernetesBackend, cluster: SparkCluster) -> None:
    handle = spark.submit(JOB)
    cluster.becomes(handle.reference, "SUBMISSION_FAILED", "failed to run spark-submit: no such image")
    assert "no such image" in failure_of(spark, handle).what


@pytest.mark.parametrize("state", ["PENDING_RERUN", "INVALIDATING", "SUSPENDED", "of a later version"])
def test_a_state_between_two_others_is_waited_out(
    spark: KubernetesBackend, cluster: SparkCluster, state: str
) -> None:
    handle = spark.submit(JOB)
    cluster.becomes(handle.reference, state)
    assert spark.poll(handle).state is JobState.RUNNING


def test_an_application_that_is_gone_before_its_end_was_seen_is_a_clear_failure(
    spark: KubernetesBackend, cluster: SparkCluster
) -> None:
    handle = spark.submit(JOB)
    cluster.forgets(handle.reference)
    assert "is gone: deleted, or past its time to live" in failure_of(spark, handle).what
    assert list(zip(range(1), spark.log_lines(handle, from_start=True), strict=False)) == [(0, None)]
    spark.take(handle)
    spark.cancel(handle)


def test_another_one_of_the_same_name_is_not_mistaken_for_it(
    spark: KubernetesBackend, cluster: SparkCluster
) -> None:
    first = spark.submit(JOB)
    cluster.forgets(first.reference)
    second = spark.submit(JOB)
    assert second.reference == first.reference and second.attempt != first.attempt
    assert "is gone" in failure_of(spark, first).what
    spark.cancel(first)
    assert end_of(spark, second).state is JobState.SUCCEEDED


def test_an_operator_that_does_not_look_is_named(spark: KubernetesBackend, cluster: SparkCluster) -> None:
    cluster.is_watched = False
    handle = spark.submit(JOB)
    assert spark.poll(handle).state is JobState.RUNNING
    cluster.ages(handle.reference, 700)
    found = failure_of(spark, handle)
    assert "has not picked up" in found.what and "watch the namespace spark" in found.remedy
    spark.take(handle)
    assert spark.find(JOB.name) is None


def test_a_driver_that_cannot_start_is_not_waited_for_for_ever(
    spark: KubernetesBackend, cluster: SparkCluster
) -> None:
    handle = spark.submit(JOB)
    cluster.becomes(handle.reference, "SUBMITTED")
    waiting = {"reason": "CreateContainerConfigError", "message": 'secret "feast-redis" not found'}
    cluster.pod_ends(
        handle.reference,
        phase="Pending",
        containerStatuses=[{"name": "driver", "state": {"waiting": waiting}}],
    )
    assert spark.poll(handle).state is JobState.RUNNING
    cluster.ages(handle.reference, 400)
    assert 'secret "feast-redis" not found' in failure_of(spark, handle).what
    spark.take(handle)
    assert spark.find(JOB.name) is None


def test_a_driver_without_a_node_is_waited_for(spark: KubernetesBackend, cluster: SparkCluster) -> None:
    handle = spark.submit(JOB)
    cluster.becomes(handle.reference, "SUBMITTED")
    cluster.pod_ends(
        handle.reference, phase="Pending", conditions=[{"type": "PodScheduled", "reason": "Unschedulable"}]
    )
    cluster.ages(handle.reference, 4000)
    assert spark.poll(handle).state is JobState.RUNNING


def test_the_drivers_log_is_read_as_far_as_there_is_one(
    spark: KubernetesBackend, cluster: SparkCluster
) -> None:
    cluster.log = "one\ntwo\n"
    handle = spark.submit(JOB)
    assert [line for _, line in zip(range(3), spark.log_lines(handle, from_start=True), strict=False)] == [
        "one",
        "two",
        None,
    ]
    cluster.loses_pod(handle.reference)
    (line,) = [each for _, each in zip(range(1), spark.log_lines(handle, from_start=True), strict=False)]
    assert line is not None and line.startswith("The driver's log is not to be had")


# ---- found again


def test_a_running_application_is_found_and_none_is_made_beside_it(
    spark: KubernetesBackend, cluster: SparkCluster
) -> None:
    handle = spark.submit(JOB)
    assert spark.find(JOB.name) == handle
    assert spark.find(job_name("another")) is None


def test_one_that_ended_unseen_is_found_until_it_is_taken(
    spark: KubernetesBackend, cluster: SparkCluster
) -> None:
    handle = spark.submit(JOB)
    assert end_of(spark, handle).state is JobState.SUCCEEDED
    assert spark.find(JOB.name) == handle
    spark.take(handle)
    assert spark.find(JOB.name) is None
    again = spark.submit(JOB)
    assert again.reference != handle.reference and again.attempt != handle.attempt
    assert len(cluster.applications) == 2


def test_of_two_tries_at_once_one_makes_it_and_the_other_adopts_it(
    spark: KubernetesBackend, cluster: SparkCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = spark.submit(JOB)
    monkeypatch.setattr(Applications, "select", lambda *_: [])  # as it was before the other one's submission
    assert spark.submit(JOB) == first
    assert cluster.submitted == [first.reference]


def test_a_name_that_is_taken_by_one_that_ended_is_passed_over(
    spark: KubernetesBackend, cluster: SparkCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = spark.submit(JOB)
    end_of(spark, first)
    spark.take(first)
    monkeypatch.setattr(Applications, "select", lambda *_: [])
    assert spark.submit(JOB).reference == first.reference[:-1] + "2"


def test_a_submission_whose_answer_is_lost_is_found(spark: KubernetesBackend, cluster: SparkCluster) -> None:
    cluster.failures = [CUT_BEFORE]
    with pytest.raises(SparkUnavailableError, match="cannot be reached"):
        spark.submit(JOB)
    assert spark.find(JOB.name) is None
    cluster.failures = [0, CUT_AFTER]
    with pytest.raises(SparkUnavailableError, match="cannot be reached"):
        spark.submit(JOB)
    found = spark.find(JOB.name)
    assert found is not None and found.reference == cluster.submitted[0]
    assert end_of(spark, found).state is JobState.SUCCEEDED


def test_a_cancelled_application_is_awaited_and_not_offered(
    spark: KubernetesBackend, cluster: SparkCluster
) -> None:
    cluster.looks_until_gone = 3
    handle = spark.submit(JOB)
    spark.cancel(handle)
    assert spark.poll(handle).state is JobState.CANCELLED
    assert spark.find(JOB.name) is None
    assert cluster.applications == {}
    spark.cancel(handle)


def test_one_that_does_not_end_is_not_waited_for_for_ever(
    spark: KubernetesBackend, cluster: SparkCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubernetes_backend, "_END_SECONDS", 0.02)
    cluster.looks_until_gone = 10_000
    spark.cancel(spark.submit(JOB))
    with pytest.raises(SparkUnavailableError, match="still being ended"):
        spark.find(JOB.name)


# ---- an API that is ill, or says no


@pytest.mark.parametrize(
    ("failure", "kind", "said"),
    [
        (429, SparkUnavailableError, "429"),
        (500, SparkUnavailableError, "500"),
        (503, SparkUnavailableError, "503"),
        (CUT_BEFORE, SparkUnavailableError, "cannot be reached"),
        ((403, 'pods "x" is forbidden: exceeded quota: team'), SparkUnavailableError, "exceeded quota"),
        ((403, 'User "airflow" cannot list resource'), SettingsError, "cannot list"),
        (401, SettingsError, "401"),
        ((403, 'admission webhook "v" denied the request: no'), TerminalError, "denied the request"),
        (400, TerminalError, "400"),
        (422, TerminalError, "422"),
    ],
)
def test_each_refusal_says_whether_a_retry_can_mend_it(
    spark: KubernetesBackend, cluster: SparkCluster, failure: Any, kind: type[ProvenderError], said: str
) -> None:
    cluster.failures = [failure]
    with pytest.raises(ProvenderError, match=said) as raised:
        spark.submit(JOB)
    assert type(raised.value) is kind


def test_a_cluster_without_the_operator_is_one_setting_away(
    spark: KubernetesBackend, cluster: SparkCluster
) -> None:
    cluster.failures = [0, 404]
    with pytest.raises(SettingsError, match="does not know SparkApplications, or the namespace spark"):
        spark.submit(JOB)


def test_without_a_cluster_the_connection_is_named(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_KUBERNETES_DEFAULT", json.dumps({"conn_type": "kubernetes"}))
    monkeypatch.setattr(
        "kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "nothing")
    )
    with pytest.raises(SettingsError, match="no Kubernetes cluster is configured") as raised:
        KubernetesBackend.of(settings)
    assert "kubernetes_default" in raised.value.remedy


# ---- the operator and its trigger


@pytest.fixture
def repo_on_cluster(
    repo: Path, write_spec: WriteSpec, cluster: SparkCluster, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The settings file names the cluster; Airflow's connection leads there."""
    write_spec()
    spark = "spark: {backend: kubernetes, kubernetes: {namespace: spark, image: 'registry/spark:1'}}"
    file = repo / "feature_store.yaml"
    file.write_text(file.read_text().replace("provender: {", f"provender: {{{spark}, "))
    config = repo / "kubeconfig"
    config.write_text(
        json.dumps(
            {
                "current-context": "test",
                "clusters": [{"name": "test", "cluster": {"server": cluster.url}}],
                "users": [{"name": "test", "user": {}}],
                "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            }
        )
    )
    connection = {"conn_type": "kubernetes", "extra": {"kube_config_path": str(config)}}
    monkeypatch.setenv("AIRFLOW_CONN_KUBERNETES_DEFAULT", json.dumps(connection))
    monkeypatch.setattr(KubernetesBackend, "poll_seconds", 0.01)
    return repo


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


def commit(repo: Path, settings: Settings, attempt: str) -> None:
    draft = Draft(
        Job.INGEST,
        attempt,
        Kind.MANIFEST,
        {"2026-11-03": ingested()},
        datetime.now(UTC),
        counts={"accepted": 3},
    )
    Ledger(storage_at(settings.storage_root), "trips").commit(draft)


def event_of(trigger: Any) -> dict[str, Any]:
    async def first() -> dict[str, Any]:
        async for event in trigger.run():
            return dict(event.payload)
        raise AssertionError("no event")

    return asyncio.run(asyncio.wait_for(first(), BOUND_SECONDS))


def resumed(repo: Path, waits: TaskDeferred, said: list[str] | None = None) -> dict[str, Any]:
    """What the task returns after its trigger fired, both passed through Airflow's database."""
    _, arguments = waits.trigger.serialize()
    event = event_of(SparkJobTrigger(**json.loads(json.dumps(arguments))))
    return ingest(repo).resume(
        context(), json.loads(json.dumps(event)), **json.loads(json.dumps(waits.kwargs))
    )


def attempt_of(cluster: SparkCluster) -> str:
    return str(cluster.only["metadata"]["labels"]["provender.dev/attempt"])


def test_a_task_waits_without_a_worker_and_ends_with_its_attempts_manifest(
    repo_on_cluster: Path, settings: Settings, cluster: SparkCluster
) -> None:
    waits = deferred(ingest(repo_on_cluster))
    commit(repo_on_cluster, settings, attempt_of(cluster))
    result = resumed(repo_on_cluster, waits)
    assert (result["accepted"], result["attempt"]) == (3, attempt_of(cluster))
    assert cluster.only["metadata"]["labels"]["provender.dev/taken"] == "true"
    assert cluster.only["metadata"]["labels"]["provender.dev/dag"] == "features__trips"


def test_an_application_that_ended_well_without_its_attempts_manifest_has_not_succeeded(
    repo_on_cluster: Path, settings: Settings, cluster: SparkCluster
) -> None:
    waits = deferred(ingest(repo_on_cluster))
    commit(repo_on_cluster, settings, "of-another-attempt")
    with pytest.raises(SparkUnavailableError, match="committed no manifest"):
        resumed(repo_on_cluster, waits)


def test_the_drivers_log_is_in_the_tasks_log(
    repo_on_cluster: Path, settings: Settings, cluster: SparkCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.plan, cluster.log = BADLY, "read 3 files\n"
    waits, said = deferred(ingest(repo_on_cluster)), list[str]()
    error = ContractError("12% of the rows break the contract")
    write_failure(settings.storage_root, Failure(attempt_of(cluster), error))

    def say(text: str, *arguments: Any) -> None:
        said.append(text % arguments if arguments else text)

    monkeypatch.setattr(IngestOperator, "log", SimpleNamespace(info=say, warning=say))
    with pytest.raises(ContractError, match="12% of the rows"):
        resumed(repo_on_cluster, waits)
    assert "read 3 files" in said


def test_a_retry_of_a_killed_worker_finds_the_application(
    repo_on_cluster: Path, cluster: SparkCluster
) -> None:
    first = deferred(ingest(repo_on_cluster))
    second = deferred(ingest(repo_on_cluster), try_number=2)
    assert first.trigger.serialize() == second.trigger.serialize()
    assert len(cluster.submitted) == 1


def test_a_retry_finds_one_that_ended_meanwhile(
    repo_on_cluster: Path, settings: Settings, cluster: SparkCluster
) -> None:
    deferred(ingest(repo_on_cluster))
    commit(repo_on_cluster, settings, attempt_of(cluster))
    cluster.becomes(cluster.submitted[0], "COMPLETED")
    assert ingest(repo_on_cluster).execute(context(try_number=2))["attempt"] == attempt_of(cluster)
    deferred(ingest(repo_on_cluster), try_number=3)
    assert len(cluster.submitted) == 2


def test_a_retry_after_a_failure_starts_a_new_one(repo_on_cluster: Path, cluster: SparkCluster) -> None:
    cluster.plan = BADLY
    waits = deferred(ingest(repo_on_cluster))
    with pytest.raises(SparkUnavailableError, match="ended without a report"):
        resumed(repo_on_cluster, waits)
    deferred(ingest(repo_on_cluster), try_number=2)
    assert len(cluster.submitted) == 2


def test_a_worker_that_is_killed_while_it_submits_ends_the_application(
    repo_on_cluster: Path, cluster: SparkCluster
) -> None:
    task = ingest(repo_on_cluster)
    task.on_kill()
    with pytest.raises(SparkUnavailableError, match="was cancelled"):
        task.execute(context())
    later = ingest(repo_on_cluster)
    deferred(later, try_number=2)
    later.on_kill()
    assert "deletionTimestamp" in cluster.applications[cluster.submitted[-1]]["metadata"]


def test_a_person_who_clears_the_waiting_task_ends_the_application(
    repo_on_cluster: Path, cluster: SparkCluster
) -> None:
    waits = deferred(ingest(repo_on_cluster))
    asyncio.run(waits.trigger.on_kill())
    assert "deletionTimestamp" in cluster.only["metadata"]
    asyncio.run(waits.trigger.on_kill())


def test_a_triggerer_that_stops_leaves_the_application_alone(
    repo_on_cluster: Path, cluster: SparkCluster
) -> None:
    waits = deferred(ingest(repo_on_cluster))
    cluster.becomes(cluster.submitted[0], "RUNNING")

    async def stop_while_waiting() -> None:
        waiting = asyncio.ensure_future(anext(aiter(waits.trigger.run())))
        await asyncio.sleep(0.1)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

    asyncio.run(stop_while_waiting())
    assert "deletionTimestamp" not in cluster.only["metadata"]
    cluster.becomes(cluster.submitted[0], "COMPLETED")
    _, arguments = waits.trigger.serialize()
    assert event_of(SparkJobTrigger(**arguments)) == {"state": "succeeded", "error": None}


def test_the_tasks_time_ends_the_application(repo_on_cluster: Path, cluster: SparkCluster) -> None:
    waits = deferred(ingest(repo_on_cluster, execution_timeout=timedelta(seconds=0.2)))
    cluster.becomes(cluster.submitted[0], "RUNNING")
    with pytest.raises(SparkUnavailableError, match="did not end in the task's time"):
        resumed(repo_on_cluster, waits)
    assert "deletionTimestamp" in cluster.only["metadata"]


def test_a_short_outage_is_waited_out(repo_on_cluster: Path, cluster: SparkCluster) -> None:
    waits = deferred(ingest(repo_on_cluster))
    cluster.failures = [500, 429, CUT_BEFORE, 503]
    assert event_of(waits.trigger) == {"state": "succeeded", "error": None}


def test_an_outage_that_lasts_fails_the_task_and_a_retry_finds_the_application(
    repo_on_cluster: Path, cluster: SparkCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provender_airflow.triggers.spark.PATIENCE_SECONDS", 0.05)
    waits = deferred(ingest(repo_on_cluster))
    cluster.failures = [503] * 1000
    with pytest.raises(SparkUnavailableError, match="503"):
        resumed(repo_on_cluster, waits)
    cluster.failures = []
    deferred(ingest(repo_on_cluster), try_number=2)
    assert len(cluster.submitted) == 1


def test_rights_that_are_missing_are_heard_of_at_once(repo_on_cluster: Path, cluster: SparkCluster) -> None:
    waits = deferred(ingest(repo_on_cluster))
    cluster.failures = [403]
    assert event_of(waits.trigger)["error"]["kind"] == "SettingsError"


def test_what_needs_no_spark_runs_beside_the_task(repo_on_cluster: Path, cluster: SparkCluster) -> None:
    job = FeastApplyOperator(task_id="apply", repo=str(repo_on_cluster)).spark_job(context())
    assert not job.needs_spark


# ---- the recorder


def test_the_calls_that_the_role_has_to_allow_are_those_that_are_made(
    repo_on_cluster: Path, settings: Settings, cluster: SparkCluster
) -> None:
    waits = deferred(ingest(repo_on_cluster))
    commit(repo_on_cluster, settings, attempt_of(cluster))
    resumed(repo_on_cluster, waits)
    cluster.plan = BADLY
    waits = deferred(ingest(repo_on_cluster), try_number=2)
    with pytest.raises(SparkUnavailableError):
        resumed(repo_on_cluster, waits)
    asyncio.run(deferred(ingest(repo_on_cluster), try_number=3).trigger.on_kill())
    assert cluster.calls == SPARK_CALLS


@pytest.mark.parametrize("missing", sorted(SPARK_CALLS - {("", "pods", "get"), ("", "pods/log", "get")}))
def test_without_a_right_the_message_names_the_role(
    settings: Settings, cluster: SparkCluster, missing: tuple[str, str, str]
) -> None:
    cluster.allowed = SPARK_CALLS - {missing}
    spark = backend(settings, cluster)

    def walk() -> None:
        handle = spark.submit(JOB)
        end_of(spark, handle)
        spark.take(handle)
        spark.cancel(handle)

    _raises(walk, f"cannot {missing[2]} resource")


def _raises(walk: Callable[[], None], said: str) -> None:
    with pytest.raises(SettingsError, match=said) as raised:
        walk()
    assert "rbac.yaml" in raised.value.remedy

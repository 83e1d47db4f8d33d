"""A job as the Spark operator's SparkApplication: a plain dictionary, and what its status says.

Fields are those of the operator's public API reference, sparkoperator.k8s.io/v1beta2
(https://github.com/kubeflow/spark-operator/blob/master/docs/api-docs.md). ``env``, secrets and tolerations reach the
pods through the operator's webhook, which has to be on.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from provender.errors import SettingsError
from provender.settings import REDIS_VARIABLE, REGISTRY_VARIABLE, SETTINGS_FILE, Settings
from provender.spark_settings import ExecutorSettings, KubernetesSparkSettings, PodSettings
from provender_airflow.spark.job import SparkJob
from provender_airflow.spark.names import arguments_for, label_value

GROUP, VERSION, PLURAL = "sparkoperator.k8s.io", "v1beta2", "sparkapplications"
PREFIX = "provender.dev"
JOB_LABEL = f"{PREFIX}/job"
TAKEN_LABEL = f"{PREFIX}/taken"
"""Somebody took note of how it ended."""
ATTEMPT_LABEL = f"{PREFIX}/attempt"
DRIVER_CONTAINER = "spark-kubernetes-driver"
_GOOGLE_KEY_PATH = "/mnt/secrets/google"


def spark_application(settings: Settings, job: SparkJob, name: str, attempt: str) -> dict[str, Any]:
    """The object that runs ``job`` as ``attempt``. Raises :class:`SettingsError` where settings are missing."""
    ours = settings.spark.kubernetes
    if not ours.image:
        raise SettingsError(
            "there is no image for Spark",
            where=f"{settings.repo / SETTINGS_FILE}, provender.spark.kubernetes.image",
            remedy="build deploy/images/spark, and name it there",
        )
    labels = labels_of(job, attempt)
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "SparkApplication",
        "metadata": {
            "name": name,
            "namespace": ours.namespace,
            "labels": labels,
            "annotations": {f"{PREFIX}/{key}": value for key, value in job.labels},
        },
        "spec": {
            "type": "Python",
            "pythonVersion": "3",
            "mode": "cluster",
            "sparkVersion": ours.spark_version,
            "image": ours.image,
            "imagePullPolicy": ours.image_pull_policy,
            "imagePullSecrets": list(ours.image_pull_secrets),
            "mainApplicationFile": ours.launcher,
            "arguments": [job.module, *arguments_for(job, attempt, ours.repo)],
            "sparkConf": spark_conf(settings, job),
            "restartPolicy": {"type": "Never"},
            "timeToLiveSeconds": ours.time_to_live_seconds,
            "deps": _dependencies(ours),
            "driver": _driver(ours, labels),
            "executor": _executor(ours, labels),
            **_dynamic_allocation(ours),
        },
    }


def spark_conf(settings: Settings, job: SparkJob) -> dict[str, str]:
    """The settings' configuration, and over it the job's own."""
    given = {name: _text(value) for name, value in settings.spark.conf.items()}
    return {**given, **dict(job.conf)}


def labels_of(job: SparkJob, attempt: str) -> dict[str, str]:
    """What objects and pods are found by."""
    return {
        "app.kubernetes.io/managed-by": "provender",
        JOB_LABEL: job.name,
        ATTEMPT_LABEL: attempt,
        **{f"{PREFIX}/{key}": label_value(value) for key, value in job.labels},
    }


def label(document: Mapping[str, Any], name: str) -> str:
    """The value of a label; empty if there is none."""
    return str((document["metadata"].get("labels") or {}).get(name, ""))


def state_of(document: Mapping[str, Any]) -> str:
    """The operator's word for how it stands; empty as long as it has not picked it up."""
    return str(_application_state(document).get("state") or "")


def message_of(document: Mapping[str, Any]) -> str:
    """Why it failed, in the operator's words."""
    return str(_application_state(document).get("errorMessage") or "")


def driver_of(document: Mapping[str, Any]) -> str:
    """The driver's pod."""
    info = (document.get("status") or {}).get("driverInfo") or {}
    return str(info.get("podName") or f"{document['metadata']['name']}-driver")


def is_being_deleted(document: Mapping[str, Any]) -> bool:
    return bool(document["metadata"].get("deletionTimestamp"))


def age_seconds(document: Mapping[str, Any]) -> float:
    """Since the API server made it; 0 if it does not say."""
    created = document["metadata"].get("creationTimestamp")
    return (datetime.now(UTC) - datetime.fromisoformat(created)).total_seconds() if created else 0.0


def _application_state(document: Mapping[str, Any]) -> Mapping[str, Any]:
    return (document.get("status") or {}).get("applicationState") or {}


def _pod(ours: KubernetesSparkSettings, pod: PodSettings, labels: Mapping[str, str]) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "cores": pod.cores,
        "memory": pod.memory,
        "memoryOverhead": pod.memory_overhead,
        "coreRequest": pod.core_request,
        "coreLimit": pod.core_limit,
        "javaOptions": pod.java_options,
        "labels": dict(labels),
        "annotations": pod.annotations,
        "nodeSelector": pod.node_selector,
        "tolerations": [_toleration(each.model_dump()) for each in pod.tolerations],
        # Of the executors too: with workload identity it is who reads and writes the bucket.
        "serviceAccount": ours.service_account,
        "env": _environment(ours),
        "envFrom": [{"secretRef": {"name": name}} for name in ours.env_from_secrets],
        "secrets": _google_key(ours),
    }
    return {name: value for name, value in fields.items() if value not in ("", [], {})}


def _executor(ours: KubernetesSparkSettings, labels: Mapping[str, str]) -> dict[str, Any]:
    executor: ExecutorSettings = ours.executor
    count = {} if ours.dynamic_allocation else {"instances": executor.instances}
    return {**_pod(ours, executor, labels), **count}


def _environment(ours: KubernetesSparkSettings) -> list[dict[str, Any]]:
    given: list[dict[str, Any]] = [{"name": name, "value": value} for name, value in ours.env.items()]
    if ours.redis_secret:
        given.append(_from_secret(REDIS_VARIABLE, ours.redis_secret, "connection_string"))
    return given


def _from_secret(variable: str, name: str, key: str) -> dict[str, Any]:
    return {"name": variable, "valueFrom": {"secretKeyRef": {"name": name, "key": key}}}


def _driver(ours: KubernetesSparkSettings, labels: Mapping[str, str]) -> dict[str, Any]:
    pod = _pod(ours, ours.driver, labels)
    if ours.registry_secret:
        pod["env"] = [*pod.get("env", []), _from_secret(REGISTRY_VARIABLE, ours.registry_secret, "url")]
    return pod


def _google_key(ours: KubernetesSparkSettings) -> list[dict[str, str]]:
    """The operator makes ``key.json`` in it the pod's application default credentials."""
    if not ours.google_key_secret:
        return []
    return [{"name": ours.google_key_secret, "path": _GOOGLE_KEY_PATH, "secretType": "GCPServiceAccount"}]


def _dependencies(ours: KubernetesSparkSettings) -> dict[str, list[str]]:
    given = {"jars": list(ours.jars), "packages": list(ours.packages), "pyFiles": list(ours.py_files)}
    return {name: values for name, values in given.items() if values}


def _dynamic_allocation(ours: KubernetesSparkSettings) -> dict[str, Any]:
    wanted = ours.dynamic_allocation
    if wanted is None:
        return {}
    bounds = {"minExecutors": wanted.min_executors, "maxExecutors": wanted.max_executors}
    first = {} if wanted.initial_executors is None else {"initialExecutors": wanted.initial_executors}
    return {"dynamicAllocation": {"enabled": True, **bounds, **first}}


def _toleration(given: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in given.items() if value}


def _text(value: str | int | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)

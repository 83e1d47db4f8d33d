"""The fields of ``sparkoperator.k8s.io/v1beta2``, as the operator's public API reference lists them.

Kinds of Kubernetes' own (``V1…``) are those of its Python client, which is generated from its OpenAPI document. As a
real API server does when asked for ``fieldValidation=Strict``, :func:`problems` finds what the schema does not have; it
also holds the rules of the operator's validating webhook that our objects could break.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from kubernetes.client import models

_POD = {
    "affinity": "V1Affinity",
    "annotations": "map",
    "configMaps": "list[NamePath]",
    "coreLimit": "string",
    "cores": "integer>=1",
    "dnsConfig": "V1PodDNSConfig",
    "env": "list[V1EnvVar]",
    "envFrom": "list[V1EnvFromSource]",
    "envSecretKeyRefs": "any",
    "envVars": "map",
    "gpu": "any",
    "hostAliases": "list[V1HostAlias]",
    "hostNetwork": "boolean",
    "image": "string",
    "initContainers": "list[V1Container]",
    "labels": "map",
    "memory": "string",
    "memoryOverhead": "string",
    "nodeSelector": "map",
    "podSecurityContext": "V1PodSecurityContext",
    "runtimeClassName": "string",
    "schedulerName": "string",
    "secrets": "list[SecretInfo]",
    "securityContext": "V1SecurityContext",
    "serviceAccount": "string",
    "shareProcessNamespace": "boolean",
    "sidecars": "list[V1Container]",
    "template": "any",
    "terminationGracePeriodSeconds": "integer>=0",
    "tolerations": "list[V1Toleration]",
    "volumeMounts": "list[V1VolumeMount]",
}
_ROLE = {
    "coreRequest": "string",
    "javaOptions": "string",
    "lifecycle": "V1Lifecycle",
    "ports": "any",
    "priorityClassName": "string",
}
KINDS: dict[str, dict[str, str]] = {
    "SparkApplication": {
        "apiVersion": "sparkoperator.k8s.io/v1beta2",
        "kind": "string",
        "metadata": "V1ObjectMeta",
        "spec": "SparkApplicationSpec",
        "status": "any",
    },
    "SparkApplicationSpec": {
        "arguments": "list[string]",
        "batchScheduler": "string",
        "batchSchedulerOptions": "any",
        "deps": "Dependencies",
        "driver": "DriverSpec",
        "driverIngressOptions": "any",
        "dynamicAllocation": "DynamicAllocation",
        "executor": "ExecutorSpec",
        "failureRetries": "integer>=0",
        "hadoopConf": "map",
        "hadoopConfigMap": "string",
        "image": "string",
        "imagePullPolicy": "string",
        "imagePullSecrets": "list[string]",
        "mainApplicationFile": "string",
        "mainClass": "string",
        "memoryOverheadFactor": "string",
        "mode": "cluster|client",
        "monitoring": "any",
        "nodeSelector": "map",
        "proxyUser": "string",
        "pythonVersion": "2|3",
        "restartPolicy": "RestartPolicy",
        "retryInterval": "integer>=0",
        "sparkConf": "map",
        "sparkConfigMap": "string",
        "sparkUIOptions": "any",
        "sparkVersion": "string",
        "timeToLiveSeconds": "integer>=0",
        "type": "Java|Python|Scala|R",
        "volumes": "list[V1Volume]",
    },
    "DriverSpec": {
        **_POD,
        **_ROLE,
        "kubernetesMaster": "string",
        "podName": "string",
        "serviceAnnotations": "map",
        "serviceLabels": "map",
    },
    "ExecutorSpec": {**_POD, **_ROLE, "deleteOnTermination": "boolean", "instances": "integer>=1"},
    "Dependencies": dict.fromkeys(
        ("archives", "excludePackages", "files", "jars", "packages", "pyFiles", "repositories"),
        "list[string]",
    ),
    "DynamicAllocation": {
        "enabled": "boolean",
        "initialExecutors": "integer>=0",
        "maxExecutors": "integer>=0",
        "minExecutors": "integer>=0",
        "shuffleTrackingTimeout": "integer>=0",
    },
    "NamePath": {"name": "string", "path": "string"},
    "RestartPolicy": {
        "onFailureRetries": "integer>=0",
        "onFailureRetryInterval": "integer>=1",
        "onSubmissionFailureRetries": "integer>=0",
        "onSubmissionFailureRetryInterval": "integer>=1",
        "type": "Never|Always|OnFailure",
    },
    "SecretInfo": {"name": "string", "path": "string", "secretType": "string"},
}
REQUIRED = {
    "SparkApplication": ("metadata", "spec"),
    "SparkApplicationSpec": ("driver", "executor", "mainApplicationFile", "sparkVersion", "type"),
    "NamePath": ("name", "path"),
    "SecretInfo": ("name", "path", "secretType"),
}
_DNS_1035 = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_LABEL = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")


def problems(document: dict[str, Any]) -> list[str]:
    """What a strict API server with the operator's webhook would refuse; empty if nothing."""
    return [*_problems(document, "SparkApplication", "")] or [*_refused_by_webhook(document)]


def _problems(value: Any, kind: str, at: str) -> Iterator[str]:
    if kind.startswith("list["):
        if not isinstance(value, list):
            yield f"{at}: not a list"
            return
        for number, each in enumerate(value):
            yield from _problems(each, kind[5:-1], f"{at}[{number}]")
    elif (fields := _fields(kind)) is not None:
        if not isinstance(value, dict):
            yield f"{at}: not an object"
            return
        yield from (f"{at}.{name}: required" for name in REQUIRED.get(kind, ()) if name not in value)
        for name, inner in value.items():
            if name in fields:
                yield from _problems(inner, fields[name], f"{at}.{name}")
            else:
                yield f'unknown field "{at.lstrip(".")}.{name}"'
    elif not _is_of(value, kind):
        yield f"{at}: {value!r} is not {kind}"


def _fields(kind: str) -> dict[str, str] | None:
    if kind in KINDS:
        return KINDS[kind]
    model = getattr(models, kind, None) if kind.startswith("V1") else None
    if model is None:
        return None
    return {model.attribute_map[name]: _plain(of) for name, of in model.openapi_types.items()}


def _plain(kind: str) -> str:
    """A type of the Python client in our words."""
    if kind.startswith("list["):
        return f"list[{_plain(kind[5:-1])}]"
    words = {"str": "string", "int": "integer>=0", "bool": "boolean", "dict[str, str]": "map"}
    return words.get(kind, kind if kind.startswith("V1") else "any")


def _is_of(value: Any, kind: str) -> bool:
    if kind == "any":
        return True
    if kind == "map":
        return isinstance(value, dict) and all(isinstance(each, str) for each in value.values())
    if kind.startswith("integer"):
        least = int(kind.partition(">=")[2])
        return isinstance(value, int) and not isinstance(value, bool) and value >= least
    if kind == "boolean":
        return isinstance(value, bool)
    return isinstance(value, str) and (kind == "string" or value in kind.split("|"))


def _refused_by_webhook(document: dict[str, Any]) -> Iterator[str]:
    name, spec = document["metadata"]["name"], document["spec"]
    if not _DNS_1035.fullmatch(name):
        yield f"invalid SparkApplication name {name!r}: not a DNS-1035 label"
    for pod in ("driver", "executor"):
        if "nodeSelector" in spec and "nodeSelector" in spec[pod]:
            yield "node selector cannot be defined at both SparkApplication and Driver/Executor"
        labels = {**(document["metadata"].get("labels") or {}), **spec[pod].get("labels", {})}
        yield from (f"label {key}={value!r}" for key, value in labels.items() if not _LABEL.fullmatch(value))

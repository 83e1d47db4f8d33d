"""A version as KServe's InferenceService: a plain dictionary, and what its status says.

KServe runs it in its Serverless mode (Knative): every change of the pod is a revision, and ``canaryTrafficPercent`` is
the newest revision's share of the traffic, while the last one that had all of it keeps the rest.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from provender.errors import DeployError
from provender.serving_backends.base import ALL_TRAFFIC, Readiness, ReadyState, Served
from provender.settings import SETTINGS_FILE, Settings

GROUP, VERSION, PLURAL = "serving.kserve.io", "v1beta1", "inferenceservices"
VERSION_ANNOTATION = "provender.dev/version"
AFTER_ANNOTATION = "provender.dev/after-revision"
"""The newest revision before this version's: until there is a newer one, the status is about the version before."""
TAG_ROUTING = "serving.kserve.io/enable-tag-routing"
_LATEST_TAG = "latest"
_CONTAINER = "kserve-container"
_PORT = 8080
_FAILED_TRANSITIONS = ("BlockedByFailedLoad", "InvalidSpec")
_MAX_NAME = 40
"""Of Kubernetes' 63: KServe and Knative add ``-predictor-00001-deployment`` to it."""


def service_name(model: str) -> str:
    """The model's name as Kubernetes takes names. Raises :class:`DeployError` if it is too long."""
    name = model.replace("_", "-")
    if len(name) > _MAX_NAME:
        raise DeployError(
            f"the name {model} is too long for a cluster: {len(name)} characters, {_MAX_NAME} fit",
            remedy="rename it",
        )
    return name


def inference_service(
    settings: Settings, served: Served, percent: int, current: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The object that gives ``served`` the share ``percent`` of the traffic.

    ``current``: the object that is there now, with its status. Raises :class:`DeployError` for what KServe's schema
    would let through and its webhook or its controller would not.
    """
    _check(settings, served, percent)
    predictor: dict[str, Any] = {
        "minReplicas": served.serving.replicas.min,
        "maxReplicas": served.serving.replicas.max,
        "containers": [_container(settings, served)],
    }
    if percent < ALL_TRAFFIC:
        predictor["canaryTrafficPercent"] = percent
    if settings.serving.service_account:
        predictor["serviceAccountName"] = settings.serving.service_account
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "InferenceService",
        "metadata": {
            "name": service_name(served.model),
            "namespace": settings.serving.namespace,
            "labels": {"app.kubernetes.io/managed-by": "provender", "provender.dev/model": served.model},
            "annotations": {
                "serving.kserve.io/deploymentMode": "Serverless",
                TAG_ROUTING: "true",
                VERSION_ANNOTATION: served.version,
                AFTER_ANNOTATION: _after(current, served.version),
            },
        },
        "spec": {"predictor": predictor},
    }


def readiness(document: Mapping[str, Any] | None, served: Served, percent: int) -> Readiness:
    """How the version stands, by the object's status; ``document`` None: it is not there."""
    if document is None or _annotation(document, VERSION_ANNOTATION) != served.version:
        return Readiness(ReadyState.FAILED, "the InferenceService is another version's, or gone")
    status = document.get("status") or {}
    predictor = (status.get("components") or {}).get("predictor") or {}
    created = predictor.get("latestCreatedRevision", "")
    if not created or created == _annotation(document, AFTER_ANNOTATION):
        return Readiness(ReadyState.WAITING, "KServe has not made a revision yet")
    failure = _failure(status, created)
    if failure:
        return Readiness(ReadyState.FAILED, failure)
    not_ready = [_condition(each) for each in status.get("conditions", []) if each.get("status") != "True"]
    if predictor.get("latestReadyRevision") != created or not_ready or not status.get("conditions"):
        return Readiness(ReadyState.WAITING, "; ".join(not_ready) or f"revision {created} is not ready")
    if percent == ALL_TRAFFIC and _latest(document).get("percent") != ALL_TRAFFIC:
        return Readiness(ReadyState.WAITING, f"revision {created} does not have all the traffic yet")
    return Readiness(ReadyState.READY)


def address_of(settings: Settings, document: Mapping[str, Any], percent: int) -> str:
    """Where the staged version answers: at its own address while others have traffic, if the status tells one."""
    if percent < ALL_TRAFFIC and (tagged := _latest(document).get("url")):
        return str(tagged)
    if settings.serving.url:
        return settings.serving.url.replace("{name}", document["metadata"]["name"])
    url = (document.get("status") or {}).get("url")
    if not url:
        raise DeployError(
            "KServe gave the InferenceService no address",
            where=document["metadata"]["name"],
            remedy=f"fix the cluster's ingress, or set provender.serving.url in {SETTINGS_FILE}",
        )
    return str(url)


def has_own_address(document: Mapping[str, Any]) -> bool:
    """Whether the newest revision can be asked by itself."""
    return bool(_latest(document).get("url"))


def is_rolled_out(document: Mapping[str, Any]) -> bool:
    """Whether the newest revision was promised all the traffic, so that no other one is kept beside it."""
    return "canaryTrafficPercent" not in document["spec"]["predictor"]


def _container(settings: Settings, served: Served) -> dict[str, Any]:
    resources = {"cpu": served.serving.resources.cpu, "memory": served.serving.resources.memory}
    environment: list[dict[str, Any]] = [
        {"name": "PROVENDER_MODEL", "value": served.model},
        {"name": "PROVENDER_POINTER", "value": json.dumps(dict(served.pointer), sort_keys=True)},
    ]
    if settings.serving.redis_secret:
        secret = {"name": settings.serving.redis_secret, "key": "connection_string"}
        environment.append(
            {"name": "PROVENDER_ONLINE_CONNECTION_STRING", "valueFrom": {"secretKeyRef": secret}}
        )
    return {
        "name": _CONTAINER,
        "image": settings.serving.image,
        "args": [f"--http_port={_PORT}"],
        "env": environment,
        "ports": [{"containerPort": _PORT, "protocol": "TCP"}],
        "readinessProbe": {"httpGet": {"path": f"/v2/models/{served.model}/ready", "port": _PORT}},
        "resources": {"requests": resources, "limits": resources},
    }


def _check(settings: Settings, served: Served, percent: int) -> None:
    replicas, wrong = served.serving.replicas, []
    if not 0 <= percent <= ALL_TRAFFIC:
        wrong.append(f"canaryTrafficPercent {percent} is not between 0 and 100")
    if replicas.min > replicas.max:
        wrong.append(f"minReplicas {replicas.min} is more than maxReplicas {replicas.max}")
    if not settings.serving.image:
        wrong.append("provender.serving.image is not set")
    if not settings.serving.redis_secret:
        wrong.append("provender.serving.redis_secret is not set")
    if wrong:
        raise DeployError(
            f"{served.model} cannot be served on KServe: {'; '.join(wrong)}",
            where=f"{settings.repo / SETTINGS_FILE}, or the model's spec",
            not_affected="whatever serves now: nothing was sent",
            remedy="fix it, then run the deployment again",
        )


def _after(current: Mapping[str, Any] | None, version: str) -> str:
    if current is None:
        return ""
    if _annotation(current, VERSION_ANNOTATION) == version:
        return _annotation(current, AFTER_ANNOTATION)
    predictor = ((current.get("status") or {}).get("components") or {}).get("predictor") or {}
    return str(predictor.get("latestCreatedRevision", ""))


def _annotation(document: Mapping[str, Any], name: str) -> str:
    return str((document["metadata"].get("annotations") or {}).get(name, ""))


def _latest(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """The newest revision's share of the traffic; its ``url`` where it has one of its own."""
    predictor = ((document.get("status") or {}).get("components") or {}).get("predictor") or {}
    traffic: list[Mapping[str, Any]] = predictor.get("traffic") or []
    return next(
        (each for each in traffic if each.get("latestRevision") or each.get("tag") == _LATEST_TAG), {}
    )


def _failure(status: Mapping[str, Any], revision: str) -> str:
    """Why the model of ``revision`` will never load; empty while it may."""
    model = status.get("modelStatus") or {}
    info = model.get("lastFailureInfo") or {}
    if model.get("transitionStatus") not in _FAILED_TRANSITIONS:
        return ""
    if info.get("modelRevisionName", revision) != revision:
        return ""
    return f"{model['transitionStatus']}: {info.get('reason', '')} {info.get('message', '')}".strip()


def _condition(condition: Mapping[str, Any]) -> str:
    reason = condition.get("message") or condition.get("reason") or condition.get("status", "Unknown")
    return f"{condition['type']}: {reason}"

"""What a driver's pod says about itself, in the words of Kubernetes' PodStatus."""

from __future__ import annotations

from typing import Any

from provender_airflow.spark.applications import Document

_LOST = ("Failed", "Unknown")
_CANNOT_START = (
    *("ErrImagePull", "ImagePullBackOff", "InvalidImageName"),
    *("CreateContainerConfigError", "CreateContainerError"),
)
"""Why a container waits that will not start by waiting. A pod without a node is not among them: nodes come."""


def is_lost(pod: Document | None) -> bool:
    """Gone, ended badly, or on a node that nobody hears of."""
    return pod is None or _status(pod).get("phase") in _LOST


def end_of(pod: Document | None) -> tuple[str, int | None]:
    """Why it ended (``Evicted: …``, ``OOMKilled``), and its exit code where it got as far."""
    if pod is None:
        return "the driver's pod is gone", None
    of_pod = _said(_status(pod))
    for container in _containers(pod):
        ended = container.get("terminated")
        if ended:
            return of_pod or str(ended.get("reason", "")), ended.get("exitCode")
    return of_pod, None


def obstacle(pod: Document | None) -> str:
    """What keeps its container from starting; empty if nothing does."""
    for container in _containers(pod or {}):
        waiting = container.get("waiting") or {}
        if waiting.get("reason") in _CANNOT_START:
            return _said(waiting)
    return ""


def _status(pod: Document) -> dict[str, Any]:
    return pod.get("status") or {}


def _containers(pod: Document) -> list[dict[str, Any]]:
    return [each.get("state") or {} for each in _status(pod).get("containerStatuses") or []]


def _said(state: dict[str, Any]) -> str:
    return ": ".join(str(state[key]) for key in ("reason", "message") if state.get(key))

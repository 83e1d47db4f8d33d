"""What every place that serves models can do. The local one and KServe's are beside the systems they drive."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from provender.model_registry.artifact import Artifact
from provender.serving_backends.client import PredictorClient
from provender.settings import Settings
from provender.specs.models.spec import Serving

if TYPE_CHECKING:
    from provender.online.views import AppliedView  # Arrow: too slow for parsing a DAG file

ALL_TRAFFIC = 100


@dataclass(frozen=True)
class Served:
    """A version and how it is to be served. Holds no secrets: it is kept in the deployment's document."""

    model: str
    version: str
    pointer: Mapping[str, Any]
    """What the server loads: ``artifact``, ``policy``, ``online`` (without the address), ``views``."""
    serving: Serving
    """Replicas, resources and canary steps."""

    @classmethod
    def of(cls, settings: Settings, artifact: Artifact, serving: Serving, views: list[AppliedView]) -> Served:
        """The version as its spec wants it served, with the views as they are applied."""
        needed = {feature.view for feature in artifact.signature.features}
        policies = ("unknown_entity", "missing", "stale")
        pointer = {
            "artifact": artifact.uri,
            "policy": {name: str(getattr(serving, name)) for name in policies}
            | {"defaults": serving.defaults},
            "online": {"project": settings.project},
            "views": {
                view.view: {"join_keys": view.join_keys, "features": view.features}
                for view in views
                if view.view in needed
            },
        }
        return cls(artifact.model, artifact.version, pointer, serving)

    @classmethod
    def from_document(cls, model: str, document: Mapping[str, Any]) -> Served:
        """Inverse of :meth:`to_document`."""
        serving = Serving.model_validate(document["serving"])
        return cls(model, document["version"], document["pointer"], serving)

    def to_document(self) -> dict[str, Any]:
        """As a plain value for the deployment's document."""
        timeout = self.serving.timeout // timedelta(microseconds=1)
        serving = {**self.serving.model_dump(mode="json"), "timeout": f"{timeout}us"}
        return {"version": self.version, "pointer": dict(self.pointer), "serving": serving}


class ReadyState(StrEnum):
    """How a version that was staged stands."""

    READY = "ready"
    WAITING = "waiting"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Readiness:
    """State and, unless it is ready, why."""

    state: ReadyState
    reason: str = ""


class ServingBackend(Protocol):
    """Serves versions of models. Every method may be called again with the same arguments and changes nothing then.

    Methods raise :class:`provender.errors.PredictorError` where trying again can help, and
    :class:`provender.errors.DeployError` where the version or its settings are refused.
    """

    poll_seconds: float

    def steps(self, served: Served, *, is_first: bool) -> tuple[int, ...]:
        """Percentages of the traffic, rising to 100; 0: only our own requests. ``is_first``: nothing serves yet."""

    def stage(self, served: Served, percent: int) -> None:
        """Gives ``served`` that share of the traffic as soon as it is ready; what serves keeps the rest."""

    def readiness(self, served: Served, percent: int) -> Readiness:
        """How what was staged stands."""

    def client(self, served: Served, percent: int) -> PredictorClient | None:
        """Reaches the staged version; while others have traffic too, maybe not with every request. None: not yet."""

    def settle(self, served: Served) -> None:
        """``served`` has passed and has all the traffic: what was there only for the trial goes."""

    def restore(self, model: str, served: Served | None) -> None:
        """Ends the trial: all traffic to ``served``; None: the model is not served at all."""

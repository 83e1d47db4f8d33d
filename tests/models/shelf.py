"""A place to serve models that is all in memory, but for Redis: it can be killed at every call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from provender.errors import DeployError
from provender.model_registry.artifact import read_artifact
from provender.online.reader import Reader
from provender.rollout.smoke import usable_values
from provender.serving_backends.base import ALL_TRAFFIC, Readiness, ReadyState, Served
from provender.serving_backends.client import Answer
from tests.models.world import VIEW, World, prediction


class Killed(BaseException):
    """The process is gone: nothing that handles errors may see this."""


@dataclass
class Clock:
    """Kills at the ``at``-th point that is passed, and at each later one: who is dead does nothing more. 0: never."""

    at: int = 0
    passed: int = 0

    def __call__(self) -> None:
        self.passed += 1
        if 0 < self.at <= self.passed:
            raise Killed


@dataclass
class Shelf:
    """What serves, by name. ``late-candidate`` is the version on trial."""

    world: World
    clock: Callable[[], None] = lambda: None
    models: dict[str, Served] = field(default_factory=dict)
    loads: Callable[[Served], None] = lambda served: None
    """Raises where a version does not load."""
    predicts: Callable[[str, float], float] = lambda version, value: value
    """What a version makes of the right prediction."""
    reads: Callable[[str, float], float] = lambda version, value: value
    """What a version's server makes of an online value."""
    ready: Readiness = field(default_factory=lambda: Readiness(ReadyState.READY))
    percentages: tuple[int, ...] = (0, ALL_TRAFFIC)
    poll_seconds: float = 0.01

    def steps(self, served: Served, *, is_first: bool) -> tuple[int, ...]:
        return self.percentages

    def stage(self, served: Served, percent: int) -> None:
        self.clock()
        self.loads(served)
        self.models[_name(served, percent)] = served
        self.clock()

    def readiness(self, served: Served, percent: int) -> Readiness:
        return self.ready

    def client(self, served: Served, percent: int) -> Any:
        return _Client(self, _name(served, percent))

    def settle(self, served: Served) -> None:
        self.clock()
        self.models.pop(f"{served.model}-candidate", None)
        self.clock()

    def restore(self, model: str, served: Served | None) -> None:
        self.clock()
        self.models.pop(f"{model}-candidate", None)
        if served is None:
            self.models.pop(model, None)
        else:
            self.models[model] = served
        self.clock()

    @property
    def versions(self) -> dict[str, str]:
        return {name: served.version for name, served in self.models.items()}


@dataclass
class _Client:
    shelf: Shelf
    name: str

    def predict(self, instances: Sequence[Mapping[str, Any]], *, return_features: bool) -> Answer:
        served = self.shelf.models.get(self.name)
        if served is None:
            raise DeployError(f"{self.name} is not there")
        values = [self._values(served, instance) for instance in instances]
        found = [
            self.shelf.predicts(
                served.version, prediction(instance["hour"], value["carrier_day__delay"]["value"])
            )
            for instance, value in zip(instances, values, strict=True)
        ]
        return Answer(tuple(found), served.version, tuple(values) if return_features else ())

    def _values(self, served: Served, instance: Mapping[str, Any]) -> dict[str, Any]:
        if "carrier_day__delay" in instance:
            return {"carrier_day__delay": {"value": instance["carrier_day__delay"], "status": "given"}}
        signature = read_artifact(served.pointer["artifact"]).signature
        settings = self.shelf.world.project.settings
        with Reader(settings.redis, settings.project, [VIEW.layout]) as reader:
            online = reader.read([instance], ["carrier_day:delay"])
        at = datetime.fromisoformat(instance["event_timestamp"])
        (value,) = usable_values(signature.features, signature.as_known, at, online)["carrier_day__delay"]
        if value is None:
            return {"carrier_day__delay": {"value": None, "status": "missing"}}
        return {"carrier_day__delay": {"value": self.shelf.reads(served.version, value), "status": "present"}}


def answer_document(
    shelf: Shelf, served: Served, instances: Sequence[Any], return_features: bool
) -> dict[str, Any]:
    """What a server that holds ``served`` answers, as JSON."""
    shelf.models["any"] = served
    answer = _Client(shelf, "any").predict(instances, return_features=return_features)
    document = {"predictions": list(answer.predictions), "model_version": answer.version}
    return document | ({"features": list(answer.features)} if return_features else {})


def _name(served: Served, percent: int) -> str:
    return served.model if percent == ALL_TRAFFIC else f"{served.model}-candidate"

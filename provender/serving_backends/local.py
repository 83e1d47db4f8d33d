"""Serves models in this machine's predictor (see :mod:`provender.serving_backends.base` for what is promised).

A version is loaded and tried beside the one that serves, as ``<model>-candidate``; then it takes its place, in which
no request fails.
"""

from __future__ import annotations

from provender.errors import PredictorError
from provender.local import predictor
from provender.serving_backends.base import ALL_TRAFFIC, Readiness, ReadyState, Served
from provender.serving_backends.client import PredictorClient
from provender.settings import Settings


class LocalServingBackend:
    """Loading is immediate: what was staged is ready, or staging has failed."""

    poll_seconds = 0.1

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def steps(self, served: Served, *, is_first: bool) -> tuple[int, ...]:
        """Beside what serves, then in its place; one process has no percentages between."""
        return (0, ALL_TRAFFIC)

    def stage(self, served: Served, percent: int) -> None:
        predictor.ensure(self._settings)
        predictor.load(self._settings, _name(served, percent), self._pointer(served))

    def readiness(self, served: Served, percent: int) -> Readiness:
        return Readiness(ReadyState.READY)

    def client(self, served: Served, percent: int) -> PredictorClient:
        return PredictorClient(predictor.url(self._settings), _name(served, percent))

    def settle(self, served: Served) -> None:
        predictor.unload(self._settings, candidate(served.model))

    def restore(self, model: str, served: Served | None) -> None:
        predictor.ensure(self._settings)
        predictor.unload(self._settings, candidate(model))
        if served is None:
            predictor.unload(self._settings, model)
        else:
            self._load_unless_there(model, served)

    def _load_unless_there(self, model: str, served: Served) -> None:
        """A model that serves already needs nothing that a load needs, Redis for one."""
        try:
            predictor.load(self._settings, model, self._pointer(served))
        except PredictorError:
            there = {each["name"]: each.get("version") for each in predictor.models(self._settings)}
            if there.get(model) != served.version:
                raise

    def _pointer(self, served: Served) -> dict[str, object]:
        online = {**served.pointer["online"], "connection_string": self._settings.redis}
        return {**served.pointer, "online": online}


def candidate(model: str) -> str:
    """What a version on trial is called."""
    return f"{model}-candidate"


def _name(served: Served, percent: int) -> str:
    return served.model if percent == ALL_TRAFFIC else candidate(served.model)

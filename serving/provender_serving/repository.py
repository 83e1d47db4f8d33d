"""The models that are served, by name, and how one takes another's place.

A load reads the pointer again, loads what it names beside the one that serves, and only then puts it in its place:
requests under way end with the old one, later ones get the new one, and none fails. If the load fails, nothing
changes, and whoever asked gets the reason.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from kserve import ModelRepository
from kserve.logging import logger

from provender_serving import metrics
from provender_serving.loading import LoadedModel, load_model
from provender_serving.model import Predictor
from provender_serving.pointer import PointerFolder
from provender_serving.problems import LoadError

RETRY_SECONDS = 5.0


class PointerRepository(ModelRepository):
    """KServe's repository, on pointers."""

    def __init__(self, pointers: PointerFolder, max_instances: int) -> None:
        super().__init__()
        self._max_instances = max_instances
        self._pointers = pointers
        self._lock = asyncio.Lock()
        self.starting = True
        """Whether some pointer was not tried yet since the start."""
        self.failures: dict[str, str] = {}
        """Name of each model whose latest load failed, to the reason."""

    async def load(self, name: str) -> bool:
        """Loads what the pointer names now. Raises :class:`LoadError`; then what served before serves on."""
        async with self._lock:  # two loads at once would race for the name
            try:
                loaded = await asyncio.to_thread(self._load, name)
            except Exception as error:
                logger.error("model %s was not loaded: %s", name, error)
                if name in self._pointers.names():  # anybody may ask for any name
                    self.failures[name] = str(error)
                    metrics.LOADS.labels(name, "failed").inc()
                raise
            self._replace(name, loaded)
            return True

    def unload(self, name: str) -> None:
        """Raises :class:`KeyError` if nothing of the name is served."""
        self.failures.pop(name, None)
        predictor = self.models.pop(name)
        metrics.forget_model(name, predictor.loaded.version)
        predictor.stop()

    async def load_all(self) -> None:
        """Loads everything that has a pointer; what fails is tried again until it loads.

        Redis may start after the predictor, and an artifact may arrive later: neither needs a person.
        """
        waiting = self._pointers.names()
        self.starting = bool(waiting)
        while waiting:
            for name in waiting:
                await self._try(name)
            self.starting = False
            waiting = [name for name in waiting if name not in self.models and name in self.failures]
            if waiting:
                await asyncio.sleep(RETRY_SECONDS)

    def describe(self) -> list[dict[str, Any]]:
        """What serves since when, and what failed to load."""
        known = {*self.models, *self.failures} & {*self.models, *self._pointers.names()}
        return [self._describe(name) for name in sorted(known)]

    def predictors(self) -> Iterable[Predictor]:
        """All that serve."""
        return list(self.models.values())

    async def _try(self, name: str) -> None:
        try:
            await self.load(name)
        except LoadError as error:
            logger.warning("model %s: trying again in %g s: %s", name, RETRY_SECONDS, error)

    def _load(self, name: str) -> LoadedModel:
        return load_model(name, self._pointers.read(name))

    def _replace(self, name: str, loaded: LoadedModel) -> None:
        before = self.models.get(name)
        self.update(Predictor(name, loaded, self._max_instances))
        self.failures.pop(name, None)
        metrics.LOADS.labels(name, "loaded").inc()
        metrics.show_model(name, loaded.version, None if before is None else before.loaded.version)
        logger.info("model %s: version %s serves", name, loaded.version)
        if before is not None:
            before.stop()

    def _describe(self, name: str) -> dict[str, Any]:
        predictor = self.models.get(name)
        return {
            "name": name,
            "version": None if predictor is None else predictor.loaded.version,
            "since": None if predictor is None else predictor.since.isoformat(),
            "failure": self.failures.get(name),
        }

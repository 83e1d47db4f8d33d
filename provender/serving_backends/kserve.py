"""Serves models as InferenceServices (see :mod:`provender.serving_backends.base` for what is promised)."""

from __future__ import annotations

from provender.errors import DeployError
from provender.serving_backends.base import ALL_TRAFFIC, Readiness, Served
from provender.serving_backends.client import PredictorClient
from provender.serving_backends.inference_service import (
    address_of,
    has_own_address,
    inference_service,
    is_rolled_out,
    readiness,
    service_name,
)
from provender.serving_backends.kserve_api import InferenceServices
from provender.settings import Settings

_NOTHING = (0,)


class KServeBackend:
    """One InferenceService per model, changed by server-side apply."""

    poll_seconds = 2.0

    def __init__(self, settings: Settings, services: InferenceServices) -> None:
        self._settings = settings
        self._services = services

    def steps(self, served: Served, *, is_first: bool) -> tuple[int, ...]:
        """The spec's canary steps, or one without traffic: a version is not given all of it before it is ready."""
        return (ALL_TRAFFIC,) if is_first else (*(served.serving.canary or _NOTHING), ALL_TRAFFIC)

    def stage(self, served: Served, percent: int) -> None:
        current = self._services.get(service_name(served.model))
        self._services.apply(inference_service(self._settings, served, percent, current))

    def readiness(self, served: Served, percent: int) -> Readiness:
        return readiness(self._services.get(service_name(served.model)), served, percent)

    def client(self, served: Served, percent: int) -> PredictorClient | None:
        """None where the version has no traffic and no address of its own: then only readiness was seen."""
        document = self._services.get(service_name(served.model))
        if document is None:
            raise DeployError(
                f"the InferenceService of {served.model} is gone",
                where=self._settings.serving.namespace,
                remedy="see who deleted it, then run the deployment again",
            )
        if percent == 0 and not has_own_address(document):
            return None
        return PredictorClient(address_of(self._settings, document, percent), served.model)

    def settle(self, served: Served) -> None:
        """Nothing was there for the trial only: KServe removes revisions without traffic by itself."""

    def restore(self, model: str, served: Served | None) -> None:
        """While another revision is kept, no traffic to the newest gives all of it to that one, at once. Where the
        newest had all of it, the restored version takes over as soon as it is ready."""
        name = service_name(model)
        if served is None:
            self._services.delete(name)
            return
        current = self._services.get(name)
        percent = ALL_TRAFFIC if current is None or is_rolled_out(current) else 0
        self._services.apply(inference_service(self._settings, served, percent, current))

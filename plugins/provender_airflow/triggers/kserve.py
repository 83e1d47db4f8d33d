"""Waits until a staged version of a model is ready."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from provender.errors import TransientError
from provender.intervals import iso, parse_iso
from provender.model_registry.store import ModelStore
from provender.serving_backends.base import Readiness, ReadyState, Served, ServingBackend
from provender.storage import storage_at
from provender_airflow.kserve.backend import serving_backend
from provender_airflow.task_settings import trigger_settings


class ModelReadyTrigger(BaseTrigger):
    """Fires when the version on trial is ready, has failed, or ``deadline`` is over.

    The event holds ``state`` and ``reason`` of a :class:`provender.serving_backends.base.Readiness`. An API that
    does not answer for a while is waited for, until the deadline.
    """

    def __init__(
        self, repo: str, model: str, version: str, percent: int, kubernetes_conn_id: str, deadline: str
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.repo = repo
        self.model = model
        self.version = version
        self.percent = percent
        self.kubernetes_conn_id = kubernetes_conn_id
        self.deadline = deadline

    def serialize(self) -> tuple[str, dict[str, Any]]:
        arguments = {
            "repo": self.repo,
            "model": self.model,
            "version": self.version,
            "percent": self.percent,
            "kubernetes_conn_id": self.kubernetes_conn_id,
            "deadline": self.deadline,
        }
        return "provender_airflow.triggers.kserve.ModelReadyTrigger", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        try:
            found = await self._end()
        except Exception as error:
            self.log.exception("%s version %s is not awaited any more", self.model, self.version)
            found = Readiness(ReadyState.FAILED, f"{type(error).__name__}: {error}")
        yield _event(found)

    async def _end(self) -> Readiness:
        """Ready, failed, or still waiting at the deadline."""
        deadline = parse_iso(self.deadline)
        settings = await trigger_settings(self.repo)
        backend = await asyncio.to_thread(serving_backend, settings, self.kubernetes_conn_id)
        store = ModelStore(storage_at(settings.storage_root), self.model)
        while True:
            try:
                found = await asyncio.to_thread(self._look, backend, store)
            except TransientError as error:
                found = Readiness(ReadyState.WAITING, error.what)
                self.log.warning("%s", error.what)
            if found.state is not ReadyState.WAITING or datetime.now(UTC) >= deadline:
                return found
            await asyncio.sleep(backend.poll_seconds)

    def _look(self, backend: ServingBackend, store: ModelStore) -> Readiness:
        trying = store.state().trying
        if trying is None or trying.version != self.version:
            return Readiness(ReadyState.FAILED, "somebody else deployed or rolled back meanwhile")
        return backend.readiness(Served.from_document(self.model, trying.serving), self.percent)


def deadline_after(seconds: float) -> str:
    """ISO time so many seconds from now."""
    return iso(datetime.now(UTC) + timedelta(seconds=seconds))


def _event(found: Readiness) -> TriggerEvent:
    return TriggerEvent({"state": found.state.value, "reason": found.reason})  # type: ignore[no-untyped-call]

"""Waits for a training run to end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import asdict
from datetime import timedelta

from airflow.triggers.base import TriggerEvent

from provender.errors import KubeflowError, ProvenderError
from provender_airflow.kubeflow.backend import JobState, KubeflowBackend, RunHandle
from provender_airflow.kubeflow.backends import backend_for
from provender_airflow.task_settings import trigger_settings
from provender_airflow.triggers.polling import (
    PATIENCE_SECONDS,
    OutOfTimeError,
    PollingTrigger,
    deadline_of,
    final_status,
)


class KubeflowRunTrigger(PollingTrigger):
    """Fires when the run ended, with its ``state``; or with an ``error`` when it cannot be asked any more, or when
    ``deadline`` (ISO time) came first, and the run was ended.

    A person who clears the task, or marks it, ends the run. A triggerer that stops leaves it alone.
    """

    async def run(self) -> AsyncIterator[TriggerEvent]:
        try:
            backend = backend_for(await trigger_settings(self.repo))
            state = await self._end(backend, RunHandle(**self.handle))
        except ProvenderError as error:
            yield TriggerEvent({"error": error.to_dict()})  # type: ignore[no-untyped-call]
            return
        yield TriggerEvent({"state": state.value})  # type: ignore[no-untyped-call]

    async def on_kill(self) -> None:
        """A person acted on the deferred task: the run ends with it."""
        backend = backend_for(await trigger_settings(self.repo))
        await asyncio.to_thread(backend.cancel, RunHandle(**self.handle))

    async def _end(self, backend: KubeflowBackend, handle: RunHandle) -> JobState:
        """How it ended. Raises the error of a backend that does not answer for long, or never will."""
        pause = self.poll_seconds or backend.poll_seconds
        try:
            status = await final_status(
                lambda: backend.poll(handle), pause, PATIENCE_SECONDS, self.deadline, self.log
            )
        except OutOfTimeError:
            await asyncio.to_thread(backend.cancel, handle)
            raise KubeflowError(
                f"run {handle.reference} did not end in the task's time and was ended",
                where=backend.link(handle),
                not_affected="whatever serves now",
                remedy="the next try starts it again; raise the task's execution_timeout if it needs longer",
            ) from None
        return status.state


def trigger_for(repo: str, handle: RunHandle, timeout: timedelta | None) -> KubeflowRunTrigger:
    """The trigger that awaits ``handle``, for ``timeout`` from now."""
    return KubeflowRunTrigger(repo, asdict(handle), deadline_of(timeout))

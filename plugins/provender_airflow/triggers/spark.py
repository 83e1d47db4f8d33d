"""Waits for a Spark application on a cluster to end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import asdict
from datetime import timedelta

from airflow.triggers.base import TriggerEvent

from provender.errors import ProvenderError, SparkUnavailableError
from provender_airflow.spark.backend import JobHandle, JobStatus, SparkBackend
from provender_airflow.spark.backends import backend_for
from provender_airflow.task_settings import trigger_settings
from provender_airflow.triggers.polling import (
    PATIENCE_SECONDS,
    OutOfTimeError,
    PollingTrigger,
    deadline_of,
    final_status,
)


class SparkJobTrigger(PollingTrigger):
    """Fires when the application ended, with its ``state`` and ``error`` (None if it ended well).

    Without a ``state`` the ``error`` says that its end is not known: the backend does not answer any more, or
    ``deadline`` (ISO time) came first, and the application was cancelled. A person who clears the task, or marks it,
    ends the application too. A triggerer that stops leaves it alone; the next one goes on waiting.
    """

    async def run(self) -> AsyncIterator[TriggerEvent]:
        handle = JobHandle(**self.handle)
        try:
            backend = backend_for(await trigger_settings(self.repo))
            status = await self._end(backend, handle)
        except ProvenderError as error:
            yield TriggerEvent({"error": error.to_dict()})  # type: ignore[no-untyped-call]
            return
        why = status.error.to_dict() if status.error else None
        yield TriggerEvent({"state": status.state.value, "error": why})  # type: ignore[no-untyped-call]

    async def on_kill(self) -> None:
        """A person acted on the deferred task: the application ends with it."""
        backend = backend_for(await trigger_settings(self.repo))
        await asyncio.to_thread(backend.cancel, JobHandle(**self.handle))

    async def _end(self, backend: SparkBackend, handle: JobHandle) -> JobStatus:
        pause = self.poll_seconds or backend.poll_seconds
        try:
            return await final_status(
                lambda: backend.poll(handle), pause, PATIENCE_SECONDS, self.deadline, self.log
            )
        except OutOfTimeError:
            await asyncio.to_thread(backend.cancel, handle)
            raise SparkUnavailableError(
                f"the application {handle.attempt} did not end in the task's time and was cancelled",
                where=backend.place(handle),
                not_affected="all committed data",
                remedy="the next try starts it again; raise the task's execution_timeout if it needs longer",
            ) from None


def trigger_for(repo: str, handle: JobHandle, timeout: timedelta | None) -> SparkJobTrigger:
    """The trigger that awaits ``handle``, for ``timeout`` from now."""
    return SparkJobTrigger(repo, asdict(handle), deadline_of(timeout))

"""Asking how a job elsewhere stands until it has ended, through the outages of whoever is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypeVar

from airflow.triggers.base import BaseTrigger

from provender.errors import TransientError
from provender.intervals import iso, parse_iso

PATIENCE_SECONDS = 300.0
"""How long a backend that does not answer is asked again before the task hears of it."""


class Status(Protocol):
    """How a job stands."""

    @property
    def is_final(self) -> bool:
        """Whether it has ended."""


S = TypeVar("S", bound=Status)


class OutOfTimeError(Exception):
    """The task's time is over, and the job has not ended."""


def deadline_of(timeout: timedelta | None) -> str | None:
    """ISO time at which a task that waits from now on is out of time; None: never.

    The trigger sees to it: when Airflow's own deferral timeout fires, the task fails without a word to operator or
    trigger, and the job goes on.
    """
    return iso(datetime.now(UTC) + timeout) if timeout is not None else None


class PollingTrigger(BaseTrigger):
    """Awaits one job of a backend: what to ask about, until when (ISO time, None: no limit), how often."""

    def __init__(
        self,
        repo: str,
        handle: dict[str, str],
        deadline: str | None = None,
        poll_seconds: float | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.repo = repo
        self.handle = handle
        self.deadline = deadline
        self.poll_seconds = poll_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        arguments = {
            "repo": self.repo,
            "handle": self.handle,
            "deadline": self.deadline,
            "poll_seconds": self.poll_seconds,
        }
        return f"{type(self).__module__}.{type(self).__qualname__}", arguments


async def final_status(
    poll: Callable[[], S], pause_seconds: float, patience_seconds: float, deadline: str | None, log: Any
) -> S:
    """How it ended; ``poll`` runs in a thread of its own.

    Raises :class:`OutOfTimeError` at ``deadline``, the :class:`TransientError` of a backend that does not answer for
    ``patience_seconds``, and any other error at once.
    """
    left = None if deadline is None else (parse_iso(deadline) - datetime.now(UTC)).total_seconds()
    try:
        async with asyncio.timeout(left):
            return await _final_status(poll, pause_seconds, patience_seconds, log)
    except TimeoutError as error:
        raise OutOfTimeError from error


async def _final_status(poll: Callable[[], S], pause_seconds: float, patience_seconds: float, log: Any) -> S:
    clock = asyncio.get_running_loop()
    answered = clock.time()
    while True:
        try:
            status = await asyncio.to_thread(poll)
            answered = clock.time()
            if status.is_final:
                return status
        except TransientError as error:
            if clock.time() - answered > patience_seconds:
                raise
            log.warning("%s", error)
        await asyncio.sleep(pause_seconds)

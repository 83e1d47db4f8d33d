"""Asking how a job elsewhere stands until it has ended, through the outages of whoever is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from provender.errors import TransientError

PATIENCE_SECONDS = 300.0
"""How long a backend that does not answer is asked again before the task hears of it."""


class Status(Protocol):
    """How a job stands."""

    @property
    def is_final(self) -> bool:
        """Whether it has ended."""


S = TypeVar("S", bound=Status)


async def final_status(poll: Callable[[], S], pause_seconds: float, patience_seconds: float, log: Any) -> S:
    """How it ended; ``poll`` runs in a thread of its own.

    Raises the :class:`TransientError` of a backend that does not answer for ``patience_seconds``, any other at once.
    """
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

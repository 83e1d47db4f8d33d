"""One writer at a time of a source's tables, or of its online values, across DAG runs, command line and upkeep."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from provender.settings import Settings
from provender.storage import HeldLock, Storage

logger = logging.getLogger(__name__)

LOCK_TIMEOUT_SECONDS = 3600.0
"""Longer than any writer works; one that holds longer hangs."""


@contextmanager
def only_writer(
    settings: Settings,
    storage: Storage,
    source: str,
    what: Literal["tables", "online"],
    attempt: str,
) -> Iterator[HeldLock]:
    """Holds the lock on ``what`` of ``source`` during the block.

    Queries that a dead owner left running on the engine are ended first. What it had announced stays in the lock
    until somebody finishes it. Raises :class:`LockHeldError` after an hour.
    """
    lock = storage.lock(
        f"{source}.{what}",
        attempt,
        timeout_seconds=LOCK_TIMEOUT_SECONDS,
        waiting=lambda holder: logger.info(f"waiting for {holder}, which is writing {what} of {source}"),
    )
    with lock as held:
        if held.abandoned_by:
            from provender.spark.session import interrupt  # Spark takes a second to import

            logger.warning(f"{held.abandoned_by} did not finish writing {what} of {source}")
            interrupt(settings, held.abandoned_by)
        yield held

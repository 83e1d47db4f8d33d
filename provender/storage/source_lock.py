"""One writer at a time of a source's tables, of its online values, or of what it publishes.

Across DAG runs, command line and upkeep: whoever writes holds the lock.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

from provender.storage.base import HeldLock, Storage

logger = logging.getLogger(__name__)

LOCK_TIMEOUT_SECONDS = 3600.0
"""Longer than any writer works; one that holds longer hangs."""
Scope = Literal["tables", "online", "published"]


@contextmanager
def source_lock(
    storage: Storage,
    source: str,
    scope: Scope,
    owner: str,
    on_abandoned: Callable[[str], None] | None = None,
) -> Iterator[HeldLock]:
    """Hold the lock on ``scope`` of ``source`` during the block.

    ``on_abandoned`` is called with the name of a dead owner before the block runs: whatever that owner left running
    has to end first (:func:`provender.spark.interrupt.interrupter`). What it had announced stays in the lock until
    somebody finishes it. Raises :class:`LockHeldError` after an hour.
    """
    lock = storage.lock(
        f"{source}.{scope}",
        owner,
        timeout_seconds=LOCK_TIMEOUT_SECONDS,
        waiting=lambda holder: logger.info(f"waiting for {holder}, which is writing {scope} of {source}"),
    )
    with lock as held:
        if held.abandoned_by:
            logger.warning(f"{held.abandoned_by} did not finish writing {scope} of {source}")
            if on_abandoned:
                on_abandoned(held.abandoned_by)
        yield held

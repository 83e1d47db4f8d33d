"""Where rows go that name no moment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Generic, TypeVar

import numpy as np

from provender.staging.times import UNREADABLE

Batch = TypeVar("Batch")


class Places(Generic[Batch]):
    """Gives rows that name no moment that of the row before them, and those before the first that of the first. So each
    has one place, which stays its place when rows are appended to the file."""

    def __init__(self) -> None:
        self._last: int | None = None
        self._waiting: list[tuple[int, Batch]] = []

    def place(self, times: Any, batch: Batch) -> Iterator[tuple[Any, Batch]]:
        """Takes the microseconds of a batch of rows (:data:`UNREADABLE`: none); gives every batch that has places now,
        with them."""
        readable = times != UNREADABLE
        if not len(times):
            yield times, batch
        elif self._last is None and not readable.any():
            self._waiting.append((len(times), batch))
        else:
            start = int(times[readable][0]) if self._last is None else self._last
            for size, held in self._waiting:
                yield np.full(size, start, dtype=np.int64), held
            self._waiting = []
            before = np.maximum.accumulate(np.where(readable, np.arange(len(times)), -1))
            placed = np.where(before >= 0, times[before], start)
            self._last = int(placed[-1])
            yield placed, batch

    @property
    def nowhere(self) -> list[Batch]:
        """Batches that have no place, since no row of any names a moment."""
        return [batch for _, batch in self._waiting]

"""Which values of a time column can lie in a partition, in the database's own type."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa

from provender.errors import ContractError
from provender.intervals import Partition, to_micros
from provender.specs.model import Source, Timestamp
from provender.staging.times import moments, time_format

_EPOCH_MICROS = {"epoch_s": 1_000_000, "epoch_ms": 1_000, "epoch_us": 1}
_CLOCK_CHANGE = timedelta(hours=3)
"""More than any clock is ever set back."""
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Window:
    """Values in ``[low, high)`` can belong to the partition. Where that ``is_exact`` they do; else each has to be
    looked at (a wall time that a clock shows twice, a text that names an offset)."""

    low: Any
    high: Any
    is_exact: bool
    partition: Partition
    how: Timestamp

    def holds(self, values: Sequence[Any]) -> pa.Array:
        """For each value whether the moment it means lies in the partition."""
        times = moments(pa.array(values), self.how)
        within = (times >= to_micros(self.partition.start)) & (times < to_micros(self.partition.end))
        return pa.array(np.asarray(within))


def window(source: Source, partition: Partition, example: Any) -> Window:
    """The window for a time column that holds values like ``example`` (not None). Raises :class:`ContractError`
    for values that cannot be compared with times."""
    how = time_format(source)
    start, end = partition.start, partition.end
    if isinstance(example, datetime) and example.tzinfo is not None:
        return Window(start, end, True, partition, how)
    if isinstance(example, datetime):
        low, high = (at.astimezone(ZoneInfo(how.zone)).replace(tzinfo=None) for at in (start, end))
        if how.zone == "UTC":
            return Window(low, high, True, partition, how)
        return Window(low - _CLOCK_CHANGE, high + _CLOCK_CHANGE, False, partition, how)
    if isinstance(example, date):
        return Window((start - _DAY).date(), (end + 2 * _DAY).date(), False, partition, how)
    if isinstance(example, str) and how.format == "iso":
        # ISO 8601 sorts by its date; what follows may name an offset.
        first, last = (start - _DAY).date().isoformat(), (end + 2 * _DAY).date().isoformat()
        return Window(first, last, False, partition, how)
    if isinstance(example, int | float | Decimal) and how.format in _EPOCH_MICROS:
        unit = _EPOCH_MICROS[how.format]
        return Window(to_micros(start) // unit, to_micros(end) // unit, True, partition, how)
    raise ContractError(
        f"{source.name}: the time column {how.column!r} holds {type(example).__name__} values like {example!r}, which "
        f"cannot be compared with times by format {how.format}",
        unharmed="what was staged before",
        remedy="make a timestamp of it in raw.sql.query, or set the timestamp's format (iso or an epoch)",
    )

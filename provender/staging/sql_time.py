"""Which values of a time column can lie in a partition, in the database's own type."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa

from provender.contract.arrow import Bools
from provender.contract.epochs import MICROS
from provender.contract.times import read_times
from provender.contract.zones import FIRST, LAST
from provender.errors import ContractError
from provender.intervals import Partition, to_micros
from provender.specs.source import Source, Timestamp
from provender.staging.sql_values import as_text
from provender.staging.times import time_format

_CLOCK_CHANGE = timedelta(hours=3)
"""More than any clock is ever set back."""
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Window:
    """Values in ``[low, high)`` can belong to the partition (None: any value can, since the database cannot compare
    what is written there with times). Where that ``is_exact`` they do; else each has to be looked at (a wall time that
    a clock shows twice, a text that names an offset).

    ``first`` and ``last``: values outside of them mean no moment at all. ``by_day``: values are text that begins with
    a day, or else means no moment.
    """

    low: Any
    high: Any
    is_exact: bool
    partition: Partition
    how: Timestamp
    first: Any = None
    last: Any = None
    by_day: bool = False

    @property
    def is_all(self) -> bool:
        """Whether every row of the table has to be looked at."""
        return self.low is None

    def holds(self, values: Sequence[Any]) -> tuple[Bools, int]:
        """For each value whether it belongs to the partition: the moment that it means does, or it means none but
        begins with a day that does (to be quarantined there). And how many others mean no moment."""
        times = read_times(_arrow(values), self.how)
        low, high = to_micros(self.partition.start), to_micros(self.partition.end)
        within = times.readable & (times.micros >= low) & (times.micros < high)
        at = np.flatnonzero(times.wrong)
        if not self.by_day:
            return within, len(at)
        for position in at.tolist():
            day = day_of(values[position])
            within[position] = day is not None and low <= to_micros(day) < high
        return within, 0


def day_of(text: Any) -> datetime | None:
    """The start, in UTC, of the day that an ISO 8601 text begins with; None for a text that begins with none."""
    try:
        return datetime.combine(date.fromisoformat(str(text)[:10]), datetime.min.time(), UTC)
    except ValueError:
        return None


def _arrow(values: Sequence[Any]) -> pa.Array:
    try:
        return pa.array(values)
    except (
        pa.ArrowException,
        TypeError,
        ValueError,
        OverflowError,
    ):  # a database whose columns have no one type
        return pa.array([None if value is None else as_text(value) for value in values], pa.string())


def window(source: Source, partition: Partition, example: Any) -> Window:
    """The window for a time column that holds values like ``example`` (not None). Raises :class:`ContractError`
    for values that cannot be compared with times."""
    how = time_format(source)
    start, end = partition.start, partition.end
    if isinstance(example, datetime) and example.tzinfo is not None:
        return Window(start, end, True, partition, how, *_years(UTC))
    if isinstance(example, datetime):
        low, high = (at.astimezone(ZoneInfo(how.zone)).replace(tzinfo=None) for at in (start, end))
        if how.zone == "UTC":
            return Window(low, high, True, partition, how, *_years(None))
        return Window(low - _CLOCK_CHANGE, high + _CLOCK_CHANGE, False, partition, how, *_years(None))
    if isinstance(example, date):
        days = (start - _DAY).date(), (end + 2 * _DAY).date()
        return Window(*days, False, partition, how, date.min, date.max)
    if isinstance(example, str) and how.format == "iso":
        # ISO 8601 sorts by its date; what follows may name an offset.
        first, last = (start - _DAY).date().isoformat(), (end + 2 * _DAY).date().isoformat()
        return Window(first, last, False, partition, how, by_day=True)
    if isinstance(example, bool):
        raise _incomparable(source, how, example)
    if isinstance(example, int | float | Decimal) and how.format in MICROS:
        unit = MICROS[how.format]
        numbers = to_micros(start) // unit, to_micros(end) // unit
        return Window(*numbers, True, partition, how, -(-FIRST // unit), LAST // unit)
    if isinstance(example, str) or (isinstance(example, int | float | Decimal) and how.format != "iso"):
        return Window(None, None, False, partition, how)
    raise _incomparable(source, how, example)


def _years(zone: Any) -> tuple[datetime, datetime]:
    return datetime.min.replace(tzinfo=zone), datetime.max.replace(tzinfo=zone)


def refuse_unplaced(source: Source, unplaced: int, rows: int, where: str) -> None:
    """Raise :class:`ContractError` if more rows than the spec's ``violations`` allow mean no moment at all."""
    limit = 0.0 if source.violations.action == "fail" else source.violations.max_share
    if not unplaced or unplaced / max(rows, unplaced) <= limit:
        return
    how = time_format(source)
    raise ContractError(
        f"{source.name}: {unplaced} of {rows} raw rows have a {how.column!r} that is no time by format {how.format}, "
        f"so that they belong to no partition: more than {limit:.1%}",
        where=where,
        not_affected="what was staged before",
        remedy=f"correct the rows, or the timestamp's format, raw.time_column or violations.max_share in "
        f"sources/{source.name}.yaml, then run the same command again",
        source=source.name,
        reasons={"no_moment": unplaced},
    )


def _incomparable(source: Source, how: Timestamp, example: Any) -> ContractError:
    return ContractError(
        f"{source.name}: the time column {how.column!r} holds {type(example).__name__} values like {example!r}, which "
        f"cannot be compared with times by format {how.format}",
        not_affected="what was staged before",
        remedy="make a timestamp of it in raw.sql.query, or set the timestamp's format (iso or an epoch)",
        source=source.name,
    )

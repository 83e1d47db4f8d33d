"""Which event dates are due, read off a feature table's log, and what of its files holds them.

A day is one partition of the published table: ``[00:00, 24:00)`` UTC of the event timestamp.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from provender.tables.feature_log import EVENT, RECORDED, Bounds, FeatureLog

_DAY = timedelta(days=1)
_EPOCH = date(1970, 1, 1)
_DAY_MICROS = 86_400_000_000
MOST_DAYS = 2000
"""In one statement: BigQuery changes at most 4,000 partitions at once."""
MOST_RANGES = 200
"""In one statement: its text has a limit too."""


@dataclass(frozen=True)
class DayRange:
    """Consecutive days, both included."""

    first: date
    last: date

    @property
    def start(self) -> datetime:
        return datetime(self.first.year, self.first.month, self.first.day, tzinfo=UTC)

    @property
    def end(self) -> datetime:
        """Not included."""
        return datetime(self.last.year, self.last.month, self.last.day, tzinfo=UTC) + _DAY

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1


def due_days(log: FeatureLog, since: datetime | None, up_to: datetime) -> list[date]:
    """Event dates of the versions recorded in ``(since, up_to]`` (``since`` None: of all up to then), in order.

    Reads two columns of the files that may hold such versions, batch by batch.
    """
    data = log.dataset(Bounds(recorded_after=since, recorded_to=up_to))
    found: set[int] = set()
    for batch in _batches(data):
        recorded = batch.column(RECORDED)
        within = pc.less_equal(recorded, pa.scalar(up_to, recorded.type))
        if since is not None:
            within = pc.and_(within, pc.greater(recorded, pa.scalar(since, recorded.type)))
        events = batch.column(EVENT).filter(within).cast(pa.timestamp("us", "UTC")).cast(pa.int64())
        # Floor, also before 1970.
        days = pc.floor(pc.divide(events.cast(pa.float64()), float(_DAY_MICROS))).cast(pa.int64())
        found.update(pc.unique(days.drop_null()).to_pylist())
    return [_EPOCH + timedelta(days=day) for day in sorted(found)]


def _batches(data: object) -> Iterator[pa.RecordBatch]:
    if isinstance(data, pa.Table):
        yield from data.select([EVENT, RECORDED]).to_batches()
        return
    yield from data.to_batches(columns=[EVENT, RECORDED])  # type: ignore[attr-defined]


def ranges(days: Iterable[date]) -> list[DayRange]:
    """Distinct days as ranges, in order; none is longer than :data:`MOST_DAYS`."""
    found: list[DayRange] = []
    for day in sorted(set(days)):
        if found and day - found[-1].last == _DAY and found[-1].days < MOST_DAYS:
            found[-1] = DayRange(found[-1].first, day)
        else:
            found.append(DayRange(day, day))
    return found


def portions(days: Iterable[date]) -> list[list[DayRange]]:
    """What one statement each replaces."""
    found: list[list[DayRange]] = []
    for each in ranges(days):
        last = found[-1] if found else []
        if last and len(last) < MOST_RANGES and sum(r.days for r in last) + each.days <= MOST_DAYS:
            last.append(each)
        else:
            found.append([each])
    return found


def files_of(log: FeatureLog, portion: list[DayRange], up_to: datetime) -> list[str]:
    """Paths, relative to the table, of the files that may hold a version of these days."""
    microsecond = timedelta(microseconds=1)
    found = (log.files(Bounds(each.start, each.end - microsecond, up_to)) for each in portion)
    return sorted({path for paths in found for path in paths})

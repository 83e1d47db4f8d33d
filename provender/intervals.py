"""All time arithmetic: cadences, partitions and their keys, durations.

A **partition** is one half-open interval ``[start, end)`` of a source, on the source's cadence, named by its key:

    ========  ===================  ================================
    cadence   key                  interval
    ========  ===================  ================================
    hourly    ``2026-11-22T07``    one hour, in UTC
    daily     ``2026-11-22``       one day, from midnight to midnight
    weekly    ``2026-11-16``       seven days from a Monday
    monthly   ``2026-11``          one calendar month
    ========  ===================  ================================

Days, weeks and months begin at midnight of the source's time zone, UTC by default: a day of ``Europe/Berlin`` has 23
hours when summer time begins and 25 when it ends. Start and end are instants, always in UTC.

Imports neither Spark, Feast nor Airflow.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from enum import StrEnum
from functools import lru_cache
from typing import ClassVar
from zoneinfo import ZoneInfo

from provender.errors import PartitionError

_KEY_FORMATS = {"hourly": "%Y-%m-%dT%H", "daily": "%Y-%m-%d", "weekly": "%Y-%m-%d", "monthly": "%Y-%m"}
_KEY_SHAPES = {
    "hourly": r"\d{4}-\d{2}-\d{2}T\d{2}",
    "daily": r"\d{4}-\d{2}-\d{2}",
    "weekly": r"\d{4}-\d{2}-\d{2}",
    "monthly": r"\d{4}-\d{2}",
}
_KEY_EXAMPLES = {
    "hourly": "2026-11-22T07",
    "daily": "2026-11-22",
    "weekly": "2026-11-16",
    "monthly": "2026-11",
}
_CRONS = {"hourly": "0 * * * *", "daily": "0 0 * * *", "weekly": "0 0 * * 1", "monthly": "0 0 1 * *"}
_DURATION = re.compile(r"(\d+)\s*(us|ms|s|m|h|d|w)")
_UNITS = {
    "us": timedelta(microseconds=1),
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}


class Frequency(StrEnum):
    """How often a source has a partition."""

    HOURLY = "hourly"
    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"


@dataclass(frozen=True, order=True)
class Cadence:
    """How often a source has a partition, and in which time zone its days begin; so the length of its periods."""

    frequency: Frequency
    zone: str = "UTC"
    """IANA name. Hourly partitions are in UTC: in autumn a local hour has the name of the one before it."""

    HOURLY: ClassVar[Cadence]
    DAILY: ClassVar[Cadence]
    WEEKLY: ClassVar[Cadence]
    MONTHLY: ClassVar[Cadence]

    def __str__(self) -> str:
        return self.frequency.value

    @property
    def key_format(self) -> str:
        """``strftime`` format of a partition key, of the partition's start in the cadence's time zone."""
        return _KEY_FORMATS[self.frequency]

    @property
    def cron(self) -> str:
        """Cron expression of the partition's boundary, in the cadence's time zone."""
        return _CRONS[self.frequency]

    @property
    def place(self) -> str:
        """The frequency, with the time zone where it is not UTC."""
        return str(self) if self.zone == "UTC" else f"{self} ({self.zone})"

    def floor(self, moment: datetime) -> datetime:
        """Return the start of the interval that holds ``moment`` (start inclusive), in UTC."""
        moment = as_utc(moment)
        if self.frequency is Frequency.HOURLY:
            return moment.replace(minute=0, second=0, microsecond=0)
        first = self._first_day(self.local(moment).date())
        start = self._midnight(first)
        if self.zone == "UTC":
            return start
        while start > moment:  # a clock that was set back over midnight shows the day before once more
            first = self._first_day(first - timedelta(days=1))
            start = self._midnight(first)
        following = self.following(start)
        return following if following <= moment else start

    def following(self, start: datetime) -> datetime:
        """Return the boundary after ``start``, which must be a boundary itself."""
        if self.frequency is Frequency.HOURLY:
            return start + timedelta(hours=1)
        first = self._next_day(self.local(start).date())
        while (boundary := self._midnight(first)) <= start:  # a day that the zone never had
            first = self._next_day(first)
        return boundary

    def local(self, moment: datetime) -> datetime:
        """Return ``moment`` as clocks of the cadence's time zone show it."""
        return moment.astimezone(find_zone(self.zone))

    def _first_day(self, day: date) -> date:
        """The first day of the period that holds ``day``."""
        if self.frequency is Frequency.WEEKLY:
            return day - timedelta(days=day.weekday())
        return day.replace(day=1) if self.frequency is Frequency.MONTHLY else day

    def _next_day(self, first: date) -> date:
        """The first day of the period after the one that begins on ``first``."""
        if self.frequency is Frequency.MONTHLY:
            return (first.replace(day=1) + timedelta(days=32)).replace(day=1)
        return first + timedelta(days=7 if self.frequency is Frequency.WEEKLY else 1)

    def _midnight(self, day: date) -> datetime:
        """The first instant of a local day: 01:00 where clocks skip midnight, the first of two midnights."""
        return datetime.combine(day, time(), find_zone(self.zone)).astimezone(UTC)


Cadence.HOURLY = Cadence(Frequency.HOURLY)
Cadence.DAILY = Cadence(Frequency.DAILY)
Cadence.WEEKLY = Cadence(Frequency.WEEKLY)
Cadence.MONTHLY = Cadence(Frequency.MONTHLY)


@lru_cache(maxsize=64)
def find_zone(name: str) -> tzinfo:
    """Return the time zone with this IANA name. Raises ``ValueError`` or ``KeyError`` where there is none."""
    return UTC if name == "UTC" else ZoneInfo(name)


def is_zone(name: str) -> bool:
    """Return whether there is a time zone of this name."""
    try:
        find_zone(name)
    except (ValueError, LookupError, OSError):  # what ZoneInfo raises for odd keys, unknown zones and folders
        return False
    return True


@dataclass(frozen=True, order=True, slots=True)
class Partition:
    """One half-open interval ``[start, end)`` of a cadence, in UTC."""

    start: datetime
    end: datetime
    cadence: Cadence

    @property
    def key(self) -> str:
        start = self.local_start
        year = f"{start.year:04}"  # strftime does not pad it on every system
        return start.strftime(self.cadence.key_format.replace("%Y", year))

    def __str__(self) -> str:
        return self.key

    @property
    def local_start(self) -> datetime:
        """``start`` in the cadence's time zone."""
        return self.cadence.local(self.start)

    @property
    def local_end(self) -> datetime:
        """``end`` in the cadence's time zone."""
        return self.cadence.local(self.end)

    @property
    def following(self) -> Partition:
        """The next partition of the same cadence."""
        return Partition(self.end, self.cadence.following(self.end), self.cadence)

    @classmethod
    def holding(cls, cadence: Cadence, moment: datetime) -> Partition:
        """The partition whose interval holds ``moment``. Raises :class:`PartitionError` for one that ends past the
        year 9999."""
        try:
            start = cadence.floor(moment)
            return cls(start, cadence.following(start), cadence)
        except OverflowError as error:
            raise PartitionError(
                f"the {cadence} partition of {moment:%Y-%m-%d} ends past the year 9999",
                remedy="correct the time",
            ) from error

    @classmethod
    def parse(cls, cadence: Cadence, key: str) -> Partition:
        """The partition named ``key``.

        Raises :class:`PartitionError` unless ``key`` has exactly the cadence's form and lies on its boundary.
        """
        problem = f"{key!r} is not a {cadence} partition key"
        remedy = f"write it like {_KEY_EXAMPLES[cadence.frequency]}"
        if not isinstance(key, str) or not re.fullmatch(_KEY_SHAPES[cadence.frequency], key, re.ASCII):
            raise PartitionError(problem, remedy=remedy, partitions=(str(key),))
        try:
            local = datetime.strptime(key, cadence.key_format).replace(tzinfo=find_zone(cadence.zone))
        except ValueError as error:
            raise PartitionError(f"{problem}: {error}", remedy=remedy, partitions=(key,)) from error
        try:
            found = cls.holding(cadence, as_utc(local))
        except (OverflowError, PartitionError) as error:
            what = f"{problem}: its end is past the year 9999"
            raise PartitionError(what, remedy=remedy, partitions=(key,)) from error
        if found.key == key:
            return found
        if cadence.frequency is Frequency.WEEKLY:
            what = f"{problem}: weekly partitions start on a Monday"
        else:
            what = f"{problem}: clocks in {cadence.zone} went past that day"
        raise PartitionError(what, remedy=f"write {found.key}", partitions=(key,))


def partitions_between(first: Partition, last: Partition) -> Iterator[Partition]:
    """All partitions from ``first`` to ``last``, both included. Raises :class:`PartitionError` if reversed."""
    if last < first:
        raise PartitionError(
            f"the range ends before it starts: {first.key} to {last.key}", remedy="swap start and end"
        )
    current = first
    while current <= last:
        yield current
        current = current.following


def parse_range(cadence: Cadence, text: str) -> list[Partition]:
    """``KEY`` or ``FIRST..LAST`` (both included). Raises :class:`PartitionError`."""
    if not isinstance(text, str):
        raise PartitionError(f"{text!r} is no range of partitions", remedy="write KEY or FIRST..LAST as text")
    first, _, last = text.partition("..")
    start = Partition.parse(cadence, first)
    return list(partitions_between(start, Partition.parse(cadence, last) if last else start))


def newest_complete(cadence: Cadence, now: datetime, delay: timedelta) -> Partition:
    """The newest partition whose end plus ``delay`` is not after ``now``."""
    boundary = cadence.floor(as_utc(now) - delay)
    return Partition.holding(cadence, boundary - timedelta(microseconds=1))


def compress(partitions: list[Partition]) -> list[tuple[Partition, Partition]]:
    """Consecutive partitions folded to (first, last) ranges, both included, in order."""
    ranges: list[tuple[Partition, Partition]] = []
    for partition in sorted(set(partitions)):
        if ranges and ranges[-1][1].end == partition.start:
            ranges[-1] = (ranges[-1][0], partition)
        else:
            ranges.append((partition, partition))
    return ranges


def as_utc(moment: datetime) -> datetime:
    """``moment`` in UTC. A naive datetime raises ``ValueError``: guessing a zone is how rows move a day."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment!r} has no time zone")
    return moment.astimezone(UTC)


def parse_duration(text: str) -> timedelta:
    """``"90s"``, ``"2h"``, ``"3d"``, ``"1d 12h"`` (units us, ms, s, m, h, d, w). Raises ``ValueError``."""
    stripped = text.strip()
    if stripped == "0":
        return timedelta(0)
    if not stripped or _DURATION.sub("", stripped).strip():
        raise ValueError(f"{text!r} is not a duration; write it like 90s, 2h, 3d or 1d 12h")
    return sum((int(n) * _UNITS[unit] for n, unit in _DURATION.findall(stripped)), timedelta(0))


def to_micros(moment: datetime) -> int:
    """Microseconds since 1970-01-01T00:00:00Z."""
    return (as_utc(moment) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def from_micros(micros: int) -> datetime:
    """Inverse of :func:`to_micros`. Raises :class:`OverflowError` for what is no moment of the years 1 to 9999."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)


def iso(moment: datetime) -> str:
    """``2026-11-22T07:00:00.000000Z``: fixed width, so that text order is time order."""
    return as_utc(moment).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def parse_iso(text: str) -> datetime:
    """Inverse of :func:`iso`; accepts any ISO 8601 moment that names its offset."""
    return as_utc(datetime.fromisoformat(text))

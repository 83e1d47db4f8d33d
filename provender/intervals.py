"""All time arithmetic: cadences, partitions and their keys, durations.

A **partition** is one half-open interval ``[start, end)`` of a source, always in UTC, on the source's
cadence, named by its key:

    ========  ===================  ==========================
    cadence   key                  interval
    ========  ===================  ==========================
    hourly    ``2026-11-22T07``    one hour
    daily     ``2026-11-22``       one UTC day
    weekly    ``2026-11-16``       seven days from a Monday
    monthly   ``2026-11``          one calendar month
    ========  ===================  ==========================

Imports neither Spark, Feast nor Airflow.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

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


class Cadence(StrEnum):
    """How often a source has a partition, and so the length of its periods."""

    HOURLY = "hourly"
    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"

    @property
    def key_format(self) -> str:
        """``strftime`` format of a partition key, of the partition's start."""
        return _KEY_FORMATS[self]

    @property
    def cron(self) -> str:
        """Cron expression of the partition's boundary, in UTC."""
        return _CRONS[self]

    def floor(self, moment: datetime) -> datetime:
        """The start of the interval that holds ``moment`` (start inclusive), in UTC."""
        moment = as_utc(moment)
        hour = moment.replace(minute=0, second=0, microsecond=0)
        if self is Cadence.HOURLY:
            return hour
        day = hour.replace(hour=0)
        if self is Cadence.DAILY:
            return day
        if self is Cadence.WEEKLY:
            return day - timedelta(days=day.weekday())
        return day.replace(day=1)

    def following(self, start: datetime) -> datetime:
        """The boundary after ``start``, which must be a boundary itself."""
        if self is Cadence.HOURLY:
            return start + timedelta(hours=1)
        if self is Cadence.DAILY:
            return start + timedelta(days=1)
        if self is Cadence.WEEKLY:
            return start + timedelta(days=7)
        return (start + timedelta(days=32)).replace(day=1)


@dataclass(frozen=True, order=True, slots=True)
class Partition:
    """One half-open interval ``[start, end)`` of a cadence, in UTC."""

    start: datetime
    end: datetime
    cadence: Cadence

    @property
    def key(self) -> str:
        year = f"{self.start.year:04}"  # strftime does not pad it on every system
        return self.start.strftime(self.cadence.key_format.replace("%Y", year))

    def __str__(self) -> str:
        return self.key

    @property
    def following(self) -> Partition:
        """The next partition of the same cadence."""
        return Partition(self.end, self.cadence.following(self.end), self.cadence)

    @classmethod
    def holding(cls, cadence: Cadence, moment: datetime) -> Partition:
        """The partition whose interval holds ``moment``. Raises :class:`PartitionError` for one that ends past the
        year 9999."""
        start = cadence.floor(moment)
        try:
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
        remedy = f"write it like {_KEY_EXAMPLES[cadence]}"
        if not isinstance(key, str) or not re.fullmatch(_KEY_SHAPES[cadence], key, re.ASCII):
            raise PartitionError(problem, remedy=remedy, partitions=(str(key),))
        try:
            start = datetime.strptime(key, cadence.key_format).replace(tzinfo=UTC)
        except ValueError as error:
            raise PartitionError(f"{problem}: {error}", remedy=remedy, partitions=(key,)) from error
        if cadence.floor(start) != start:
            monday = cadence.floor(start).strftime(cadence.key_format)
            raise PartitionError(
                f"{problem}: weekly partitions start on a Monday", remedy=f"write {monday}", partitions=(key,)
            )
        try:
            return cls(start, cadence.following(start), cadence)
        except OverflowError as error:
            raise PartitionError(
                f"{problem}: its end is past the year 9999", remedy=remedy, partitions=(key,)
            ) from error


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

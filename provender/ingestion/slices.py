"""Slices: the rows of one period that were known at one time. A derived table's SQL runs on each.

A period has one slice for each delivery that brought rows for it:

    raw rows of period D      known from    in slice D|c0    in slice D|c3
    the day's own delivery    c0            yes              yes
    late, with day D+3        c3            –                yes

so that a whole year computed at once knows what the daily schedule would have known on each day.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from provender.intervals import Cadence, iso, to_micros

SLICE = "_slice"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Redelivery:
    """A partition whose bytes changed: when its rows became known first, and when as they are now."""

    partition: datetime
    first: datetime
    last: datetime


@dataclass(frozen=True, order=True)
class Slice:
    """One period (its start) and one time at which its rows were known."""

    period: datetime
    level: datetime

    @property
    def name(self) -> str:
        return f"{to_micros(self.period)}|{to_micros(self.level)}"


def slices_of(raw: DataFrame, lateness: timedelta, redelivered: Sequence[Redelivery]) -> list[Slice]:
    """The slices of ``raw`` (columns ``_period`` and ``_delivered``), in order. Reads ``raw`` once."""
    found = raw.select(F.unix_micros("_period"), F.unix_micros("_delivered")).distinct().collect()
    deliveries = {(_moment(period), _moment(delivered)) for period, delivered in found}
    return sorted(Slice(*known) for known in known_times(deliveries, lateness, redelivered))


def known_times(
    deliveries: set[tuple[datetime, datetime]], lateness: timedelta, redelivered: Iterable[Redelivery]
) -> set[tuple[datetime, datetime]]:
    """Pairs of period and time at which the raw table can tell what was known.

    Between a partition's first delivery and its last one it cannot tell any more: there are no slices then, and
    the log keeps what it says. From the last delivery on there is one.
    """
    known = set(deliveries)
    for again in redelivered:
        reached = {period for period, _ in deliveries if period <= again.partition <= period + lateness}
        known |= {(period, again.last) for period in reached}
    for again in redelivered:
        known = {
            (period, level)
            for period, level in known
            if not (period <= again.partition <= period + lateness and again.first <= level < again.last)
        }
    return known


def slices_frame(spark: SparkSession, slices: Sequence[Slice], cadence: Cadence) -> DataFrame:
    """``_slice``, ``_period``, ``_end`` (of the period), ``_level``, small enough to be sent to every task."""
    rows = [(one.name, iso(one.period), iso(cadence.following(one.period)), iso(one.level)) for one in slices]
    frame = spark.createDataFrame(rows, f"{SLICE} string, _period string, _end string, _level string")
    times = [F.col(name).cast("timestamp").alias(name) for name in ("_period", "_end", "_level")]
    return F.broadcast(frame.select(SLICE, *times))


def is_simple(slices: Iterable[Slice]) -> bool:
    """Whether no period was known in more than one way: then nothing can differ between slices."""
    return max(Counter(one.period for one in slices).values(), default=1) == 1


def _moment(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)

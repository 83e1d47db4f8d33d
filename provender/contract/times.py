"""Raw values as moments: the one parser of times, whichever way the rows came.

    ======================================  =========================================================
    the raw value                           what it means
    ======================================  =========================================================
    a timestamp with a zone (Arrow)         itself, whatever the format
    a timestamp without one, a date         a wall time of the spec's ``zone`` (a date: its midnight)
    text, ``format: iso``                   ISO 8601 (:mod:`provender.contract.iso`)
    text, integer, a datetime pattern       what the pattern says (:mod:`provender.specs.time_pattern`)
    text or number, ``epoch_s``, ...        seconds, ... since 1970 (:mod:`provender.contract.epochs`)
    ======================================  =========================================================

A value that names a zone is read in it, or not at all: ``zone`` is for values that name none. Everything else, and
what lies outside the years 0001 to 9999, cannot be read; nothing raises on a value.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from provender.contract import zones
from provender.contract.arrow import Bools, Ints, ints, plain, present
from provender.contract.epochs import MICROS, epoch_times
from provender.contract.iso import iso_times
from provender.contract.pattern_times import pattern_times
from provender.contract.zones import DAY, FIRST, LAST, UNREADABLE
from provender.specs.source import Timestamp

_UNITS = {"s": 1_000_000, "ms": 1_000, "us": 1}


@dataclass(frozen=True)
class Times:
    """``micros``: microseconds since 1970 in UTC, :data:`UNREADABLE` where there is none. ``present``: where there was
    a value. ``skipped``: where a clock change skipped the wall time (``micros`` is then the moment of the change)."""

    micros: Ints
    present: Bools
    skipped: Bools

    @property
    def readable(self) -> Bools:
        """Where a value means a moment."""
        return np.not_equal(self.micros, UNREADABLE)

    @property
    def wrong(self) -> Bools:
        """Where there was a value that cannot be read."""
        return self.present & ~self.readable

    def to_arrow(self) -> pa.Array:
        """As ``timestamp[us, UTC]``; null where there is no moment."""
        return pa.array(self.micros, mask=~self.readable).cast(pa.timestamp("us", "UTC"))


def read_times(column: pa.Array | pa.ChunkedArray, how: Timestamp, blank_is_absent: bool = True) -> Times:
    """The moments of ``column``, read as ``how`` says. ``blank_is_absent``: a text of nothing but white space is no
    value, rather than one that cannot be read."""
    raw = plain(column)
    kind = raw.type
    if pa.types.is_string(kind):
        raw = pc.ascii_trim_whitespace(raw)
        if blank_is_absent:
            raw = pc.if_else(pc.equal(raw, ""), None, raw)
    there = present(raw)
    walls, named, zone = _walls(raw, how)
    if not there.all():
        walls = np.where(there, walls, UNREADABLE)
    micros, skipped = zones.moments(walls, named, zone)
    return Times(micros, there, skipped)


def _walls(raw: pa.Array, how: Timestamp) -> tuple[Ints, pa.Array | None, str]:
    """Wall times, the zones that values name, and the zone of those that name none."""
    kind = raw.type
    if pa.types.is_timestamp(kind):
        return _typed(raw), None, "UTC" if kind.tz else how.zone
    if pa.types.is_date(kind):
        return _days(raw), None, how.zone
    if how.format in MICROS:
        is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
        if not (is_number or pa.types.is_string(kind)):
            return _nothing(raw), None, "UTC"
        return epoch_times(raw, MICROS[how.format]), None, "UTC"
    text = _as_text(raw)
    if text is None:
        return _nothing(raw), None, "UTC"
    walls, named = iso_times(text) if how.format == "iso" else pattern_times(text, how.format)
    return walls, named, how.zone


def _nothing(raw: pa.Array) -> Ints:
    return np.full(len(raw), UNREADABLE, dtype=np.int64)


def _as_text(raw: pa.Array) -> pa.Array | None:
    """Text, and whole numbers as text (``20261120``)."""
    if pa.types.is_string(raw.type):
        return raw
    if pa.types.is_floating(raw.type):
        values = np.asarray(raw.to_numpy(zero_copy_only=False), dtype=np.float64)
        whole = (np.abs(values) < 2.0**53) & (values == np.floor(values))
        raw = pa.array(np.where(whole, values, 0).astype(np.int64), mask=~whole)
    return raw.cast(pa.string()) if pa.types.is_integer(raw.type) else None


def _typed(raw: pa.Array) -> Ints:
    """Timestamps of any unit in microseconds; a nanosecond's fraction is cut off."""
    values = ints(raw.cast(pa.int64()))
    if raw.type.unit == "ns":
        return values // 1_000
    unit = _UNITS[raw.type.unit]
    inside = (values >= FIRST // unit) & (values <= LAST // unit)
    return np.where(inside, np.where(inside, values, 0) * unit, UNREADABLE)


def _days(raw: pa.Array) -> Ints:
    is_millis = pa.types.is_date64(raw.type)
    days = ints(raw.cast(pa.int64())) // 86_400_000 if is_millis else ints(raw.cast(pa.int32()))
    inside = (days >= FIRST // DAY) & (days <= LAST // DAY)
    return np.where(inside, np.where(inside, days, 0) * DAY, UNREADABLE)

"""Wall times and the zones they were read in, as moments in UTC.

a zone in a value                       what it is
``Z``, ``UTC``, ``UT``, ``GMT``         UTC
``+01``, ``+1:00``, ``+0100``, ``+01:00``, ``+01:00:00``, each also after ``UTC`` or ``GMT``
                                        a fixed offset of less than a day
``EST``, ``MST``, ``HST``               UTC−5, −7, −10: the abbreviations that the tz database fixes
``America/New_York``                    a name of the tz database
``CET``, ``PST``, ``IST``, ...          nothing: several places use them, some in summer time too
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

import numpy as np
import pyarrow as pa

from provender.contract.arrow import Bools, Ints

SECOND = 1_000_000
DAY = 86_400 * SECOND
UNREADABLE = int(np.iinfo(np.int64).min)
FIRST, LAST = -62_135_596_800_000_000, 253_402_300_799_999_999
"""The moments of the years 0001 to 9999, in microseconds since 1970, both inclusive."""

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 (of wall times, which have no zone)
_MICRO = timedelta(microseconds=1)
_FIXED = {"Z": 0, "UTC": 0, "UT": 0, "GMT": 0, "EST": -5 * 3600, "MST": -7 * 3600, "HST": -10 * 3600}
_OFFSET = re.compile(
    r"(?:UTC|UT|GMT)?([+-])(?:(\d{1,2})(?::(\d{1,2})(?::(\d{2}))?)?|(\d{2})(\d{2})(\d{2})?)", re.ASCII
)


@cache
def zone_of(name: str) -> int | ZoneInfo | None:
    """The zone that a value names: seconds east of UTC, a region, or None for a name that means no one zone."""
    fixed = _FIXED.get(name.upper())
    if fixed is not None:
        return fixed
    offset = _OFFSET.fullmatch(name.upper())
    if offset:
        return _offset_seconds(offset)
    return ZoneInfo(name) if "/" in name and name in _regions() else None


@cache
def _regions() -> frozenset[str]:
    return frozenset(available_timezones())


def _offset_seconds(offset: re.Match[str]) -> int | None:
    sign, *groups = offset.groups()
    parts = [int(part or 0) for part in (groups[:3] if groups[0] is not None else groups[3:])]
    hours, minutes, seconds = parts
    if hours > 23 or minutes > 59 or seconds > 59:
        return None
    east = hours * 3600 + minutes * 60 + seconds
    return -east if sign == "-" else east


def moments(walls: Ints, named: pa.Array | None, zone: str) -> tuple[Ints, Bools]:
    """Wall times (microseconds, :data:`UNREADABLE` allowed) as moments, and which of them a clock change skipped.

    ``named``: per value the text of the zone it names itself, null or empty where it names none: then ``zone`` counts.
    Of two moments that a clock shows alike the earlier is meant. A skipped time is taken as the moment of the change.
    What lies outside the years 0001 to 9999 is :data:`UNREADABLE`.
    """
    result = walls.copy()
    skipped = np.zeros(len(walls), dtype=bool)
    own = np.ones(len(walls), dtype=bool)
    if named is not None:
        coded = named.fill_null("").dictionary_encode()
        codes = np.asarray(coded.indices.to_numpy(), dtype=np.int64)
        zones = [zone_of(name) if name else "" for name in coded.dictionary.to_pylist()]
        offsets = np.array([z if isinstance(z, int) else 0 for z in zones] or [0], dtype=np.int64)
        unknown = np.array([z is None for z in zones] or [False])
        result = np.where(walls == UNREADABLE, walls, walls - offsets[codes] * SECOND)
        result[unknown[codes]] = UNREADABLE
        own = np.array([z == "" for z in zones] or [True])[codes]
        for code, region in enumerate(zones):
            if isinstance(region, ZoneInfo):
                _localize(walls, codes == code, region, result, skipped)
    if zone != "UTC":
        _localize(walls, own, ZoneInfo(zone), result, skipped)
    outside = (result < FIRST) | (result > LAST)
    result[outside] = UNREADABLE
    return result, skipped & ~outside


def _localize(walls: Ints, chosen: Bools, zone: ZoneInfo, result: Ints, skipped: Bools) -> None:
    """Puts the moments of the ``chosen`` walls into ``result``: a day that the clock passes unchanged as a whole, the
    others value by value."""
    at = np.flatnonzero(chosen & (walls >= FIRST) & (walls <= LAST))
    days, where = np.unique(walls[at] // DAY, return_inverse=True)
    offsets = np.array([_offset_of_day(int(day), zone) for day in days], dtype=np.int64)
    even = offsets[where] != UNREADABLE
    result[at[even]] = walls[at[even]] - offsets[where[even]]
    values, places = np.unique(walls[at[~even]], return_inverse=True)
    one_by_one = [_localized(int(wall), zone) for wall in values]
    result[at[~even]] = np.array([moment for moment, _ in one_by_one], dtype=np.int64)[places]
    skipped[at[~even]] = np.array([gone for _, gone in one_by_one], dtype=bool)[places]


@cache
def _offset_of_day(day: int, zone: ZoneInfo) -> int:
    """The zone's offset, in microseconds, at every wall time of ``day`` (days since 1970); :data:`UNREADABLE` where
    the clock is changed on it."""
    start = _EPOCH + timedelta(days=day)
    last = start + timedelta(days=1, microseconds=-1)
    found = {
        moment.replace(tzinfo=zone, fold=fold).utcoffset() for moment in (start, last) for fold in (0, 1)
    }
    offset = found.pop()
    return UNREADABLE if found or offset is None else offset // _MICRO


def _localized(wall: int, zone: ZoneInfo) -> tuple[int, bool]:
    """The moment, or that of the clock's change where it skipped ``wall``; and whether it did: then the offset is
    greater at the second fold."""
    moment = _EPOCH + timedelta(microseconds=wall)
    early, late = (moment.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1))
    assert early is not None and late is not None
    if late <= early:
        return wall - early // _MICRO, False
    return _change(wall - late // _MICRO, wall - early // _MICRO, early, zone), True


def _change(before: int, after: int, offset: timedelta, zone: ZoneInfo) -> int:
    """The moment between ``before`` and ``after`` from which the zone's offset is another than ``offset``."""
    while after - before > 1:
        middle = (before + after) // 2
        local = (_EPOCH + timedelta(microseconds=middle)).replace(tzinfo=UTC).astimezone(zone)
        before, after = (middle, after) if local.utcoffset() == offset else (before, middle)
    return after

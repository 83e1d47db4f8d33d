"""Starts of periods, of many moments at once (:meth:`provender.intervals.Cadence.floor` of each)."""

from __future__ import annotations

import numpy as np

from provender.contract.arrow import Ints
from provender.contract.zones import DAY, UNREADABLE
from provender.intervals import Cadence, Frequency, from_micros, to_micros

_HOUR = 3_600_000_000
_MONDAY = 3
"""Days from the Monday before 1970-01-01, a Thursday."""


def period_starts(micros: Ints, cadence: Cadence) -> Ints:
    """The start of the period that holds each moment (microseconds since 1970, UTC); ``UNREADABLE`` stays so."""
    known = np.where(micros == UNREADABLE, 0, micros)
    if cadence.zone != "UTC":
        return np.where(micros == UNREADABLE, UNREADABLE, _local_starts(known, cadence))
    days = known // DAY
    if cadence.frequency is Frequency.HOURLY:
        starts = known // _HOUR * _HOUR
    elif cadence.frequency is Frequency.DAILY:
        starts = days * DAY
    elif cadence.frequency is Frequency.WEEKLY:
        starts = ((days + _MONDAY) // 7 * 7 - _MONDAY) * DAY
    else:
        months = days.astype("datetime64[D]").astype("datetime64[M]")
        starts = months.astype("datetime64[D]").astype(np.int64) * DAY
    return np.where(micros == UNREADABLE, UNREADABLE, starts)


def _local_starts(micros: Ints, cadence: Cadence) -> Ints:
    """The same in a time zone: a UTC day holds parts of two periods at most, so each day is looked up once."""
    days, place = np.unique(micros // DAY, return_inverse=True)
    first = np.array([_start(int(day) * DAY, cadence) for day in days], np.int64)
    last = np.array([_start(int(day) * DAY + DAY - 1, cadence) for day in days], np.int64)
    return np.where(micros >= last[place], last[place], first[place])


def _start(micros: int, cadence: Cadence) -> int:
    try:
        return to_micros(cadence.floor(from_micros(micros)))
    except OverflowError:  # a moment at the ends of time, which the contract refuses: its day in UTC
        return micros // DAY * DAY

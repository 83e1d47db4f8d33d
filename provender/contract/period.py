"""Starts of periods, of many moments at once (:meth:`provender.intervals.Cadence.floor` of each)."""

from __future__ import annotations

import numpy as np

from provender.contract.arrow import Ints
from provender.contract.zones import DAY, UNREADABLE
from provender.intervals import Cadence

_HOUR = 3_600_000_000
_MONDAY = 3
"""Days from the Monday before 1970-01-01, a Thursday."""


def period_starts(micros: Ints, cadence: Cadence) -> Ints:
    """The start of the period that holds each moment (microseconds since 1970, UTC); ``UNREADABLE`` stays so."""
    known = np.where(micros == UNREADABLE, 0, micros)
    days = known // DAY
    if cadence is Cadence.HOURLY:
        starts = known // _HOUR * _HOUR
    elif cadence is Cadence.DAILY:
        starts = days * DAY
    elif cadence is Cadence.WEEKLY:
        starts = ((days + _MONDAY) // 7 * 7 - _MONDAY) * DAY
    else:
        months = days.astype("datetime64[D]").astype("datetime64[M]")
        starts = months.astype("datetime64[D]").astype(np.int64) * DAY
    return np.where(micros == UNREADABLE, UNREADABLE, starts)

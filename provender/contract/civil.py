"""Dates and times of the proleptic Gregorian calendar, given in parts, as wall times."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from provender.contract.arrow import Bools, Ints, ints
from provender.contract.zones import SECOND, UNREADABLE

_DAYS_TO_1970 = 719_468
"""From 0000-03-01, where the calendar's 400 years begin as the formula counts them."""
_LENGTHS = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])


def number(text: pa.Array) -> Ints:
    """Digits as numbers; null and nothing are 0."""
    text = pc.fill_null(text, "0")
    return ints(pc.if_else(pc.equal(text, ""), "0", text).cast(pa.int64()))


def micros_of_fraction(text: pa.Array) -> Ints:
    """The digits after a second's point as microseconds; further digits are cut off."""
    return number(pc.utf8_rpad(pc.utf8_slice_codeunits(pc.fill_null(text, ""), 0, 6), 6, "0"))


def is_leap(years: Ints) -> Bools:
    leap: Bools = (years % 4 == 0) & ((years % 100 != 0) | (years % 400 == 0))
    return leap


def days_of(years: Ints, months: Ints, days: Ints) -> tuple[Ints, Bools]:
    """Days since 1970-01-01, and whether there is such a date (of the years 1 to 9999).

    The formula counts years from March (Howard Hinnant, "chrono-compatible low-level date algorithms").
    """
    inside = (years >= 1) & (years <= 9999) & (months >= 1) & (months <= 12) & (days >= 1)
    lengths = _LENGTHS[np.clip(months, 0, 12)] + ((months == 2) & is_leap(years))
    shifted = years - (months <= 2)
    era = shifted // 400
    of_era = shifted - era * 400
    of_year = (153 * (months + np.where(months > 2, -3, 9)) + 2) // 5 + days - 1
    count = era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - _DAYS_TO_1970
    return count, inside & (days <= lengths)


def walls(date: tuple[Ints, Bools], clock: tuple[Ints, Ints, Ints, Ints], matched: Bools) -> Ints:
    """Microseconds since 1970 on the wall: ``date`` (:func:`days_of`) and hours, minutes, seconds, microseconds;
    :data:`UNREADABLE` where there is no such time or nothing ``matched``."""
    days, is_date = date
    hours, minutes, seconds, micros = clock
    ok = matched & is_date & (hours <= 23) & (minutes <= 59) & (seconds <= 59)
    of_day = (hours * 3600 + minutes * 60 + seconds) * SECOND + micros
    return np.where(ok, np.where(ok, days, 0) * (86_400 * SECOND) + of_day, UNREADABLE)

"""Text written by a datetime pattern (:mod:`provender.specs.time_pattern`), as wall times and the zones it names."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from provender.contract import civil
from provender.contract.arrow import Bools, Ints, bools, ints
from provender.specs.time_pattern import MONTHS, WEEKDAYS, compiled, kind_of

Parts = dict[str, pa.Array]
"""Letters to what stands in their place in each text."""


def pattern_times(text: pa.Array, pattern: str) -> tuple[Ints, pa.Array | None]:
    """Wall times in microseconds, ``UNREADABLE`` where a text is not written by ``pattern``, and the zones as they are
    written (None: the pattern has none). Raises :class:`RefusedPatternError`."""
    known = compiled(pattern)
    groups = pc.extract_regex(text, known.form)
    part = {letters: groups.field(at) for at, letters in enumerate(known.letters)}
    days, is_date = _date(part)
    hours, is_hour = _hours(part)
    clock = (hours, _number(part, "m"), _number(part, "s"), _fraction(part))
    zone = next((part[letters] for letters in part if kind_of(letters) == "zone"), None)
    matched = bools(groups.is_valid()) & is_hour & _is_weekday(part, days)
    return civil.walls((days, is_date), clock, matched), zone


def _part(part: Parts, kind: str) -> tuple[str, pa.Array] | None:
    return next((each for each in part.items() if kind_of(each[0]) == kind), None)


def _number(part: Parts, kind: str, absent: int = 0) -> Ints:
    """The number of a group; ``absent`` where the pattern or the text leaves it out."""
    found = _part(part, kind)
    size = len(next(iter(part.values())))
    if found is None:
        return np.full(size, absent, dtype=np.int64)
    values = civil.number(found[1])
    return np.where(bools(pc.equal(found[1], "")), absent, values) if absent else values


def _named(column: pa.Array, names: tuple[str, ...]) -> Ints:
    """Which of the names, from 1, by the first three letters; 0 for none."""
    short = pc.utf8_lower(pc.utf8_slice_codeunits(column, 0, 3))
    at = pc.index_in(short, value_set=pa.array([name[:3] for name in names]))
    return ints(pc.add(at, 1))


def _date(part: Parts) -> tuple[Ints, Bools]:
    years = _number(part, "y", 1970)
    if any(letters == "yy" for letters in part):
        years = years + 2000
    if _part(part, "D"):
        of_year = _number(part, "D", 1)
        first, is_year = civil.days_of(years, np.ones_like(years), np.ones_like(years))
        return first + of_year - 1, is_year & (of_year >= 1) & (of_year <= 365 + civil.is_leap(years))
    found = _part(part, "M")
    named = found is not None and len(found[0]) >= 3
    months = _named(found[1], MONTHS) if found and named else _number(part, "M", 1)
    if found and named:
        months = np.where(bools(pc.equal(found[1], "")), 1, months)
    return civil.days_of(years, months, _number(part, "d", 1))


def _hours(part: Parts) -> tuple[Ints, Bools]:
    """The hour of the day, and whether it is one that the letters allow."""
    found = _part(part, "H") or _part(part, "h")
    if found is None:
        size = len(next(iter(part.values())))
        return np.zeros(size, dtype=np.int64), np.ones(size, dtype=bool)
    letter = found[0][0]
    low, high = {"H": (0, 23), "k": (1, 24), "h": (1, 12), "K": (0, 11)}[letter]
    hours = civil.number(found[1])
    absent = bools(pc.equal(pc.fill_null(found[1], ""), ""))
    valid = absent | ((hours >= low) & (hours <= high))
    hours = np.where(absent, 0, hours % (24 if letter in "Hk" else 12))
    afternoon = _part(part, "a")
    if letter in "hK" and afternoon is not None:
        hours = hours + 12 * bools(pc.equal(pc.utf8_lower(afternoon[1]), "pm"))
    return hours, valid


def _fraction(part: Parts) -> Ints:
    found = _part(part, "S")
    return civil.micros_of_fraction(found[1]) if found else _number(part, "S")


def _is_weekday(part: Parts, days: Ints) -> Bools:
    """Whether a weekday that is named is the date's."""
    found = _part(part, "E")
    if found is None:
        return np.ones(len(days), dtype=bool)
    named = _named(found[1], WEEKDAYS)
    return np.equal(named, 0) | np.equal(named, (days + 3) % 7 + 1)

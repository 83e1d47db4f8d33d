"""Text in the forms of ISO 8601, as wall times and the zones that the values name.

``2026-11-20``, ``2026-11-20T10``, ``2026-11-20 10:00``, ``2026-11-20 10:00:00.123456``, each time with or without
a zone behind it (:mod:`provender.contract.zones`), after a space or not. Digits past the microsecond are cut off.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from provender.contract import civil
from provender.contract.arrow import Ints, bools, present
from provender.contract.zones import FIRST, LAST, UNREADABLE

_FORM = (
    r"^(?P<year>\d{4})-(?P<month>\d{2})-(?P<day>\d{1,2})"
    r"(?:[Tt ](?P<hour>\d{1,2})(?::(?P<minute>\d{1,2})(?::(?P<second>\d{1,2})(?:\.(?P<fraction>\d+))?)?)?"
    r" *(?P<zone>[+-][0-9:]+|[A-Za-z][A-Za-z0-9_+:/-]*)?)?$"
)


def iso_times(text: pa.Array) -> tuple[Ints, pa.Array | None]:
    """Wall times in microseconds, ``UNREADABLE`` where a text is no time, and the zones as they are written."""
    for kind, zone in _KINDS:
        times = _cast(text, kind)
        if times is not None:
            return times, pa.array([zone] * len(text), pa.string()) if zone else None
    return _form_by_form(pc.replace_substring_regex(text, r" *(?:UTC|GMT)$", "Z"))


_KINDS = ((pa.timestamp("us"), ""), (pa.timestamp("us", "UTC"), "Z"))
_PLAIN = r"^\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?)?$"
_ZONED = r"^\d{4}-\d\d-\d\d[ T]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(?:Z|[+-]\d\d:?\d\d)$"


def _cast(text: pa.Array, kind: pa.DataType) -> Ints | None:
    """What Arrow reads, in one go; None where it cannot read one of the texts, or only some have a zone."""
    try:
        found = text.cast(kind).cast(pa.int64())
    except pa.ArrowInvalid:
        return None
    times = np.asarray(pc.fill_null(found, UNREADABLE).to_numpy(), dtype=np.int64)
    return np.where((times < FIRST) | (times > LAST), UNREADABLE, times)


def _form_by_form(text: pa.Array) -> tuple[Ints, pa.Array]:
    """The common forms in one go each, the rest by its parts, which takes twenty times as long."""
    walls = np.full(len(text), UNREADABLE, dtype=np.int64)
    zones = np.full(len(text), None, dtype=object)
    rest = present(text)
    for form, (kind, zone) in zip((_PLAIN, _ZONED), _KINDS, strict=True):
        at = np.flatnonzero(bools(pc.match_substring_regex(text, form)))
        times = _cast(text.take(pa.array(at)), kind)
        if times is not None:
            walls[at], zones[at], rest[at] = times, zone, False
    at = np.flatnonzero(rest)
    walls[at], named = _in_parts(text.take(pa.array(at)))
    zones[at] = named.to_numpy(zero_copy_only=False)
    return walls, pa.array(zones, pa.string())


def _in_parts(text: pa.Array) -> tuple[Ints, pa.Array]:
    parts = pc.extract_regex(text, _FORM)
    part = {field.name: parts.field(at) for at, field in enumerate(parts.type)}
    has_clock = bools(pc.not_equal(part["hour"], ""))
    # A day of one digit is no date of its own; in front of a time it is what Spark reads too.
    matched = bools(parts.is_valid()) & (has_clock | bools(pc.equal(pc.binary_length(part["day"]), 2)))
    year, month, day, hour, minute, second = (
        civil.number(part[name]) for name in ("year", "month", "day", "hour", "minute", "second")
    )
    clock = (hour, minute, second, civil.micros_of_fraction(part["fraction"]))
    return civil.walls(civil.days_of(year, month, day), clock, matched), part["zone"]

"""Numbers that count from 1970, exactly."""

from __future__ import annotations

from decimal import ROUND_FLOOR, Decimal, InvalidOperation, localcontext

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from provender.contract import civil
from provender.contract.arrow import Ints, bools, ints
from provender.contract.zones import FIRST, LAST, UNREADABLE

MICROS = {"epoch_s": 1_000_000, "epoch_ms": 1_000, "epoch_us": 1}
"""Format to microseconds in its unit."""
_WHOLE = r"^[+-]?\d{1,18}$"
_FRACTION = r"^(?P<whole>\d{1,18})\.(?P<fraction>\d+)$"
_MOST_DIGITS = 40
"""Numbers with more digits in front of the point than this are no moments, whatever the unit."""


def epoch_times(column: pa.Array, unit: int) -> Ints:
    """Microseconds since 1970 of integers, floats, decimals or texts in ``unit`` (microseconds); ``UNREADABLE`` for
    null, what is no number, and moments outside the years 0001 to 9999. What is finer than a microsecond is cut off
    from decimals and texts; of floats, which hold no exact fraction, the nearest microsecond counts."""
    kind = column.type
    if pa.types.is_integer(kind):
        return _whole(column, unit)
    if pa.types.is_floating(kind):
        return _floats(column, unit)
    if not pa.types.is_string(kind):
        return _one_by_one(column, unit)
    is_whole = pc.match_substring_regex(column, _WHOLE)
    result = _whole(pc.if_else(is_whole, column, None).cast(pa.int64()), unit)
    parts = pc.extract_regex(column, _FRACTION)
    is_fraction = bools(parts.is_valid())
    if is_fraction.any():
        fine = civil.micros_of_fraction(parts.field(1)) * unit // 1_000_000
        whole = _whole(pa.array(civil.number(parts.field(0))), unit)
        result = np.where(is_fraction & (whole != UNREADABLE), whole + fine, result)
    others = np.flatnonzero(bools(pc.invert(is_whole)) & ~is_fraction)
    if len(others):
        result[others] = _one_by_one(column.take(pa.array(others)), unit)
    return result


def _whole(column: pa.Array, unit: int) -> Ints:
    if pa.types.is_uint64(column.type):
        fits = pc.less_equal(column, pa.scalar(2**63 - 1, pa.uint64()))
        column = pc.if_else(fits, column, None).cast(pa.int64())
        return np.where(bools(fits), _whole(column, unit), UNREADABLE)
    low, high = -(-FIRST // unit), LAST // unit
    values = ints(column)
    inside = (values >= low) & (values <= high)
    return np.where(inside, np.where(inside, values, 0) * unit, UNREADABLE)


def _floats(column: pa.Array, unit: int) -> Ints:
    values = np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64)
    inside = np.isfinite(values) & (values >= FIRST / unit) & (values < (LAST + 1) / unit)
    floor = np.floor(np.where(inside, values, 0.0))
    parts = np.rint((np.where(inside, values, 0.0) - floor) * unit).astype(np.int64)
    return np.where(inside, floor.astype(np.int64) * unit + parts, UNREADABLE)


def _one_by_one(column: pa.Array, unit: int) -> Ints:
    coded = column.dictionary_encode()
    known = np.array([_exact(value, unit) for value in coded.dictionary.to_pylist()] or [0], dtype=np.int64)
    return np.where(bools(column.is_valid()), known[ints(coded.indices)], UNREADABLE)


def _exact(value: object, unit: int) -> int:
    try:
        number = value if isinstance(value, Decimal) else Decimal(str(value))
    except InvalidOperation:
        return UNREADABLE
    if not number.is_finite() or number.adjusted() > _MOST_DIGITS or "_" in str(value):
        return UNREADABLE
    with localcontext(prec=200, Emin=-(10**6), Emax=10**6):
        micros = int((number * unit).to_integral_value(ROUND_FLOOR))
    return micros if FIRST <= micros <= LAST else UNREADABLE

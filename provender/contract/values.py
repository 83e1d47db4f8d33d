"""Raw values as values of the column types: the one parser of everything that is no time.

Of text (CSV, JSON, what a database's column that does not fit is staged as):

    ``INT32``, ``INT64``   ``517``, ``+7``; ``517.0`` too, as exports of nullable integers write it. No exponent.
    ``FLOAT``, ``DOUBLE``  ``1.5``, ``.5``, ``1e-3``, ``NaN``, ``Infinity``, ``-inf``
    ``BOOL``               ``true t yes y 1``, ``false f no n 0``
    ``BYTES``              base64
    ``STRING``             itself

Of typed values (Parquet, Avro, DataFrames, databases): a number is what holds it without loss: 5.0 is an INT64, 5.5 and
2**40 as INT32 are none. A STRING is made of numbers, booleans, dates and timestamps; nothing else changes its kind.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from provender.contract.arrow import bools, plain, present
from provender.contract.times import read_times
from provender.specs.source import ColumnType, Timestamp

ARROW: dict[ColumnType, pa.DataType] = {
    ColumnType.INT32: pa.int32(),
    ColumnType.INT64: pa.int64(),
    ColumnType.FLOAT: pa.float32(),
    ColumnType.DOUBLE: pa.float64(),
    ColumnType.STRING: pa.string(),
    ColumnType.BOOL: pa.bool_(),
    ColumnType.BYTES: pa.binary(),
    ColumnType.TIMESTAMP: pa.timestamp("us", "UTC"),
}
"""How a checked column is held."""
_WHOLE = r"^[+-]?\d+(?:\.0*)?$"
_NUMBER = r"(?i)^[+-]?(?:\d+\.?\d*(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?|inf|infinity)$|^nan$"
_TRUE, _FALSE = ("t", "true", "y", "yes", "1"), ("f", "false", "n", "no", "0")
_RANGES = {ColumnType.INT32: (-(2**31), 2**31 - 1), ColumnType.INT64: (-(2**63), 2**63 - 1)}


def read_values(column: pa.Array | pa.ChunkedArray, wanted: ColumnType) -> pa.Array:
    """``column`` as ``ARROW[wanted]``: null where there is no value and where one cannot be read as such. Nothing
    raises on a value."""
    raw = plain(column)
    if wanted is ColumnType.TIMESTAMP:
        return read_times(raw, Timestamp(column="value"), blank_is_absent=False).to_arrow()
    if pa.types.is_null(raw.type):
        return pa.nulls(len(raw), ARROW[wanted])
    if wanted is ColumnType.STRING:
        return _as_text(raw)
    if wanted is ColumnType.BYTES:
        return _as_bytes(raw)
    if wanted is ColumnType.BOOL:
        return _as_bool(raw)
    is_whole = wanted in _RANGES
    if pa.types.is_string(raw.type):
        text = pc.ascii_trim_whitespace(raw)
        return _whole_of_text(text, wanted) if is_whole else _fraction_of_text(text).cast(ARROW[wanted])
    if not _is_number(raw.type):
        return pa.nulls(len(raw), ARROW[wanted])
    return _whole_of_number(raw, wanted) if is_whole else _fraction_of_number(raw, wanted)


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _only(values: pa.Array, kept: Any) -> pa.Array:
    """``values``, null where not ``kept``."""
    return pc.if_else(kept, values, pa.scalar(None, values.type))


def _whole_of_text(text: pa.Array, wanted: ColumnType) -> pa.Array:
    # The usual forms, which need no regular expression that replaces.
    pointed = pc.and_(pc.ends_with(text, ".0"), pc.equal(pc.count_substring(text, "."), 1))
    if pc.any(pointed, min_count=0).as_py():
        text = pc.if_else(pointed, pc.utf8_slice_codeunits(text, 0, -2), text)
    if not pc.all(pc.match_substring_regex(text, r"^-?(?:0|[1-9]\d{0,17})$"), min_count=0).as_py():
        text = _only(text, pc.match_substring_regex(text, _WHOLE))
        text = pc.replace_substring_regex(text, r"^\+|\.0*$", "")
        text = pc.replace_substring_regex(text, r"^(-?)0+(\d)", r"\1\2")
        long = bools(pc.greater(pc.binary_length(text), 18))
        if long.any():
            text = _only(text, pa.array(_fits_int64(text, long)))
    return _within(text.cast(pa.int64()), wanted)


def _fits_int64(text: pa.Array, long: Any) -> Any:
    low, high = _RANGES[ColumnType.INT64]
    fits = np.ones(len(text), dtype=bool)
    for at in np.flatnonzero(long).tolist():
        digits = text[at].as_py()
        fits[at] = len(digits) <= 20 and low <= int(digits) <= high
    return fits


def _within(values: pa.Array, wanted: ColumnType) -> pa.Array:
    if wanted is ColumnType.INT64:
        return values
    low, high = _RANGES[wanted]
    inside = pc.and_(pc.greater_equal(values, low), pc.less_equal(values, high))
    return _only(values, inside).cast(ARROW[wanted])


def _fraction_of_text(text: pa.Array) -> pa.Array:
    """As ``double``; too large a number is infinity, which the contract names."""
    readable = pc.match_substring_regex(text, _NUMBER)
    try:
        return _only(text, readable).cast(pa.float64())
    except pa.ArrowInvalid:  # longer or larger than Arrow reads
        values = _only(text, readable).to_pylist()
        return pa.array([None if value is None else float(value) for value in values], pa.float64())


def _whole_of_number(raw: pa.Array, wanted: ColumnType) -> pa.Array:
    if pa.types.is_uint64(raw.type):
        raw = _only(raw, pc.less_equal(raw, pa.scalar(2**63 - 1, pa.uint64())))
    if pa.types.is_integer(raw.type):
        return _within(raw.cast(pa.int64()), wanted)
    if pa.types.is_floating(raw.type):
        values = np.asarray(pc.fill_null(raw, 0).to_numpy(zero_copy_only=False), dtype=np.float64)
        whole = np.isfinite(values) & (values >= -(2.0**63)) & (values < 2.0**63)
        whole &= np.where(whole, values, 0) == np.floor(np.where(whole, values, 0))
        found = pa.array(np.where(whole, values, 0).astype(np.int64), mask=~(whole & present(raw)))
        return _within(found, wanted)
    low, high = _RANGES[wanted]
    numbers = [
        int(d) if d is not None and low <= d <= high and d == d.to_integral_value() else None
        for d in raw.to_pylist()
    ]
    return pa.array(numbers, ARROW[wanted])


def _fraction_of_number(raw: pa.Array, wanted: ColumnType) -> pa.Array:
    if pa.types.is_decimal(raw.type):
        numbers = [None if d is None else float(d) for d in raw.to_pylist()]
        return pa.array(numbers, pa.float64()).cast(ARROW[wanted])
    return raw.cast(ARROW[wanted], safe=False)


def _as_bool(raw: pa.Array) -> pa.Array:
    if pa.types.is_boolean(raw.type):
        return raw
    if not pa.types.is_string(raw.type):
        return pa.nulls(len(raw), pa.bool_())
    text = pc.utf8_lower(pc.ascii_trim_whitespace(raw))
    is_true = pc.is_in(text, value_set=pa.array(_TRUE))
    return _only(is_true, pc.or_(is_true, pc.is_in(text, value_set=pa.array(_FALSE))))


def _as_bytes(raw: pa.Array) -> pa.Array:
    if pa.types.is_binary(raw.type):
        return raw
    if not pa.types.is_string(raw.type):
        return pa.nulls(len(raw), pa.binary())
    return pa.array([None if text is None else _base64(text) for text in raw.to_pylist()], pa.binary())


def _base64(text: str) -> bytes | None:
    """What the text stands for; its padding may be missing, line breaks and blanks may be in it."""
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except (binascii.Error, ValueError):
        letters = re.sub(r"[ \t\r\n]", "", text)
    try:
        return binascii.a2b_base64(letters + "=" * (-len(letters) % 4), strict_mode=True)
    except (binascii.Error, ValueError):
        return None


def _as_text(raw: pa.Array) -> pa.Array:
    kind = raw.type
    if pa.types.is_string(kind):
        return raw
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return raw.cast(pa.string())
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return _moment_text(raw)
    if pa.types.is_floating(kind):
        single = pa.types.is_float32(kind)
        return _each(raw, lambda value: _float_text(np.float32(value) if single else value))
    if pa.types.is_decimal(kind):
        return _each(raw, lambda value: format(value, "f"))
    return pa.nulls(len(raw), pa.string())


def _each(raw: pa.Array, write: Callable[[Any], str]) -> pa.Array:
    coded = raw.dictionary_encode()
    texts = pa.array([write(value) for value in coded.dictionary.to_pylist()], pa.string())
    return pa.DictionaryArray.from_arrays(coded.indices, texts).dictionary_decode()


def _moment_text(raw: pa.Array) -> pa.Array:
    """``2026-11-20`` of a date, ``2026-11-20 10:00:00.5`` of a timestamp (in UTC, where it has a zone)."""
    times = read_times(raw, Timestamp(column="value"))
    moments = times.to_arrow().cast(pa.timestamp("us"))
    if pa.types.is_date(raw.type):
        return moments.cast(pa.date32()).cast(pa.string())
    return pc.replace_substring_regex(moments.cast(pa.string()), r"(?:(\.\d*[1-9])|\.)0*$", r"\1")


def _float_text(value: Any) -> str:
    """As Java writes it, which is what keys made of numbers have been since the first table: ``5.0``, ``1.0E7``."""
    if not np.isfinite(value):
        return "NaN" if np.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        return np.format_float_positional(value, unique=True, trim="0")
    sign, digits, exponent = Decimal(str(value)).normalize().as_tuple()
    first, *rest = map(str, digits)
    power = len(digits) - 1 + int(exponent)
    return f"{'-' if sign else ''}{first}.{''.join(rest) or '0'}E{power}"

"""What a database driver gives, as Arrow columns whose types follow the spec, whatever the batch holds.

A column that does not fit its declared type is written as text instead: the contract reads it value by value, and
quarantines what cannot be read.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa

from provender.specs.source import ColumnType


class MisfitError(Exception):
    """A column's values are not of its declared type."""

    def __init__(self, column: str) -> None:
        super().__init__(column)
        self.column = column


def arrow_type(kind: ColumnType | None) -> pa.DataType:
    """How a column of this type is staged; None: one written as text."""
    return pa.string() if kind is None else _TYPES[kind]


def to_arrow(name: str, values: Sequence[Any], kind: ColumnType | None) -> pa.Array:
    """The column ``name`` as ``arrow_type(kind)``. Raises :class:`MisfitError`."""
    convert = as_text if kind is None else _CONVERTERS[kind]
    try:
        return pa.array([None if v is None else convert(v) for v in values], arrow_type(kind))
    except (TypeError, ValueError, OverflowError, pa.ArrowException) as error:
        if kind is None:
            raise
        raise MisfitError(name) from error


def as_text(value: Any) -> str:
    """The value as CSV would have it: ISO 8601 for times, JSON for what is nested, hex for bytes."""
    if isinstance(value, str):
        return value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, dict | list):
        return json.dumps(value, sort_keys=True, default=str)
    return str(value)


def _whole(value: Any) -> int:
    if isinstance(value, bool) or (isinstance(value, Decimal) and value != value.to_integral_value()):
        raise ValueError(value)
    if not isinstance(value, int | Decimal):
        raise TypeError(value)
    return int(value)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise TypeError(value)
    number = float(value)
    if math.isinf(number) and not isinstance(value, float):
        raise OverflowError(value)
    return number


def _truth(value: Any) -> bool:
    if value not in (True, False):  # 1 and 0 too, where a database has no booleans
        raise ValueError(value)
    return bool(value)


def _octets(value: Any) -> bytes:
    if not isinstance(value, bytes | bytearray | memoryview):
        raise TypeError(value)
    return bytes(value)


def _moment(value: Any) -> datetime:
    if not isinstance(value, datetime):
        raise TypeError(value)
    if value.tzinfo is None:
        raise ValueError(f"{value} is a wall time, which text keeps as it is")
    return value.astimezone(UTC)


_CONVERTERS: dict[ColumnType, Callable[[Any], Any]] = {
    ColumnType.INT32: _whole,
    ColumnType.INT64: _whole,
    ColumnType.FLOAT: _number,
    ColumnType.DOUBLE: _number,
    ColumnType.STRING: as_text,
    ColumnType.BOOL: _truth,
    ColumnType.BYTES: _octets,
    ColumnType.TIMESTAMP: _moment,
}
_TYPES: dict[ColumnType, pa.DataType] = {
    ColumnType.INT32: pa.int64(),
    ColumnType.INT64: pa.int64(),
    ColumnType.FLOAT: pa.float64(),
    ColumnType.DOUBLE: pa.float64(),
    ColumnType.STRING: pa.string(),
    ColumnType.BOOL: pa.bool_(),
    ColumnType.BYTES: pa.binary(),
    ColumnType.TIMESTAMP: pa.timestamp("us", "UTC"),
}

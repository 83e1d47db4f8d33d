"""Values in JSON and in Python, by column type.

=============  ==================================================  =============================
type           JSON                                                Python
=============  ==================================================  =============================
INT32, INT64   number without a fraction, within the type's range  int
FLOAT          number                                              float, rounded to 32 bits
DOUBLE         number                                              float
STRING         string                                              str
BOOL           true, false                                         bool
BYTES          {"b64": "..."}                                      bytes
TIMESTAMP      ISO 8601 string; without an offset it is UTC        datetime in UTC, microseconds
=============  ==================================================  =============================

null is None for every type. The Python values are those that Arrow gives for a training set's column.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from provender.specs.source import ColumnType

Convert = Callable[[Any], Any]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_FLOAT = struct.Struct("<f")


def converter(kind: ColumnType | str) -> Convert:
    """From JSON to Python. The function raises :class:`ValueError` that says what was expected."""
    return _CONVERTERS[ColumnType(kind)]


def to_json(value: Any) -> Any:
    """The inverse, for what JSON does not have."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return {"b64": base64.b64encode(value).decode()}
    return value


def to_micros(moment: datetime) -> int:
    """Microseconds since the epoch of an aware datetime."""
    return (moment - _EPOCH) // _MICROSECOND


def parse_timestamp(value: Any) -> datetime:
    """An aware datetime in UTC. Raises :class:`ValueError`."""
    if not isinstance(value, str):
        raise ValueError(f"expected an ISO 8601 timestamp, not {_shown(value)}")
    try:
        moment = datetime.fromisoformat(value)
    except ValueError as error:
        raise ValueError(f"expected an ISO 8601 timestamp, not {_shown(value)}") from error
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _integer(bits: int) -> Convert:
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1

    def convert(value: Any) -> int:
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError(f"expected an INT{bits}, not {_shown(value)}")
        if not low <= value <= high:
            raise ValueError(f"{value} does not fit into INT{bits}")
        return value

    return convert


def _double(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"expected a number, not {_shown(value)}")
    return float(value)


def _float(value: Any) -> float:
    try:
        return float(_FLOAT.unpack(_FLOAT.pack(_double(value)))[0])
    except OverflowError as error:
        raise ValueError(f"{value} does not fit into FLOAT") from error


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"expected a string, not {_shown(value)}")
    return value


def _bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"expected true or false, not {_shown(value)}")
    return value


def _bytes(value: Any) -> bytes:
    if isinstance(value, bytes):  # from a binary tensor
        return value
    if not isinstance(value, dict) or set(value) != {"b64"} or not isinstance(value["b64"], str):
        raise ValueError(f'expected {{"b64": "..."}}, not {_shown(value)}')
    try:
        return base64.b64decode(value["b64"], validate=True)
    except ValueError as error:
        raise ValueError("expected base64 under 'b64'") from error


def _shown(value: Any) -> str:
    text = "null" if value is None else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


_CONVERTERS: dict[ColumnType, Convert] = {
    ColumnType.INT32: _integer(32),
    ColumnType.INT64: _integer(64),
    ColumnType.FLOAT: _float,
    ColumnType.DOUBLE: _double,
    ColumnType.STRING: _string,
    ColumnType.BOOL: _bool,
    ColumnType.BYTES: _bytes,
    ColumnType.TIMESTAMP: parse_timestamp,
}

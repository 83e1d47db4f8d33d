"""Feast's online bytes back into Python values, without protobuf objects.

The inverse of :mod:`provender.online.layout`; the same as Feast's ``feast_value_type_to_python_type``, for every
primitive type. What a value is says its first byte, not the definition, as in Feast.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import numpy as np

from provender.errors import OnlineStoreError
from provender.online.layout import parse_created

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NULL_TIMESTAMP = -(1 << 63)
_SIGN = 1 << 63
_DOUBLE = struct.Struct("<xd").unpack
_FLOAT = struct.Struct("<xf").unpack
_SECONDS_TAG = 0x08
_DOUBLE_TAG = 0x29
_FIXED = {
    _DOUBLE_TAG: np.dtype([("tag", "u1"), ("value", "<f8")]),
    0x35: np.dtype([("tag", "u1"), ("value", "<f4")]),
}
_FEW = 8
_CACHED = 10_000
"""Times repeat: what was written by one run mostly carries one event timestamp."""


def decode_value(data: bytes | None) -> Any:
    """The value of ``ValueProto`` bytes; None for absent or empty ones.

    INT32, INT64 give int, FLOAT and DOUBLE float, TIMESTAMP an aware datetime in UTC (whole seconds, as Feast
    keeps them). Raises :class:`OnlineStoreError` for a type that no batch column can have (a list, a map).
    """
    if not data:
        return None
    if data[0] == _DOUBLE_TAG:
        return _DOUBLE(data)[0]
    try:
        return _DECODERS[data[0]](data)
    except KeyError as error:
        raise OnlineStoreError(
            f"an online value is of a type that is not read here (protobuf field {data[0] >> 3})",
            remedy="read it through Feast, or write all of the view again with primitive types: "
            "provender materialize SOURCE --full",
        ) from error


def decode_values(column: Sequence[bytes | None]) -> list[Any]:
    """:func:`decode_value` of each; a whole column of FLOAT or DOUBLE without a null at once."""
    values = [value for value in column if value]
    if len(values) >= _FEW and len(values) == len(column) and values[0][0] in _FIXED:
        tag, fixed = values[0][0], _FIXED[values[0][0]]
        data = b"".join(values)
        # Where a value begins with the tag it has this width, so the next one begins at the next multiple of it.
        if len(data) == fixed.itemsize * len(values) and data[:: fixed.itemsize].count(tag) == len(values):
            return list(np.frombuffer(data, fixed)["value"].astype(np.float64).tolist())
    return [decode_value(value) for value in column]


@lru_cache(maxsize=_CACHED)
def decode_timestamp(data: bytes | None) -> int | None:
    """Microseconds since the epoch of ``google.protobuf.Timestamp`` bytes; None if there are none.

    Empty bytes are the epoch itself: proto3 leaves zeros out.
    """
    if data is None:
        return None
    at = seconds = nanos = 0
    while at < len(data):
        tag = data[at]
        value, at = _varint(data, at + 1)
        if tag == _SECONDS_TAG:
            seconds = value
        else:
            nanos = value
    return seconds * 1_000_000 + nanos // 1000


@lru_cache(maxsize=_CACHED)
def decode_created(data: bytes | None, event: int | None) -> int | None:
    """The created timestamp in microseconds; None if there is none for the very ``event`` (Feast wrote the row)."""
    if not data or event is None:
        return None
    created, belongs_to = parse_created(data)
    return created if belongs_to == event else None


def moment(micros: int | None) -> datetime | None:
    """An aware datetime in UTC of microseconds since the epoch."""
    return None if micros is None else _EPOCH + timedelta(microseconds=micros)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A signed 64 bit varint at ``at``, and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (value - (_SIGN << 1) if value & _SIGN else value), at
        shift += 7


def _integer(data: bytes) -> int:
    return data[1] if data[1] < 0x80 else _varint(data, 1)[0]


def _blob(data: bytes) -> bytes:
    return data[_varint(data, 1)[1] :] if data[1] >= 0x80 else data[2:]


def _timestamp(data: bytes) -> datetime | None:
    seconds = _integer(data)
    return None if seconds == _NULL_TIMESTAMP else _EPOCH + timedelta(seconds=seconds)


_DECODERS: dict[int, Callable[[bytes], Any]] = {
    0x0A: _blob,
    0x12: lambda data: _blob(data).decode(),
    0x18: _integer,
    0x20: _integer,
    0x35: lambda data: _FLOAT(data)[0],
    0x38: lambda data: bool(data[1]),
    0x40: _timestamp,
}
"""By the field tag of Feast's ``Value`` message (``feast/types/Value.proto``)."""

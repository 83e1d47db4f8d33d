"""Feast's Redis layout, packed from Arrow columns, byte for byte, without importing Feast.

One Redis hash per entity and project holds the values of every feature view with those join keys:

    key                           serialized entity key (version 3) + project name, UTF-8
    field murmur3(view:feature)   4 bytes, little endian -> ``ValueProto`` bytes; empty bytes for a null
    field _ts:<view>              ``google.protobuf.Timestamp`` bytes: the event timestamp
    field _c:<view>               provender's: "<created> <event>", both decimal microseconds
    field _g:<view>               provender's: which full rebuild wrote or confirmed the row

``_c`` names the event timestamp it belongs to, so that it is void, not stale, after Feast itself wrote a row.

Source: feast 0.67 ``infra/key_encoding_utils.py``, ``infra/online_stores/{redis,helpers}.py`` and
``type_map.py``; ``tests/online/test_layout.py`` compares every type with Feast's own functions.

Spark executors import this module: it needs numpy and pyarrow only.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from provender.errors import SpecError
from provender.online.byte_columns import (
    Integers,
    decimals,
    joined,
    of_lengths,
    of_width,
    replaced,
)
from provender.specs.source import ColumnType

ARROW_TYPES: dict[ColumnType, pa.DataType] = {
    ColumnType.INT32: pa.int32(),
    ColumnType.INT64: pa.int64(),
    ColumnType.FLOAT: pa.float32(),
    ColumnType.DOUBLE: pa.float64(),
    ColumnType.STRING: pa.large_string(),
    ColumnType.BOOL: pa.bool_(),
    ColumnType.BYTES: pa.large_binary(),
    ColumnType.TIMESTAMP: pa.timestamp("us", tz="UTC"),
}
"""How a column of each type is read before it is packed."""

_VALUE_TYPE = {
    ColumnType.BYTES: 1,
    ColumnType.STRING: 2,
    ColumnType.INT32: 3,
    ColumnType.INT64: 4,
    ColumnType.TIMESTAMP: 8,
}
_VARINT_TAG = {
    ColumnType.INT32: 0x18,
    ColumnType.INT64: 0x20,
    ColumnType.BOOL: 0x38,
    ColumnType.TIMESTAMP: 0x40,
}
_LENGTH_TAG = {ColumnType.BYTES: 0x0A, ColumnType.STRING: 0x12}
_FIXED_TAG = {ColumnType.DOUBLE: (0x29, "<f8"), ColumnType.FLOAT: (0x35, "<f4")}
_KEY_TYPES = frozenset(_VALUE_TYPE)
_STRING_VALUE_TYPE = struct.pack("<I", _VALUE_TYPE[ColumnType.STRING])
_NULL_TIMESTAMP = int(np.iinfo(np.int64).min)
_MICROS = 1_000_000


@dataclass(frozen=True)
class ViewLayout:
    """One feature view as the online store holds it.

    Raises :class:`SpecError` for a join key type that Feast cannot serialize (BOOL, FLOAT, DOUBLE).
    """

    view: str
    """Feast's name of the view (with ``_v<n>`` where online versioning is on)."""
    join_keys: tuple[tuple[str, ColumnType], ...]
    """Join key names and types; the names are also the batch's column names."""
    features: tuple[tuple[str, ColumnType], ...]
    """Feature names and types, as Feast knows them; the names are also the batch's column names."""

    def __post_init__(self) -> None:
        for name, kind in self.join_keys:
            if kind not in _KEY_TYPES:
                raise SpecError(
                    f"join key {name!r} of view {self.view!r} has type {kind}, which cannot be an online key",
                    remedy="use INT32, INT64, STRING, BYTES or TIMESTAMP",
                )

    @property
    def timestamp_field(self) -> bytes:
        return b"_ts:" + self.view.encode()

    @property
    def created_field(self) -> bytes:
        return b"_c:" + self.view.encode()

    @property
    def generation_field(self) -> bytes:
        return b"_g:" + self.view.encode()

    @property
    def feature_fields(self) -> list[bytes]:
        return [field_name(self.view, name) for name, _ in self.features]

    @property
    def sorted_keys(self) -> list[tuple[str, ColumnType]]:
        """Join keys in the order of the serialized entity key: by name."""
        return sorted(self.join_keys)

    @property
    def key_prefix(self) -> bytes:
        """What every entity key with these join keys starts with."""
        return key_prefix([name for name, _ in self.join_keys])


def field_name(view: str, feature: str) -> bytes:
    """Hash field of a feature: murmur3 (x86, 32 bit, seed 0) of ``view:feature``, little endian."""
    return struct.pack("<I", murmur3_32(f"{view}:{feature}".encode()))


def key_prefix(names: Sequence[str]) -> bytes:
    """Serialized names of the join keys: their count, then each name with its type and length."""
    parts = [struct.pack("<I", len(names))]
    for name in sorted(names):
        encoded = name.encode()
        parts += [_STRING_VALUE_TYPE, struct.pack("<I", len(encoded)), encoded]
    return b"".join(parts)


def key_project(key: bytes) -> bytes | None:
    """The project part of an entity key, or None if ``key`` is not one.

    Projects whose names end alike (``a`` and ``ba``) cannot be told apart by the key's last bytes alone.
    """
    try:
        (count,) = struct.unpack_from("<I", key, 0)
        at = 4
        for _ in range(2 * count):  # the names, then the values: each has a type and a length
            (length,) = struct.unpack_from("<I", key, at + 4)
            at += 8 + length
    except struct.error:
        return None
    return key[at:] if at < len(key) else None


def key_column(layout: ViewLayout, project: str, batch: pa.RecordBatch) -> pa.Array:
    """The Redis keys of a batch's rows (``large_binary``). The join key columns must have no nulls."""
    parts = [_key_part(kind, _column(batch, name, kind)) for name, kind in layout.sorted_keys]
    return joined(layout.key_prefix, *parts, project.encode())


def value_column(kind: ColumnType, column: pa.Array) -> pa.Array:
    """``ValueProto`` bytes of each value (``large_binary``); empty for a null, and for NaN, which Feast takes for a
    null too."""
    column = _cast(column, kind)
    if kind in _LENGTH_TAG:
        values = _bytes(column)
        lengths = np.asarray(pc.binary_length(values), dtype=np.int64)
        packed = joined(_varints(_LENGTH_TAG[kind], lengths), values)
        return replaced(packed, _nulls(column), b"")
    if kind in _FIXED_TAG:
        return _fixed(column, *_FIXED_TAG[kind])
    # Feast writes a null timestamp as the smallest integer, any other null as no value at all.
    is_time = kind is ColumnType.TIMESTAMP
    null = bytes([_VARINT_TAG[kind]]) + _varint(_NULL_TIMESTAMP) if is_time else b""
    return replaced(_varints(_VARINT_TAG[kind], _integers(kind, column)), _nulls(column), null)


def timestamp_column(micros: Integers) -> pa.Array:
    """``google.protobuf.Timestamp`` bytes of microseconds since the epoch (``large_binary``); zero parts are left
    out, as in proto3."""
    seconds, rest = np.divmod(micros, _MICROS)
    heads = replaced(_varints(0x08, seconds), seconds == 0, b"")
    return joined(heads, replaced(_varints(0x10, rest * 1000), rest == 0, b""))


def created_column(createds: Integers, events: Integers) -> pa.Array:
    """Values of the ``_c`` field (``large_binary``)."""
    return joined(decimals(createds), b" ", decimals(events))


def pack_keys(layout: ViewLayout, project: str, batch: pa.RecordBatch) -> list[bytes]:
    """:func:`key_column` as a list."""
    return _list(key_column(layout, project, batch))


def pack_values(kind: ColumnType, column: pa.Array) -> list[bytes]:
    """:func:`value_column` as a list."""
    return _list(value_column(kind, column))


def pack_timestamps(micros: Integers) -> list[bytes]:
    """:func:`timestamp_column` as a list."""
    return _list(timestamp_column(micros))


def to_micros(column: pa.Array, fill: int = 0) -> Integers:
    """Microseconds since the epoch of a timestamp column (naive is UTC); ``fill`` for nulls."""
    integers = _cast(column, ColumnType.TIMESTAMP).cast(pa.int64())
    return np.asarray(pc.fill_null(integers, fill).to_numpy(zero_copy_only=False), dtype=np.int64)


def parse_created(value: bytes) -> tuple[int, int]:
    """One value of :func:`created_column`: (created, event) in microseconds."""
    created, event = value.split(b" ")
    return int(created), int(event)


def murmur3_32(data: bytes) -> int:
    """MurmurHash3 x86 32 bit with seed 0, unsigned (Austin Appleby's reference algorithm)."""
    mask = 0xFFFFFFFF
    h = 0
    body = len(data) & ~3
    for at in range(0, body, 4):
        h ^= _murmur_mix(int.from_bytes(data[at : at + 4], "little"))
        h = ((h << 13 | h >> 19) * 5 + 0xE6546B64) & mask
    if body < len(data):
        h ^= _murmur_mix(int.from_bytes(data[body:], "little"))
    h ^= len(data)
    h = ((h ^ h >> 16) * 0x85EBCA6B) & mask
    h = ((h ^ h >> 13) * 0xC2B2AE35) & mask
    return h ^ h >> 16


def _murmur_mix(k: int) -> int:
    k = (k * 0xCC9E2D51) & 0xFFFFFFFF
    return ((k << 15 | k >> 17) * 0x1B873593) & 0xFFFFFFFF


def _column(batch: pa.RecordBatch, name: str, kind: ColumnType) -> pa.Array:
    return _cast(batch.column(name), kind)


def _cast(column: pa.Array, kind: ColumnType) -> pa.Array:
    wanted = ARROW_TYPES[kind]
    if column.type == wanted:
        return column
    if kind is ColumnType.TIMESTAMP and pa.types.is_timestamp(column.type) and column.type.unit == "ns":
        return column.cast(wanted, safe=False)  # nanoseconds are cut to what Feast keeps
    return column.cast(wanted)


def _bytes(column: pa.Array) -> pa.Array:
    return pc.fill_null(column.cast(pa.large_binary()), b"")


def _list(column: pa.Array) -> list[bytes]:
    values: list[bytes] = column.to_pylist()
    return values


def _nulls(column: pa.Array) -> np.ndarray[Any, np.dtype[np.bool_]]:
    return np.asarray(column.is_null().to_numpy(zero_copy_only=False))


def _key_part(kind: ColumnType, column: pa.Array) -> pa.Array:
    """Type, length and value, each row."""
    head = struct.pack("<I", _VALUE_TYPE[kind])
    if kind in _LENGTH_TAG:
        values = _bytes(column)
        lengths = np.asarray(pc.binary_length(values)).astype("<u4")
        return joined(head, of_width(lengths.view(np.uint8).reshape(-1, 4)), values)
    width = 4 if kind is ColumnType.INT32 else 8
    values = _integers(kind, column).astype(f"<i{width}").view(np.uint8).reshape(-1, width)
    return joined(head + struct.pack("<I", width), of_width(values))


def _integers(kind: ColumnType, column: pa.Array) -> Integers:
    """Values as 64 bit integers; timestamps in whole seconds, rounded down; nulls as 0."""
    if kind is ColumnType.TIMESTAMP:
        return to_micros(column) // _MICROS
    integers = pc.fill_null(column.cast(pa.int64()), 0)
    return np.asarray(integers.to_numpy(zero_copy_only=False), dtype=np.int64)


def _fixed(column: pa.Array, tag: int, dtype: str) -> pa.Array:
    values = np.asarray(pc.fill_null(column, float("nan")).to_numpy(zero_copy_only=False), dtype=dtype)
    rows = np.empty((len(values), values.itemsize + 1), dtype=np.uint8)
    rows[:, 0] = tag
    rows[:, 1:] = values.view(np.uint8).reshape(len(values), values.itemsize)
    return replaced(of_width(rows), np.isnan(values), b"")


def _varint(value: int) -> bytes:
    value &= 0xFFFFFFFFFFFFFFFF
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _varints(tag: int, values: Integers) -> pa.Array:
    """``tag`` and the varint of each value (two's complement in 64 bits)."""
    unsigned = values.astype(np.int64).view(np.uint64)
    shifted = unsigned[:, None] >> (np.arange(10, dtype=np.uint64) * np.uint64(7))
    lengths = np.maximum(np.count_nonzero(shifted, axis=1), 1)
    rows = np.empty((len(values), 11), dtype=np.uint8)
    rows[:, 0] = tag
    rows[:, 1:] = (shifted & np.uint64(0x7F)).astype(np.uint8) | np.uint8(0x80)
    rows[np.arange(len(values)), lengths] &= np.uint8(0x7F)
    return of_lengths(rows, lengths + 1)

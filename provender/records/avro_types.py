"""How Avro's types are decoded, and what they are in Arrow.

Bytes and numbers as in https://avro.apache.org/docs/current/specification/#binary-encoding: whole numbers zigzag in 7
bits a byte, text and bytes after their length, a union after the position of its branch.
"""

from __future__ import annotations

import decimal
import json
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

Read = Callable[[bytes, int], tuple[Any, int]]
"""From a block and a position: the value, and the position behind it."""

_MOST_ITEMS = 1 << 24
_JSON = pa.struct([pa.field("json", pa.string())])
_LOGICAL: dict[tuple[str, str], pa.DataType] = {
    ("int", "date"): pa.date32(),
    ("int", "time-millis"): pa.time32("ms"),
    ("long", "time-micros"): pa.time64("us"),
    **{("long", f"timestamp-{long}"): pa.timestamp(short, "UTC") for long, short in
       (("millis", "ms"), ("micros", "us"), ("nanos", "ns"))},
    **{("long", f"local-timestamp-{long}"): pa.timestamp(short) for long, short in
       (("millis", "ms"), ("micros", "us"), ("nanos", "ns"))},
}  # fmt: skip
_PLAIN: dict[str, pa.DataType] = {
    "null": pa.null(),
    "boolean": pa.bool_(),
    "int": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "bytes": pa.binary(),
    "string": pa.string(),
}


@dataclass(frozen=True)
class Decoder:
    """``keep``: whether the values are wanted; if not they are passed over."""

    read: Read
    type: pa.DataType
    keep: bool

    def array(self, values: Sequence[Any]) -> pa.Array:
        """The values as Arrow; nested ones as JSON text."""
        if self.type == _JSON:
            return pa.array([None if each is None else {"json": _dumped(each)} for each in values], _JSON)
        if pa.types.is_decimal(self.type):
            return pa.array(
                [None if each is None else _decimal(each, self.type.scale) for each in values], self.type
            )
        if pa.types.is_temporal(self.type):
            whole = pa.int32() if self.type.bit_width == 32 else pa.int64()
            return pa.array(values, whole).cast(self.type)
        return pa.array(values, self.type)


class AvroTypes:
    """The named types of one schema, which may contain themselves."""

    def __init__(self) -> None:
        self._schemas: dict[str, Any] = {}
        self._reads: dict[str, Read] = {}

    def learn(self, schema: Any, space: str) -> None:
        """Remembers the named types in ``schema``, to be found by their names."""
        if isinstance(schema, list):
            for each in schema:
                self.learn(each, space)
            return
        if not isinstance(schema, dict):
            return
        kind, own = schema.get("type"), str(schema.get("namespace", space))
        if kind in ("record", "enum", "fixed", "error") and "name" in schema:
            name = str(schema["name"])
            own = name.rpartition(".")[0] or own
            self._schemas[name] = self._schemas[f"{own}.{name.rpartition('.')[2]}"] = schema
        for key in ("items", "values"):
            self.learn(schema.get(key), own)
        for field in schema.get("fields", ()):
            self.learn(field.get("type"), own)
        if isinstance(kind, dict | list):
            self.learn(kind, own)

    def decoder(self, schema: Any, *, keep: bool) -> Decoder:
        """For one column."""
        return Decoder(self._read(schema), self._type(schema), keep)

    def _resolved(self, schema: Any) -> Any:
        while isinstance(schema, dict) and isinstance(schema.get("type"), dict | list):
            schema = schema["type"]
        if isinstance(schema, str) and schema not in _PLAIN:
            if schema not in self._schemas:
                raise ValueError(f"unknown type {schema}")
            return self._schemas[schema]
        return {"type": schema} if isinstance(schema, str) else schema

    def _type(self, schema: Any) -> pa.DataType:
        schema = self._resolved(schema)
        if isinstance(schema, list):
            branches = {self._type(each) for each in schema} - {pa.null()}
            return _common(branches)
        kind, logical = schema["type"], schema.get("logicalType")
        if (kind, logical) in _LOGICAL:
            return _LOGICAL[kind, logical]
        if kind in ("bytes", "fixed") and logical == "decimal":
            precision, scale = int(schema["precision"]), int(schema.get("scale", 0))
            return (
                pa.decimal128(precision, scale)
                if precision <= 38
                else pa.decimal256(min(precision, 76), scale)
            )
        if kind == "enum":
            return pa.string()
        return pa.binary() if kind == "fixed" else _PLAIN.get(kind, _JSON)

    def _read(self, schema: Any) -> Read:
        schema = self._resolved(schema)
        if isinstance(schema, list):
            branches = [self._read(each) for each in schema]
            return lambda data, at: _union(branches, data, at)
        kind = schema["type"]
        if kind in _READS:
            return _READS[kind]
        if kind in ("array", "map"):
            return self._many(schema, kind)
        name = str(schema.get("name"))
        if name not in self._reads:
            # A type that contains itself is looked up when it is read.
            self._reads[name] = lambda data, at: self._reads[name](data, at)
            self._reads[name] = self._named(schema, kind)
        return lambda data, at: self._reads[name](data, at)

    def _named(self, schema: Any, kind: str) -> Read:
        if kind == "fixed":
            size = int(schema["size"])
            return lambda data, at: (_part(data, at, size), at + size)
        if kind == "enum":
            symbols = list(schema["symbols"])
            return lambda data, at: _symbol(symbols, data, at)
        if kind not in ("record", "error"):
            raise ValueError(f"unknown type {kind}")
        fields = [(str(field["name"]), self._read(field["type"])) for field in schema["fields"]]
        return lambda data, at: _record(fields, data, at)

    def _many(self, schema: Any, kind: str) -> Read:
        item = self._read(schema["items" if kind == "array" else "values"])
        return lambda data, at: _collection(item, kind == "map", data, at)


def whole(data: bytes, at: int) -> tuple[int, int]:
    """A zigzag number and the position behind it."""
    value, shift = 0, 0
    while True:
        octet = data[at]
        at += 1
        value |= (octet & 0x7F) << shift
        if octet < 0x80:
            return (value >> 1) ^ -(value & 1), at
        shift += 7
        if shift > 63:
            raise ValueError("a number has no end")


def _part(data: bytes, at: int, size: int) -> bytes:
    if size < 0 or at + size > len(data):
        raise IndexError
    return data[at : at + size]


def _octets(data: bytes, at: int) -> tuple[bytes, int]:
    size, at = whole(data, at)
    return _part(data, at, size), at + size


def _text(data: bytes, at: int) -> tuple[str, int]:
    found, at = _octets(data, at)
    return found.decode(), at


def _number(form: str) -> Read:
    shape = struct.Struct(form)

    def read(data: bytes, at: int) -> tuple[Any, int]:
        return shape.unpack(_part(data, at, shape.size))[0], at + shape.size

    return read


def _truth(data: bytes, at: int) -> tuple[bool, int]:
    return data[at] != 0, at + 1


_READS: dict[str, Read] = {
    "null": lambda _, at: (None, at),
    "boolean": _truth,
    "int": whole,
    "long": whole,
    "float": _number("<f"),
    "double": _number("<d"),
    "bytes": _octets,
    "string": _text,
}


def _union(branches: list[Read], data: bytes, at: int) -> tuple[Any, int]:
    position, at = whole(data, at)
    if position < 0:
        raise IndexError
    return branches[position](data, at)


def _symbol(symbols: list[str], data: bytes, at: int) -> tuple[str, int]:
    position, at = whole(data, at)
    if position < 0:
        raise IndexError
    return symbols[position], at


def _record(fields: list[tuple[str, Read]], data: bytes, at: int) -> tuple[dict[str, Any], int]:
    found = {}
    for name, read in fields:
        found[name], at = read(data, at)
    return found, at


def _collection(item: Read, is_map: bool, data: bytes, at: int) -> tuple[Any, int]:
    names: list[str] = []
    found: list[Any] = []
    while True:
        count, at = whole(data, at)
        if count == 0:
            return (dict(zip(names, found, strict=True)) if is_map else found), at
        if count < 0:
            count, (_, at) = -count, whole(data, at)
        if count > _MOST_ITEMS:
            raise ValueError("a list has no end")
        for _ in range(count):
            if is_map:
                name, at = _text(data, at)
                names.append(name)
            value, at = item(data, at)
            found.append(value)


def _common(kinds: set[pa.DataType]) -> pa.DataType:
    """The one type of a union, null left out."""
    if len(kinds) == 1:
        return kinds.pop()
    if not kinds:
        return pa.null()
    if kinds <= {pa.int32(), pa.int64()}:
        return pa.int64()
    return pa.float64() if kinds <= {pa.float32(), pa.float64()} else _JSON


def _decimal(octets: bytes, scale: int) -> decimal.Decimal:
    return decimal.Decimal(int.from_bytes(octets, "big", signed=True)).scaleb(
        -scale, decimal.Context(prec=80)
    )


def _dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=lambda each: each.decode("latin-1"))

"""One logical checksum of a table: the same for equal rows, whatever their order, file, encoding or chunks.

The SHA-256 of these bytes, written ``sha256:<hex>``:

1. A header: the JSON array ``["provender-table-1", rows, [[name, type], …]]``, columns sorted by name, no spaces,
   non-ASCII escaped, in UTF-8, and a newline.
2. For each column in that order, over the rows in canonical order:

   * one byte per row: 1 for a value, 0 for null;
   * for numbers, times, dates and booleans (as 0 or 1): each value little-endian in its type's width (booleans: one
     byte), null as zeros;
   * for text and bytes: each value's length in bytes as a little-endian 64-bit integer (null: 0), then all values one
     after another (text in UTF-8).

**Canonical order**: ascending by the first column, then by the second, and so on; numbers by value, text and bytes by
their bytes, false before true, NaN after all numbers, null last.

**Types** are made canonical first: dictionaries are decoded; timestamps are whole microseconds in UTC (finer parts cut
off towards the past, naive is UTC); large and view variants of text and bytes are ``string`` and ``binary``; decimals
are text; −0.0 is 0.0 and every NaN is the quiet NaN of IEEE 754.

Training checks with this what it was given, in an environment of its own: numpy and pyarrow only.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from provender.errors import TerminalError

STAMP = pa.timestamp("us", tz="UTC")
_HEADER = "provender-table-1"
_LITTLE_ENDIAN = {8: "u1", 16: "<u2", 32: "<u4", 64: "<u8"}


def table_checksum(table: pa.Table) -> str:
    """``sha256:<hex>`` of the table's rows. Raises :class:`TerminalError` for a column of nested type."""
    ordered = in_canonical_order(canonical(table))
    digest = hashlib.sha256(_header(ordered))
    for name in sorted(ordered.column_names):
        for part in _column_bytes(ordered.column(name)):
            digest.update(part)
    return f"sha256:{digest.hexdigest()}"


def canonical(table: pa.Table) -> pa.Table:
    """The table with canonical types, its rows and columns in their order, without metadata."""
    columns = {name: _canonical_column(name, table.column(name)) for name in table.column_names}
    return pa.table(columns)


def in_canonical_order(table: pa.Table, first: str | None = None) -> pa.Table:
    """A canonical table sorted by column ``first`` (if given), then by all columns in the order of their names."""
    names = sorted(table.column_names)
    keys = [first, *(name for name in names if name != first)] if first else names
    if not keys or not len(table):
        return table
    order = pc.sort_indices(table, sort_keys=[(key, "ascending", "at_end") for key in keys])
    return table.take(order)


def _header(table: pa.Table) -> bytes:
    columns = [[name, str(table.schema.field(name).type)] for name in sorted(table.column_names)]
    text = json.dumps([_HEADER, len(table), columns], separators=(",", ":"))
    return text.encode() + b"\n"


def _canonical_column(name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _canonical_column(name, column.cast(kind.value_type))
    if pa.types.is_timestamp(kind):
        return _micros(column)
    if pa.types.is_floating(kind) and kind.bit_width >= 32:
        return _plain_floats(column)
    wanted = _canonical_type(kind)
    if wanted is None:
        raise TerminalError(
            f"column {name!r} has type {kind}, which a training set cannot hold",
            not_affected="everything: nothing was written",
            remedy=f"leave the column {name!r} out, or make numbers, text or times of it",
        )
    return column if kind == wanted else column.cast(wanted)


def _canonical_type(kind: pa.DataType) -> pa.DataType | None:
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind) or kind == pa.date32():
        return kind
    if pa.types.is_date64(kind):
        return pa.date32()
    if pa.types.is_null(kind) or pa.types.is_decimal(kind) or _is_one_of(kind, "string"):
        return pa.string()
    return pa.binary() if _is_one_of(kind, "binary") else None


def _is_one_of(kind: pa.DataType, family: str) -> bool:
    return str(kind) in (family, f"large_{family}", f"{family}_view")


def _micros(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if column.type.unit == "ns":
        # floor, also before 1970: a cast would round towards zero
        column = pc.floor_temporal(column, unit="microsecond")
    return column.cast(pa.timestamp("us", tz=column.type.tz)).cast(STAMP)


def _plain_floats(column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = column.type
    zero, nan = pa.scalar(0.0, kind), pa.scalar(float("nan"), kind)
    plain = pc.if_else(pc.equal(column, zero), zero, column)  # -0.0 equals 0.0
    return pc.if_else(pc.is_nan(plain), nan, plain)


def _column_bytes(column: pa.ChunkedArray) -> Iterator[bytes]:
    yield _numbers(pc.is_valid(column).cast(pa.uint8()), 8)
    if pa.types.is_string(column.type) or pa.types.is_binary(column.type):
        filled = pc.fill_null(column, "" if pa.types.is_string(column.type) else b"")
        yield _numbers(pc.binary_length(filled).cast(pa.int64()), 64)
        yield from (_values(chunk) for chunk in filled.chunks)
        return
    width = 8 if pa.types.is_boolean(column.type) else column.type.bit_width
    yield _numbers(_as_unsigned(column), width)


def _as_unsigned(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The values' bits as unsigned integers, null as 0."""
    if pa.types.is_boolean(column.type):
        return pc.fill_null(column, False).cast(pa.uint8())
    unsigned = {8: pa.uint8(), 16: pa.uint16(), 32: pa.uint32(), 64: pa.uint64()}[column.type.bit_width]
    chunks = [chunk.view(unsigned) for chunk in column.chunks]
    return pc.fill_null(pa.chunked_array(chunks, unsigned), 0)


def _numbers(column: pa.ChunkedArray, bits: int) -> bytes:
    values: bytes = column.to_numpy().astype(_LITTLE_ENDIAN[bits], copy=False).tobytes()
    return values


def _values(chunk: pa.Array) -> bytes:
    _, offsets, data = chunk.buffers()
    if data is None or not len(chunk):
        return b""
    bounds = np.frombuffer(offsets, np.int32)[chunk.offset : chunk.offset + len(chunk) + 1]
    values: bytes = data.slice(int(bounds[0]), int(bounds[-1] - bounds[0])).to_pybytes()
    return values

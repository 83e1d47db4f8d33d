"""Columns of byte strings, built and joined a column at a time: no Python object for any row.

A column is an Arrow ``large_binary`` array without nulls, of one chunk.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

Octets = np.ndarray[Any, np.dtype[np.uint8]]
Integers = np.ndarray[Any, np.dtype[np.int64]]
_BINARY = pa.large_binary()
_END = b"\r\n"


def of_width(rows: Octets) -> pa.Array:
    """A column from the bytes of its rows, (rows, width)."""
    count, width = rows.shape
    return _column(np.arange(count + 1, dtype=np.int64) * width, rows)


def of_lengths(rows: Octets, lengths: Integers) -> pa.Array:
    """A column from the first ``lengths`` bytes of each row of (rows, width)."""
    kept = rows[np.arange(rows.shape[1]) < lengths[:, None]]
    return _column(np.concatenate(([0], np.cumsum(lengths, dtype=np.int64))), kept)


def decimals(values: Integers) -> pa.Array:
    """Each integer in decimal digits."""
    return pa.array(values).cast(pa.large_string()).cast(_BINARY)


def joined(*parts: pa.Array | bytes) -> pa.Array:
    """Row by row the parts one after another; ``bytes`` are the same in every row."""
    scalars = [pa.scalar(part, _BINARY) if isinstance(part, bytes) else part for part in parts]
    return pc.binary_join_element_wise(*scalars, pa.scalar(b"", _BINARY))


def replaced(column: pa.Array, rows: np.ndarray[Any, np.dtype[np.bool_]], value: bytes) -> pa.Array:
    """The column with ``value`` in the rows that are true."""
    return pc.if_else(pa.array(rows), pa.scalar(value, _BINARY), column) if rows.any() else column


def bulk(column: pa.Array) -> pa.Array:
    """RESP bulk strings: ``$<length>\\r\\n<bytes>\\r\\n``."""
    lengths = np.diff(_offsets(column))
    if not len(lengths) or (lengths != lengths[0]).any():
        return joined(b"$", decimals(lengths), _END, column, _END)
    head, width = b"$%d\r\n" % lengths[0], int(lengths[0])
    rows = np.empty((len(lengths), len(head) + width + len(_END)), dtype=np.uint8)
    rows[:, : len(head)] = np.frombuffer(head, np.uint8)
    first, last = _offsets(column)[[0, -1]]
    values = np.frombuffer(column.buffers()[2] or b"", np.uint8)[first:last]
    rows[:, len(head) : -len(_END)] = values.reshape(len(lengths), width)
    rows[:, -len(_END) :] = np.frombuffer(_END, np.uint8)
    return of_width(rows)


class Runs:
    """A column whose neighboring rows are taken together as one run of bytes."""

    def __init__(self, column: pa.Array) -> None:
        self._ends = _offsets(column).tolist()
        self._bytes = memoryview(column.buffers()[2] or b"")

    def between(self, start: int, end: int) -> memoryview:
        """The bytes of the rows in ``[start, end)``."""
        return self._bytes[self._ends[start] : self._ends[end]]


def _column(offsets: Integers, values: Octets) -> pa.Array:
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(values))]
    return pa.Array.from_buffers(_BINARY, len(offsets) - 1, buffers)


def _offsets(column: pa.Array) -> Integers:
    every = np.frombuffer(column.buffers()[1] or b"\0" * 8, np.int64)
    return every[column.offset : column.offset + len(column) + 1]

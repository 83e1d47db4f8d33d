"""Arrow columns of any encoding as plain ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

Bools = np.ndarray[tuple[int], np.dtype[np.bool_]]
Ints = np.ndarray[tuple[int], np.dtype[np.int64]]


def plain(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """``column`` in one piece, without dictionaries, run lengths, views and extension types: texts are ``string``,
    octets ``binary``, half floats ``float``. Types that have no such form stay as they are."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    kind = column.type
    if isinstance(column, pa.ExtensionArray):
        return plain(column.storage)
    if pa.types.is_dictionary(kind):
        return plain(column.dictionary_decode())
    if pa.types.is_run_end_encoded(kind):
        return plain(pc.run_end_decode(column))
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return column.cast(pa.string())
    if pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind) or pa.types.is_fixed_size_binary(kind):
        return column.cast(pa.binary())
    return column.cast(pa.float32()) if pa.types.is_float16(kind) else column


def bools(column: Any) -> Bools:
    """A boolean column as numpy has it; null is false."""
    return np.asarray(pc.fill_null(column, False).to_numpy(zero_copy_only=False), dtype=bool)


def ints(column: pa.Array) -> Ints:
    """An integer column as ``int64``; null is 0."""
    return np.asarray(pc.fill_null(column.cast(pa.int64()), 0).to_numpy(), dtype=np.int64)


def present(column: pa.Array) -> Bools:
    """Where there is a value."""
    return bools(column.is_valid())

"""Which of a file's columns is meant by a column of the spec."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from provender.contract.arrow import Bools, plain, present


def named(fields: pa.RecordBatch, name: str) -> tuple[pa.Array | None, Bools | None]:
    """The column called ``name``, and where it is ambiguous.

    Upper and lower case are the same, as in Spark and in SQL: ``Key`` is read as ``key``. Where a file has both, a
    record may fill one of them; one that fills several is ambiguous (None: no record is), and has null. (None, None):
    there is no such column.
    """
    at = [number for number, found in enumerate(fields.schema.names) if found.lower() == name.lower()]
    if not at:
        return None, None
    columns = [plain(fields.column(number)) for number in at]
    if len(columns) == 1:
        return columns[0], None
    filled: Any = np.sum([present(column) for column in columns], axis=0)
    ambiguous = filled > 1
    columns = [column for column in columns if not pa.types.is_null(column.type)] or columns[:1]
    kinds = {column.type for column in columns}
    if len(kinds) > 1:
        columns = [_text(column) for column in columns]
    first = pc.coalesce(*columns)
    return (pc.if_else(pa.array(ambiguous), None, first), ambiguous) if ambiguous.any() else (first, None)


def _text(column: pa.Array) -> pa.Array:
    from provender.contract.values import read_values
    from provender.specs.source import ColumnType

    return read_values(column, ColumnType.STRING)

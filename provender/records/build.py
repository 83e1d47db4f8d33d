"""Batches from rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from provender.records.batch import RecordBatch
from provender.records.csv_rule import Row

BATCH_ROWS = 65_536
MOST_SHOWN_BYTES = 1 << 16


def text_batch(names: Sequence[str | None], rows: Sequence[Row | str], first: int) -> RecordBatch:
    """Fields of text under ``names`` (None: left out); a row that is one text is malformed. ``first``: the number of
    the first record."""
    shown = pa.array([_cut(row) if isinstance(row, str) else None for row in rows], pa.string())
    nothing: Row = [None] * len(names)
    filled = [nothing if isinstance(row, str) else row for row in rows]
    columns = list(zip(*filled, strict=True)) if rows else [()] * len(names)
    arrays = [
        pa.array(column, pa.string()) for name, column in zip(names, columns, strict=True) if name is not None
    ]
    return batch_of([name for name in names if name is not None], arrays, shown, first)


def batch_of(
    names: Sequence[str], arrays: Sequence[pa.Array], malformed: pa.Array | int, first: int
) -> RecordBatch:
    """A batch; ``malformed`` may be the count of rows, none of which is."""
    size = malformed if isinstance(malformed, int) else len(malformed)
    shown = pa.nulls(size, pa.string()) if isinstance(malformed, int) else malformed
    fields = with_rows(names, arrays, size)
    return RecordBatch(fields, pa.array(np.arange(first, first + size, dtype=np.int64)), shown)


def with_rows(names: Sequence[str], arrays: Sequence[pa.Array], size: int) -> pa.RecordBatch:
    """A record batch that has ``size`` rows even without a column."""
    if names:
        return pa.RecordBatch.from_arrays(list(arrays), names=list(names))
    return pa.RecordBatch.from_struct_array(pa.array([{}] * size, pa.struct([])))


def with_constants(batch: RecordBatch, values: Mapping[str, str | None]) -> RecordBatch:
    """The batch with a column of one text for each of ``values`` that it has no column for; nulls of a column of text
    that it has take the text too. Malformed records stay null."""
    fields, size = batch.fields, len(batch.numbers)
    columns = dict(zip(fields.schema.names, fields.columns, strict=True))
    is_whole = pc.is_null(batch.malformed)
    for name, text in values.items():
        constant = pc.if_else(is_whole, pa.scalar(text, pa.string()), pa.scalar(None, pa.string()))
        held = columns.get(name)
        if held is None:
            columns[name] = constant
        elif pa.types.is_string(held.type):
            columns[name] = pc.coalesce(held, constant)
    return RecordBatch(with_rows(list(columns), list(columns.values()), size), batch.numbers, batch.malformed)


def sliced(batch: RecordBatch) -> Iterator[RecordBatch]:
    """The same in batches of at most :data:`BATCH_ROWS` rows."""
    for at in range(0, len(batch.numbers), BATCH_ROWS):
        yield RecordBatch(
            batch.fields.slice(at, BATCH_ROWS),
            batch.numbers.slice(at, BATCH_ROWS),
            batch.malformed.slice(at, BATCH_ROWS),
        )


def _cut(text: str) -> str:
    if len(text) <= MOST_SHOWN_BYTES // 4:
        return text
    return text.encode()[:MOST_SHOWN_BYTES].decode(errors="ignore")

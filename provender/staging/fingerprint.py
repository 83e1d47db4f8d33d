"""A text that tells whether files of Parquet hold the same rows, in whatever order and however they are cut."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from provender.staging.groups import GROUP_ROWS
from provender.staging.raw_file import RawFile


def fingerprint(files: Iterable[RawFile]) -> tuple[int, str]:
    """How many rows there are, and columns, count and the sum of the rows' hashes, as one text. Memory is constant.

    Raises ``pyarrow.ArrowException`` and ``OSError`` for what is no Parquet.
    """
    columns: set[str] = set()
    rows, total = 0, np.uint64(0)
    for file in files:
        with file.open() as opened, pq.ParquetFile(opened) as parquet:
            columns.add(str([(field.name, str(field.type)) for field in parquet.schema_arrow]))
            for batch in parquet.iter_batches(batch_size=GROUP_ROWS):
                rows += batch.num_rows
                total += _hashes(batch).sum(dtype=np.uint64)
    shape = hashlib.sha256(repr(sorted(columns)).encode()).hexdigest()[:16]
    return rows, f"{shape}:{rows}:{int(total):016x}"


def _hashes(batch: pa.RecordBatch) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    """Nulls are a column of their own, so that whole numbers beside them stay whole."""
    parts: dict[str, pd.Series] = {}
    for at, column in enumerate(batch.columns):
        kind = column.type
        if pa.types.is_timestamp(kind):
            column = column.cast(pa.timestamp("us", kind.tz)).cast(pa.int64())
        empty = pa.scalar("" if pa.types.is_string(kind) else b"" if pa.types.is_binary(kind) else 0)
        parts[f"v{at}"] = column.fill_null(empty.cast(column.type)).to_pandas()
        parts[f"n{at}"] = pc.is_null(column).to_pandas()
    return np.asarray(pd.util.hash_pandas_object(pd.DataFrame(parts), index=False), dtype=np.uint64)

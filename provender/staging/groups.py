"""Parquet whose bytes depend on its rows alone, not on the batches in which they came."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq

GROUP_ROWS = 65_536


def write_full_groups(writer: pq.ParquetWriter, tables: list[pa.Table]) -> list[pa.Table]:
    """Writes row groups of a fixed size and returns what is left."""
    table = pa.concat_tables(tables)
    while table.num_rows >= GROUP_ROWS:
        writer.write_table(table.slice(0, GROUP_ROWS))
        table = table.slice(GROUP_ROWS)
    return [table.combine_chunks()] if table.num_rows else []

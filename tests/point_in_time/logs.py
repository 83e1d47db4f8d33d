"""Small feature tables in the log's column layout, written as Delta."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import write_deltalake

T0 = datetime(2026, 11, 22, tzinfo=UTC)
STAMP = pa.timestamp("us", tz="UTC")
TIMES = ("event_timestamp", "created_timestamp", "recorded_timestamp", "period")


def schema(keys: dict[str, pa.DataType], features: dict[str, pa.DataType]) -> pa.Schema:
    """Columns of a feature table's log."""
    columns = keys | features | dict.fromkeys(TIMES, STAMP) | {"deleted": pa.bool_()}
    return pa.schema([pa.field(name, kind) for name, kind in columns.items()])


def write_log(folder: Path, rows: Sequence[dict[str, Any]], columns: pa.Schema) -> str:
    """Appends ``rows`` as one file; answers the table's URI."""
    table = pa.Table.from_pylist(
        [{"period": row["event_timestamp"], "deleted": False} | row for row in rows], columns
    )
    write_deltalake(str(folder), table, mode="append", schema_mode="merge")
    return folder.as_uri()


def at(minutes: float) -> datetime:
    """Minutes after T0."""
    return T0 + timedelta(minutes=minutes)

"""Records: what a raw delivery holds, read once, by one reader per format.

    raw file (CSV, JSON lines, Parquet, Avro; compressed or not)  ─▶  batches of records  ─▶  provender.contract

Everything that looks at raw rows (the cut by a time column, DataFrames, databases, the ingest on one machine or on
Spark's executors) reads them here, so that they agree on what a record and a field is. Needs pyarrow and nothing else;
:mod:`provender.specs.dialect`, which the specs ask, needs not even that, so the names here are imported when used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from provender.records.batch import RecordBatch
    from provender.records.hints import hint
    from provender.records.reading import Part, read_records, split

__all__ = ["Part", "RecordBatch", "hint", "read_records", "split"]
_HOMES = {
    "RecordBatch": "batch",
    "hint": "hints",
    "Part": "reading",
    "read_records": "reading",
    "split": "reading",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)

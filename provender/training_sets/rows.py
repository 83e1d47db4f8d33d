"""Entity rows: from a file or a table, checked, with canonical types and in a canonical order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from provender.errors import TrainingSetError
from provender.online.layout import ARROW_TYPES
from provender.specs.source import EVENT_TIMESTAMP, ColumnType
from provender.storage import storage_at
from provender.training_sets.checksum import STAMP, canonical, in_canonical_order


@dataclass(frozen=True)
class Rows:
    """Entity rows: canonical types, ordered by time and then by all columns."""

    table: pa.Table
    origin: Mapping[str, Any]
    """For the lockfile's ``entities.from``."""
    timestamp: str = EVENT_TIMESTAMP


def rows_of(table: pa.Table, origin: Mapping[str, Any], timestamp: str = EVENT_TIMESTAMP) -> Rows:
    """``table`` as entity rows. Its timestamp column is a timestamp, a date or ISO text; naive is UTC.

    Raises :class:`TrainingSetError` where there are no rows, or no such column.
    """
    where = str(origin.get("uri") or origin.get("sql") or "")
    if timestamp not in table.column_names:
        raise TrainingSetError(
            f"the entity rows have no column {timestamp}; they have {', '.join(table.column_names)}",
            where=where,
        )
    if not len(table):
        raise TrainingSetError(
            "there are no entity rows",
            where=where,
            not_affected="everything: nothing was written",
            remedy="widen the window, or ingest the periods it covers",
        )
    at = table.schema.get_field_index(timestamp)
    table = table.set_column(at, timestamp, _moments(table.column(timestamp), timestamp, where))
    return Rows(in_canonical_order(canonical(table), first=timestamp), dict(origin), timestamp)


def read_rows(uri: str) -> Rows:
    """The entity rows of a Parquet or CSV file, by path or URI. Raises :class:`TrainingSetError`."""
    located = uri if "://" in uri else Path(uri).resolve().as_uri()
    folder, _, name = located.rpartition("/")
    storage = storage_at(folder)
    try:
        with storage.open(unquote(name)) as file:
            table = pa.csv.read_csv(file) if name.endswith(".csv") else pq.read_table(file)
    except (FileNotFoundError, pa.ArrowInvalid) as error:
        raise TrainingSetError(
            f"the entity rows cannot be read: {error}",
            where=uri,
            not_affected="everything: nothing was written",
            remedy="give a Parquet file, or a CSV file whose name ends in .csv",
        ) from error
    return rows_of(table, {"uri": uri})


def with_types(rows: Rows, types: Mapping[str, ColumnType], required: Iterable[str]) -> Rows:
    """``rows`` with columns cast to ``types``. Raises :class:`TrainingSetError` for a column of ``required`` or
    ``types`` that is not there, and for a value its type cannot hold."""
    table = rows.table
    missing = [name for name in dict.fromkeys([*required, *types]) if name not in table.column_names]
    if missing:
        raise TrainingSetError(
            f"the entity rows have no column {', '.join(missing)}; they have {', '.join(table.column_names)}",
            where=str(rows.origin.get("uri") or rows.origin.get("sql") or ""),
            remedy="name it in the SQL (… AS column), or correct the model's spec",
        )
    for name, kind in types.items():
        table = table.set_column(table.schema.get_field_index(name), name, _cast(table, name, kind))
    return Rows(in_canonical_order(canonical(table), first=rows.timestamp), rows.origin, rows.timestamp)


def without_gaps_in_time(rows: Rows) -> Rows:
    """``rows``, if every one has a time; a training set is split by it. Raises :class:`TrainingSetError`."""
    missing = rows.table.column(rows.timestamp).null_count
    if missing:
        raise TrainingSetError(
            f"{missing} of {len(rows.table)} entity rows have no {rows.timestamp}",
            not_affected="everything: nothing was written",
            remedy=f"leave them out in the SQL: WHERE {rows.timestamp} IS NOT NULL",
        )
    return rows


def _cast(table: pa.Table, name: str, kind: ColumnType) -> pa.ChunkedArray:
    """The column as ``kind``: the same values, or an error. Arrow itself makes true of 2 and a number of a time."""
    column = table.column(name)
    if not _may_become(column.type, kind):
        raise _unfit(name, column.type, kind, f"no {column.type} means a {kind}")
    try:
        found = column.cast(ARROW_TYPES[kind])
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise _unfit(name, column.type, kind, str(error)) from error
    lost = _lost(column, found, kind)
    if lost is not None and pc.any(lost).as_py():
        raise _unfit(name, column.type, kind, f"{column.filter(lost)[0].as_py()!r} would be another value")
    return found


def _lost(given: pa.ChunkedArray, found: pa.ChunkedArray, kind: ColumnType) -> pa.ChunkedArray | None:
    """Where Arrow changes a value without a word; None where it does not."""
    if kind is ColumnType.FLOAT and pa.types.is_floating(given.type):
        return pc.and_(pc.is_inf(found), pc.is_finite(given))
    if kind is ColumnType.BOOL and pa.types.is_integer(given.type):
        return pc.not_equal(given, found.cast(given.type))
    return None


def _may_become(given: pa.DataType, kind: ColumnType) -> bool:
    if pa.types.is_null(given) or pa.types.is_string(given) or pa.types.is_large_string(given):
        return True
    if kind in (ColumnType.INT32, ColumnType.INT64, ColumnType.FLOAT, ColumnType.DOUBLE):
        return bool(pa.types.is_integer(given) or pa.types.is_floating(given) or pa.types.is_decimal(given))
    if kind is ColumnType.BOOL:
        return bool(pa.types.is_boolean(given) or pa.types.is_integer(given))
    if kind is ColumnType.TIMESTAMP:
        return bool(pa.types.is_timestamp(given) or pa.types.is_date(given))
    return True


def _unfit(name: str, given: pa.DataType, kind: ColumnType, why: str) -> TrainingSetError:
    return TrainingSetError(
        f"column {name!r} of the entity rows has type {given} and does not fit {kind}: {why}",
        remedy="cast it in the SQL, or give it another type in the model's spec",
    )


def _moments(column: pa.ChunkedArray, name: str, where: str) -> pa.ChunkedArray:
    if pa.types.is_timestamp(column.type):
        return column
    try:
        if pa.types.is_date(column.type):
            return column.cast(pa.timestamp("us")).cast(STAMP)
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            return _parsed(column)
    except pa.ArrowInvalid as error:
        raise TrainingSetError(
            f"column {name!r}: {error}", where=where, remedy="write ISO 8601 times"
        ) from error
    raise TrainingSetError(
        f"column {name!r} has type {column.type}, which is no time",
        where=where,
        remedy="make timestamps of it",
    )


def _parsed(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """ISO 8601 texts, with or without an offset."""
    has_offset = pc.match_substring_regex(column, r"(Z|[+-]\d{2}:?\d{2})$")
    naive = pc.if_else(has_offset, pa.scalar(None, pa.string()), column).cast(pa.timestamp("us")).cast(STAMP)
    return pc.coalesce(pc.if_else(has_offset, column, pa.scalar(None, pa.string())).cast(STAMP), naive)

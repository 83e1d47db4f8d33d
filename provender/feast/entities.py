"""The entity rows of a historical retrieval, whatever they were given as, as one Arrow table."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from feast.errors import EntityTimestampInferenceException
from feast.infra.offline_stores.offline_utils import infer_event_timestamp_from_entity_df

from provender.errors import TerminalError
from provender.feast.tables import Table
from provender.point_in_time.duckdb_join import connection, current_rows

STAMP = pa.timestamp("us", tz="UTC")
RANGE_COLUMN = "entity_ts"
"""Timestamp column of the rows made for a date range, named as Feast's Spark and BigQuery stores name it."""


def from_frame(frame: pd.DataFrame | pa.Table) -> tuple[pa.Table, str]:
    """The rows and the name of their timestamp column: ``event_timestamp``, or the only one of that type.

    Naive timestamps are UTC and texts are parsed, as Feast does it; the column is a timestamp in UTC.
    """
    if isinstance(frame, pa.Table):
        frame = frame.to_pandas(types_mapper=pd.ArrowDtype)
    column = infer_event_timestamp_from_entity_df(dict(frame.dtypes))
    times = frame[column]
    if not isinstance(times.dtype, pd.ArrowDtype):
        frame = frame.assign(**{column: pd.to_datetime(times, utc=True)})
    table = pa.Table.from_pandas(frame, preserve_index=False)
    kind = table.schema.field(column).type
    if pa.types.is_timestamp(kind) and kind.tz is None:
        at = table.schema.get_field_index(column)
        table = table.set_column(at, column, table.column(column).cast(pa.timestamp(kind.unit, tz="UTC")))
    return table.replace_schema_metadata(None), column


def from_sql(query: str, tables: Iterable[Table]) -> tuple[pa.Table, str]:
    """The rows of a DuckDB query. Feature tables are there as ``<source>.<table>``: their current rows, with
    ``event_timestamp`` and ``created_timestamp``. Raises :class:`TerminalError` with DuckDB's words."""
    with connection() as duck:
        schemas = set()
        for table in tables:
            if table.source.name not in query:
                continue
            if table.source.name not in schemas:
                duck.execute(f'CREATE SCHEMA "{table.source.name}"')
                schemas.add(table.source.name)
            rows = current_rows(duck, table.log, table.spec.keys, list(table.columns), table.committed())
            duck.execute(f'CREATE VIEW "{table.source.name}"."{table.spec.name}" AS {rows}')
        try:
            result = duck.sql(query).to_arrow_table()
        except duckdb.Error as error:
            raise TerminalError(
                f"the entity rows' SQL cannot be run: {error}",
                not_affected="everything: nothing was read",
                remedy="it is DuckDB's SQL over <source>.<table>, with a column event_timestamp",
            ) from error
    stamps = [f.name for f in result.schema if pa.types.is_timestamp(f.type)]
    column = (
        "event_timestamp"
        if "event_timestamp" in result.column_names
        else stamps[0]
        if len(stamps) == 1
        else ""
    )
    if not column:
        raise EntityTimestampInferenceException("event_timestamp")
    at = result.schema.get_field_index(column)
    return result.set_column(at, column, _in_utc(result.column(column), column)), column


def _in_utc(times: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """In whole microseconds, cut off towards the past; a time without a zone is UTC."""
    if pa.types.is_timestamp(times.type) and times.type.unit == "ns":
        times = pc.floor_temporal(times, unit="microsecond")
    try:
        return times.cast(STAMP)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise TerminalError(
            f"the entity rows' column {name} has type {times.type}, which is not read as a time: {error}",
            not_affected="everything: nothing was read",
            remedy=f"make it one in the SQL: CAST({name} AS TIMESTAMPTZ)",
        ) from error


def of_range(
    views: Iterable[tuple[Table, dict[str, str]]], start: datetime, end: datetime
) -> tuple[pa.Table, str]:
    """Every entity that has a row with event timestamp in ``[start, end]`` in some view, once, as of ``end``.

    ``views``: tables with entity column -> key column. A key that a table lacks is null for its entities, as in
    Feast's Spark and BigQuery stores.
    """
    found = []
    for table, keys in views:
        with connection() as duck:
            rows = current_rows(
                duck, table.log, table.spec.keys, list(keys.values()), table.committed(), start, end
            )
            names = ", ".join(f'"{column}" AS "{entity}"' for entity, column in keys.items())
            found.append(duck.sql(f"SELECT DISTINCT {names} FROM ({rows}) ORDER BY ALL").to_arrow_table())
    merged = pa.concat_tables(found, promote_options="permissive")
    distinct = merged.group_by(merged.column_names, use_threads=False).aggregate([])
    moments = pa.chunked_array([pa.repeat(pa.scalar(end, STAMP), len(distinct))])
    return distinct.append_column(RANGE_COLUMN, moments), RANGE_COLUMN


def limits(entities: pa.Table, column: str) -> tuple[datetime | None, datetime | None]:
    """The earliest and the latest of the entity rows' timestamps."""
    times = entities.column(column).cast(STAMP, safe=False)
    return pc.min(times).as_py(), pc.max(times).as_py()

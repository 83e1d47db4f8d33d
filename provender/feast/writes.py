"""Rows that Feast is given for the offline store, as additions to the source of a view's table."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
from feast import FeatureView

from provender.errors import SpecError
from provender.feast.tables import Table
from provender.feast.view_columns import columns_of_view
from provender.ingestion.dataframe import ingest
from provender.online.layout import ARROW_TYPES
from provender.specs.source import Timestamp
from provender.tables.feature_log import CREATED, EVENT

_UNITS = {"epoch_s": "s", "epoch_ms": "ms", "epoch_us": "us"}


def add_rows(view: FeatureView, table: Table, rows: pa.Table) -> dict[str, int]:
    """Adds ``rows`` (a view's columns, or the table's) to what the source was delivered; the ingest's counts.

    ``event_timestamp`` becomes the source's own time column. ``created_timestamp`` counts where the source has such a
    column; elsewhere rows that are added are known from now on. Raw columns that ``rows`` lack are null, and the
    contract decides. Raises :class:`SpecError` for a table that SQL makes, and what ``provender ingest`` raises.
    """
    if table.spec.is_derived:
        raise SpecError(
            f"table {table.name} is made by SQL of the raw rows: nothing can be written into it",
            where=f"view {view.name}",
            not_affected="everything: nothing was written",
            remedy=f'add raw rows: provender.ingest("{table.source.name}", rows, add=True)',
        )
    return ingest(table.source.name, _raw_rows(view, table, rows), repo=table.settings.repo, add=True)


def _raw_rows(view: FeatureView, table: Table, rows: pa.Table) -> pa.Table:
    source, given = table.source, columns_of_view(view)
    columns = {given.get(name, name): rows.column(name) for name in rows.column_names}
    times = [(source.event_timestamp, columns.pop(EVENT, None))]
    created = columns.pop(CREATED, None)
    if source.created_timestamp is not None:
        times.append((source.created_timestamp, created))
    for how, moments in times:
        if moments is not None:
            columns[how.column] = _as_given(how, moments)
    for column in source.columns:
        if column.name not in columns:
            columns[column.name] = pa.nulls(len(rows), ARROW_TYPES[column.type])
    return pa.table({column.name: columns[column.name] for column in source.columns})


def _as_given(how: Timestamp, moments: pa.ChunkedArray) -> pa.ChunkedArray:
    """Moments as the source's files hold them."""
    zone = moments.type.tz if pa.types.is_timestamp(moments.type) else None
    utc = moments.cast(pa.timestamp("us", tz=zone or "UTC"), safe=False)
    if how.format in _UNITS:
        unit = _UNITS[how.format]
        return (
            pc.floor_temporal(utc, unit={"s": "second", "ms": "millisecond", "us": "microsecond"}[unit])
            .cast(pa.timestamp(unit, tz="UTC"))
            .cast(pa.int64())
        )
    return utc.cast(pa.timestamp("us", tz="UTC"))

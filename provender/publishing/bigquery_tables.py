"""Published tables: made and described from the spec, and never somebody else's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from google.api_core.exceptions import NotFound
from google.cloud import bigquery
from google.cloud.bigquery import SchemaField

from provender.errors import SchemaChangeError, SettingsError
from provender.intervals import iso
from provender.publishing import statements
from provender.publishing.names import full_name, table_name
from provender.settings import BigQuerySettings
from provender.specs.source import FeatureTable, Source
from provender.tables.feature_log import EVENT

_STAGED_FOR = timedelta(days=1)
_LEGACY = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL"}
"""BigQuery's REST API has other names for some types than its SQL."""
_REST = {sql: rest for rest, sql in _LEGACY.items()}


@dataclass(frozen=True)
class Published:
    """A feature table's counterpart."""

    name: str
    """``project.dataset.table``."""
    created: str
    """When BigQuery made it, ISO: another one means that it was recreated."""
    is_new: bool


def ensure(
    client: bigquery.Client, warehouse: BigQuerySettings, source: Source, spec: FeatureTable
) -> Published:
    """Makes the table, or adds columns and puts descriptions right.

    Raises :class:`SchemaChangeError` where a column has another type, :class:`SettingsError` where the table there is
    not this feature table's. Raises Google's errors.
    """
    wanted = _wanted(warehouse, source, spec)
    try:
        there, is_new = client.get_table(wanted.reference), False
    except NotFound:
        there, is_new = client.create_table(wanted), True
    _refuse_other(there, wanted)
    there = _brought_up(client, there, wanted)
    return Published(full_name(warehouse, source, spec), iso(there.created), is_new)


def days_of(client: bigquery.Client, name: str) -> list[date]:
    """The event dates that the table has rows of."""
    return [row["day"] for row in client.query(statements.days_in(name)).result()]


@dataclass(frozen=True)
class Staging:
    """A table for rows on their way."""

    name: str
    """``project.dataset.table``."""
    stamp: int
    """When BigQuery made it, in milliseconds: what was loaded into an earlier one of that name is gone with it."""


def staging_table(
    client: bigquery.Client, warehouse: BigQuerySettings, name: str, schema: Sequence[SchemaField]
) -> Staging:
    """The table, empty unless it is there. BigQuery removes it within a day, whoever forgets it."""
    table = bigquery.Table(f"{warehouse.project}.{warehouse.dataset}.{name}", schema=schema)
    table.expires = datetime.now(UTC) + _STAGED_FOR
    table.description = "provender: versions on their way into a published table"
    made = client.create_table(table, exists_ok=True)
    return Staging(
        f"{made.project}.{made.dataset_id}.{made.table_id}", round(made.created.timestamp() * 1000)
    )


def field(name: str, sql_type: str, description: str = "") -> SchemaField:
    """A nullable column."""
    kind = _REST.get(sql_type, sql_type)
    return SchemaField(name, kind, description=description) if description else SchemaField(name, kind)


def _wanted(warehouse: BigQuerySettings, source: Source, spec: FeatureTable) -> bigquery.Table:
    columns = statements.columns_of(source, spec)
    table = bigquery.Table(
        f"{warehouse.project}.{warehouse.dataset}.{table_name(source, spec)}",
        schema=[field(name, kind, description) for name, (kind, description) in columns.items()],
    )
    table.time_partitioning = bigquery.TimePartitioning(type_="DAY", field=EVENT)
    if clustering := statements.clustering_of(source, spec):
        table.clustering_fields = clustering
    if description := (spec.description or source.description).strip():
        table.description = description
    table.labels = {"provender_source": source.name, "provender_table": spec.name}
    return table


def _refuse_other(there: bigquery.Table, wanted: bigquery.Table) -> None:
    name = f"{there.project}.{there.dataset_id}.{there.table_id}"
    if any(there.labels.get(label) != value for label, value in wanted.labels.items()):
        raise SettingsError(
            "a table of that name is there already, and it is not this feature table's",
            where=name,
            not_affected="that table",
            remedy="name another data set under provender.bigquery, or remove the table",
        )
    has = {each.name: _sql_type(each) for each in there.schema}
    wants = {each.name: _sql_type(each) for each in wanted.schema}
    changed = [f"{n}: {has[n]} → {kind}" for n, kind in wants.items() if n in has and has[n] != kind]
    if changed:
        raise SchemaChangeError(
            f"the published table has other column types than the spec: {', '.join(changed)}",
            where=name,
            not_affected="the table as it was",
            remedy="remove the table in BigQuery, then: provender publish (it is recreated and filled)",
            columns=tuple(n for n, kind in wants.items() if n in has and has[n] != kind),
        )


def _brought_up(client: bigquery.Client, there: bigquery.Table, wanted: bigquery.Table) -> bigquery.Table:
    """A column that the spec has no more stays, and is null in what is written from now on."""
    known = {each.name for each in there.schema}
    added = {each.name: _sql_type(each) for each in wanted.schema if each.name not in known}
    if added:
        name = f"{there.project}.{there.dataset_id}.{there.table_id}"
        client.query(statements.add_columns(name, added)).result()
        there = client.get_table(there.reference)
    by_name = {each.name: each for each in wanted.schema}
    # The new columns' descriptions come with the others'; an emulator's catalog has not seen them yet.
    unseen = [by_name[name] for name in added if name not in {each.name for each in there.schema}]
    schema = [*(_described(each, by_name.get(each.name)) for each in there.schema), *unseen]
    changes = []
    if [each.to_api_repr() for each in schema] != [each.to_api_repr() for each in there.schema]:
        there.schema = schema
        changes.append("schema")
    if (there.description or "") != (wanted.description or ""):
        there.description = wanted.description or ""
        changes.append("description")
    return client.update_table(there, changes) if changes else there


def _described(there: SchemaField, wanted: SchemaField | None) -> SchemaField:
    if wanted is None or (there.description or None) == (wanted.description or None):
        return there
    # Everything else, policy tags say, stays as it is.
    return SchemaField.from_api_repr({**there.to_api_repr(), "description": wanted.description or ""})


def _sql_type(column: SchemaField) -> str:
    return _LEGACY.get(column.field_type, str(column.field_type))

"""``provender.source`` and ``provender.schema``: a spec's feature table in Feast's own stock objects.

A view file says a name; path, timestamp columns, types, description, owner and tags come from the spec. Where the
repo's ``offline_store`` is Feast's ``bigquery``, the source is the published table (docs/bigquery.md).
"""

from __future__ import annotations

import sys
import warnings
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from feast import BigQuerySource, Field
from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import SparkSource
from feast.table_format import DeltaFormat
from feast.types import Bool, Bytes, FeastType, Float32, Float64, Int32, Int64, String, UnixTimestamp

from provender.errors import SpecError
from provender.feast.tables import SOURCE_TAG, TABLE_TAG, Table, table_uri
from provender.publishing.names import full_name, warehouse_of
from provender.settings import SETTINGS_FILE, Settings, find_repo, load_settings
from provender.specs.catalog import Catalog
from provender.specs.loader import load_source
from provender.specs.source import ColumnType, Source
from provender.tables.feature_log import CREATED, EVENT

FEAST_TYPES: dict[ColumnType, FeastType] = {
    ColumnType.INT32: Int32,
    ColumnType.INT64: Int64,
    ColumnType.FLOAT: Float32,
    ColumnType.DOUBLE: Float64,
    ColumnType.STRING: String,
    ColumnType.BOOL: Bool,
    ColumnType.BYTES: Bytes,
    ColumnType.TIMESTAMP: UnixTimestamp,
}


borrowing: ContextVar[Settings | None] = ContextVar("borrowing", default=None)
"""The settings of a repo that takes the definitions of another one (:mod:`provender.feast.borrowed`)."""


def source(
    name: str, table: str | None = None, *, repo: Path | str | None = None
) -> SparkSource | BigQuerySource:
    """The stock Feast data source of a feature table.

    ``table`` may be left out where the source has one. ``repo`` is the feature repo; by default the one the calling
    file is in, else the nearest above the current directory. The table need not exist yet.
    Raises :class:`SpecError` for a source or table that is not there, or is wrong, and :class:`SettingsError` where
    the repo's store is BigQuery and ``provender.bigquery`` is not set.
    """
    found = _table(name, table, repo or _calling_repo())
    reader = borrowing.get() or found.settings
    spec, tags = found.spec, dict.fromkeys(found.source.tags, "")
    common: dict[str, Any] = {
        "name": found.source.name if spec.name == found.source.name else found.name,
        "timestamp_field": EVENT,
        "created_timestamp_column": CREATED,
        "description": spec.description or found.source.description,
        "owner": found.source.owner,
        "tags": tags | {SOURCE_TAG: found.source.name, TABLE_TAG: spec.name},
    }
    if reader.offline_store == "bigquery":
        published = full_name(warehouse_of(found.settings), found.source, spec)
        return BigQuerySource(table=published, **common)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # "SparkSource is experimental", for each of them
        path = table_uri(found.settings, found.source, spec)
        return SparkSource(path=path, table_format=DeltaFormat(), **common)


def schema(name: str, table: str | None = None, *, repo: Path | str | None = None) -> list[Field]:
    """Entity keys and features of a feature table as Feast fields, in the spec's order. As :func:`source`."""
    found = _table(name, table, repo or _calling_repo())
    described = {feature.name: feature.description for feature in found.source.features_of(found.spec)}
    described |= {key: found.source.column(key).description for key in found.spec.keys}
    return [
        Field(name=column, dtype=FEAST_TYPES[kind], description=described[column])
        for column, kind in found.columns.items()
    ]


def _table(name: str, table: str | None, repo: Path | str) -> Table:
    settings = load_settings(repo)
    spec = _load(settings.repo, name)
    try:
        return Table(settings, spec, spec.table(table))
    except KeyError as error:
        raise SpecError(
            str(error.args[0]),
            remedy=f"name one of them: provender.source({name!r}, {spec.tables[0].name!r})",
        ) from error


def _load(repo: Path, name: str) -> Source:
    """One spec, without reading the others; the whole catalog only to say what is wrong with the name."""
    path = Catalog(repo).path_of(name)
    return load_source(path) if path.is_file() and path.stem == name else Catalog.load(repo).source(name)


def _calling_repo() -> Path:
    """The feature repo of the file that called ``provender.source`` or ``provender.schema``."""
    caller = sys._getframe(2).f_globals.get("__file__")
    if caller:
        for folder in Path(caller).resolve().parents:
            if (folder / SETTINGS_FILE).is_file():
                return folder
    return find_repo()

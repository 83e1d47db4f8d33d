"""From a Feast data source to our feature table: by the source's tags, not its path.

The registry keeps the path of the day it was applied; the tags still lead to the right table after the checkout or
the storage root has moved.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import pyarrow as pa
from feast.data_source import DataSource
from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import SparkSource
from feast.repo_config import RepoConfig

from provender.errors import SettingsError, SourceNotReadyError, SpecError
from provender.intervals import Partition
from provender.ledger import Ledger
from provender.online.layout import ARROW_TYPES
from provender.settings import Settings, load_settings
from provender.specs.catalog import Catalog
from provender.specs.source import ColumnType, FeatureTable, Source
from provender.storage import storage_at
from provender.tables.feature_log import CREATED, DELETED, EVENT, RECORDED, FeatureLog

SOURCE_TAG = "provender_source"
TABLE_TAG = "provender_table"

_NARROW = {ColumnType.STRING: pa.string(), ColumnType.BYTES: pa.binary()}


@dataclass(frozen=True)
class Table:
    """A feature table of ours, with its spec."""

    settings: Settings
    source: Source
    spec: FeatureTable

    @property
    def name(self) -> str:
        return f"{self.source.name}.{self.spec.name}"

    @property
    def uri(self) -> str:
        return table_uri(self.settings, self.source, self.spec)

    @property
    def columns(self) -> dict[str, ColumnType]:
        """Keys and features with their types."""
        keys = {key: self.source.column(key).type for key in self.spec.keys}
        return keys | {feature.name: feature.type for feature in self.source.features_of(self.spec)}

    @cached_property
    def log(self) -> FeatureLog:
        """The table's log; empty where ingests are committed but no row ever came."""
        fields = {name: _NARROW.get(kind, ARROW_TYPES[kind]) for name, kind in self.columns.items()}
        times = dict.fromkeys((EVENT, CREATED, RECORDED), ARROW_TYPES[ColumnType.TIMESTAMP])
        declared = pa.schema(list((fields | times | {DELETED: pa.bool_()}).items()))
        return FeatureLog(self.uri, declared)

    def committed(self) -> datetime:
        """Up to when the log is complete. Raises :class:`SourceNotReadyError` if nothing was ever ingested."""
        up_to = Ledger(storage_at(self.settings.storage_root), self.source.name).state().recorded_up_to
        if up_to is None:
            first = Partition.holding(self.source.cadence, self.source.start).key
            raise SourceNotReadyError(
                f"source {self.source.name!r} was not ingested yet, so table {self.name} has no values",
                where=self.uri,
                not_affected="everything: nothing was read",
                remedy=f"provender ingest {self.source.name} {first}",
                source=self.source.name,
            )
        return up_to


def table_uri(settings: Settings, source: Source, spec: FeatureTable) -> str:
    """Where a feature table lies."""
    return f"{settings.storage_root}/{source.path_of(spec)}"


def settings_of(config: RepoConfig) -> Settings:
    """provender's settings of the repo that a Feast configuration was read from. Raises :class:`SettingsError`."""
    if config.repo_path is None:
        raise SettingsError(
            "this FeatureStore does not know its feature repo",
            remedy='open it as FeatureStore("<feature repo>"), where feature_store.yaml is',
        )
    return load_settings(config.repo_path)


def resolve(config: RepoConfig, data_source: DataSource | None) -> Table:
    """The feature table behind a Feast data source. Raises :class:`SpecError` for one that is not ours."""
    settings = settings_of(config)
    return resolve_in(settings, Catalog.load(settings.repo), data_source)


def resolve_in(settings: Settings, catalog: Catalog, data_source: DataSource | None) -> Table:
    """:func:`resolve`, with the catalog at hand."""
    if settings.offline_store == "bigquery":
        raise SettingsError(
            "this feature repo reads BigQuery by Feast's own store",
            where=str(settings.repo),
            not_affected="the registry",
            remedy=f"feast -c {settings.repo} apply",
        )
    batch = getattr(data_source, "batch_source", None) or data_source
    tags = dict(batch.tags or {}) if isinstance(batch, SparkSource) else {}
    if SOURCE_TAG not in tags or TABLE_TAG not in tags:
        raise SpecError(
            f"data source {getattr(data_source, 'name', None)!r} ({type(data_source).__name__}) "
            "is not one of provender's",
            where=str(settings.repo),
            not_affected="everything: nothing was read",
            remedy='give the view source=provender.source("<name>"), or keep it in a feature repo of its own',
        )
    source = catalog.source(tags[SOURCE_TAG])
    try:
        return Table(settings, source, source.table(tags[TABLE_TAG]))
    except KeyError as error:
        raise SpecError(
            f"{error.args[0]}, which the registry still knows",
            where=str(catalog.path_of(source.name)),
            remedy="provender apply",
        ) from error


def all_tables(settings: Settings, catalog: Catalog) -> Iterator[Table]:
    """Every feature table of the repo's sources."""
    for source in catalog.sources.values():
        for spec in source.tables:
            yield Table(settings, source, spec)

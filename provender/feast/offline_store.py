"""Feast's offline store over provender's feature tables: ``offline_store.type`` in ``feature_store.yaml``.

Feast resolves names, projections, on-demand views and services; this turns what is left into lookups for the
point-in-time join (:mod:`provender.point_in_time.duckdb_join`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
from feast.data_source import DataSource
from feast.errors import FeastEntityDFMissingColumnsError
from feast.feature_logging import LoggingConfig, LoggingSource
from feast.feature_view import FeatureView
from feast.infra.offline_stores.file_source import FileLoggingDestination, FileSource
from feast.infra.offline_stores.offline_store import OfflineStore, RetrievalJob, RetrievalMetadata
from feast.infra.registry.base_registry import BaseRegistry
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.repo_config import FeastConfigBaseModel, RepoConfig
from feast.utils import _get_requested_feature_views_to_features_dict, compute_non_entity_date_range
from pydantic import StrictInt, StrictStr

from provender.engine_settings import JOIN_DUCKDB_ROWS, Engine, EngineChoice
from provender.errors import SpecError, TerminalError
from provender.feast import entities as rows
from provender.feast.online_password import give_online_password
from provender.feast.reads import log_read
from provender.feast.registry import anchor_registry_paths
from provender.feast.retrieval import ProvenderRetrievalJob, Staged
from provender.feast.tables import Table, all_tables, resolve, resolve_in, settings_of
from provender.feast.view_columns import columns_of_view, join_keys_of_view
from provender.feast.writes import add_rows
from provender.point_in_time.duckdb_join import Lookup, connection, current_rows
from provender.point_in_time.join import PointInTimeJoin
from provender.specs.catalog import Catalog
from provender.tables.feature_log import CREATED, EVENT
from provender.tables.types import DDL
from provender.training_sets.lockfile import LogRead

anchor_registry_paths()
give_online_password()


class ProvenderOfflineStoreConfig(FeastConfigBaseModel):
    """Where the tables are is said once, under ``provender`` in the same file; here, who joins."""

    type: StrictStr = "provender.feast.offline_store.ProvenderOfflineStore"
    engine: Engine = Engine.AUTO
    """``auto``: DuckDB up to ``duckdb_rows``, Spark above; ``duckdb`` or ``spark``: always that one."""
    duckdb_rows: StrictInt = JOIN_DUCKDB_ROWS
    """Entity rows and versions that a join may have to read, by Delta's statistics."""

    @property
    def choice(self) -> EngineChoice:
        return EngineChoice(engine=self.engine, duckdb_rows=self.duckdb_rows)


class ProvenderOfflineStore(OfflineStore):
    """Reads what is committed: versions recorded up to the source's last ingest manifest."""

    supports_filter_by_created_timestamp = True

    @staticmethod
    def get_historical_features(
        config: RepoConfig,
        feature_views: list[FeatureView],
        feature_refs: list[str],
        entity_df: pd.DataFrame | pa.Table | str | None,
        registry: BaseRegistry,
        project: str,
        full_feature_names: bool = False,
        filter_by_created_timestamp: bool = False,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
    ) -> RetrievalJob:
        """Entity rows, in their order, with the features beside them.

        ``entity_df``: rows with the join keys and a timestamp; or DuckDB SQL over ``<source>.<table>``; or None for
        every entity seen in ``[start_date, end_date]``, as of ``end_date``.
        Raises :class:`SpecError` for a view that is not ours, :class:`SourceNotReadyError` where nothing was
        ingested, Feast's ``FeastEntityDFMissingColumnsError``, :class:`TerminalError` for keys of another type.
        """
        settings = settings_of(config)
        catalog = Catalog.load(settings.repo)
        on_demand = OnDemandFeatureView.get_requested_odfvs(feature_refs, project, registry)
        requested, _ = _get_requested_feature_views_to_features_dict(feature_refs, feature_views, on_demand)
        lookups: list[Lookup] = []
        reads: list[LogRead] = []
        ranged: list[tuple[Table, dict[str, str]]] = []
        for view, features in requested.items():
            table = resolve_in(settings, catalog, view.batch_source)
            keys = join_keys_of_view(view, table)
            ranged.append((table, keys))
            lookups.append(_lookup(view, table, keys, features, full_feature_names))
            reads.append(log_read(view, table, catalog, features, lookups[-1]))
        if entity_df is None:
            entities, column = rows.of_range(
                ranged, *compute_non_entity_date_range(feature_views, start_date, end_date)
            )
        elif isinstance(entity_df, str):
            entities, column = rows.from_sql(entity_df, all_tables(settings, catalog))
        else:
            entities, column = rows.from_frame(entity_df)
        _check_columns(entities.column_names, lookups)
        least, greatest = rows.limits(entities, column)
        work = PointInTimeJoin(
            settings, entities, column, lookups, filter_by_created_timestamp, _choice(config)
        )
        return ProvenderRetrievalJob(
            work.run,
            settings.repo,
            on_spark=work.on_spark,
            for_spark=work.engine is Engine.SPARK,
            staged=Staged(settings, entities, column, tuple(reads), filter_by_created_timestamp),
            full_feature_names=full_feature_names,
            on_demand_feature_views=on_demand,
            metadata=RetrievalMetadata(
                features=feature_refs,
                keys=[name for name in entities.column_names if name != column],
                min_event_timestamp=least,
                max_event_timestamp=greatest,
            ),
        )

    @staticmethod
    def pull_latest_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None,
        start_date: datetime,
        end_date: datetime,
    ) -> RetrievalJob:
        """The newest current row of every entity with event timestamp in ``[start_date, end_date]``."""
        columns = [*join_key_columns, *feature_name_columns, timestamp_field]
        columns += [created_timestamp_column] if created_timestamp_column else []
        group = ", ".join(_quoted(key) for key in join_key_columns)
        newest = (
            f"QUALIFY row_number() OVER (PARTITION BY {group} ORDER BY {_quoted(timestamp_field)} DESC) = 1"
        )
        table = resolve(config, data_source)
        return _scan(table, columns, start_date, end_date, newest if join_key_columns else "")

    @staticmethod
    def pull_all_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None = None,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
    ) -> RetrievalJob:
        """Every current row with event timestamp in ``[start_date, end_date]``; corrected and withdrawn ones are
        not. A file is a saved dataset, read back."""
        columns = [*join_key_columns, *feature_name_columns, timestamp_field]
        columns += [created_timestamp_column] if created_timestamp_column else []
        if isinstance(data_source, FileSource):
            repo = settings_of(config).repo
            return ProvenderRetrievalJob(
                _reader(data_source, repo, columns, timestamp_field, start_date, end_date), repo
            )
        table = resolve(config, data_source)
        every = [
            *table.columns,
            timestamp_field,
            *([created_timestamp_column] if created_timestamp_column else []),
        ]
        return _scan(table, columns if feature_name_columns else every, start_date, end_date, "")

    def validate_data_source(self, config: RepoConfig, data_source: DataSource) -> None:
        """Whether it is one of ours; its table need not exist yet. Raises :class:`SpecError`."""
        resolve(config, data_source)

    def get_table_column_names_and_types_from_data_source(
        self, config: RepoConfig, data_source: DataSource
    ) -> Iterable[tuple[str, str]]:
        """Columns from the spec, with Spark's type names, as Feast expects of a SparkSource."""
        columns = [(name, DDL[kind]) for name, kind in resolve(config, data_source).columns.items()]
        return [*columns, (EVENT, "timestamp"), (CREATED, "timestamp")]

    @staticmethod
    def offline_write_batch(
        config: RepoConfig, feature_view: FeatureView, table: pa.Table, progress: Callable[[int], Any] | None
    ) -> None:
        """Adds the rows to the view's source, through its contract: see :func:`provender.feast.writes.add_rows`.

        Raises :class:`SpecError` for a view over a table that SQL makes, :class:`ContractError` for rows that break
        the contract beyond the source's limit."""
        add_rows(feature_view, resolve(config, feature_view.batch_source), table)
        if progress:
            progress(len(table))

    @staticmethod
    def write_logged_features(
        config: RepoConfig,
        data: pa.Table | Path,
        source: LoggingSource,
        logging_config: LoggingConfig,
        registry: BaseRegistry,
    ) -> None:
        """Appends the logs as a Parquet file of its own in the destination's folder.

        ``data``: a table, or a Parquet file or folder. The destination is a ``FileLoggingDestination`` with a local
        path, relative to the feature repo. Raises :class:`TerminalError` for another.
        """
        destination = logging_config.destination
        if not isinstance(destination, FileLoggingDestination) or destination.path.startswith(("s3:", "gs:")):
            raise TerminalError(
                f"logs of served features cannot be written to {type(destination).__name__}",
                not_affected="the logs, where they are",
                remedy='LoggingConfig(destination=FileLoggingDestination(path="<folder>"))',
            )
        table = data if isinstance(data, pa.Table) else ds.dataset(data, format="parquet").to_table()
        ds.write_dataset(
            table,
            settings_of(config).repo / destination.path.removeprefix("file://"),
            basename_template=f"{uuid4().hex}-{{i}}.parquet",
            partitioning=destination.partition_by,
            format="parquet",
            file_options=ds.ParquetFileFormat().make_write_options(
                coerce_timestamps="us", allow_truncated_timestamps=True
            ),
            existing_data_behavior="overwrite_or_ignore",
        )


def _choice(config: RepoConfig) -> EngineChoice:
    store = config.offline_store
    return store.choice if isinstance(store, ProvenderOfflineStoreConfig) else EngineChoice()


def _lookup(
    view: FeatureView, table: Table, keys: dict[str, str], features: list[str], full_feature_names: bool
) -> Lookup:
    prefix = f"{view.projection.name_alias or view.name}__" if full_feature_names else ""
    columns = columns_of_view(view)
    wanted = {prefix + feature: columns.get(feature, feature) for feature in features}
    up_to = table.committed()
    missing = [column for column in wanted.values() if column not in table.log.schema.names]
    if missing:
        raise SpecError(
            f"view {view.name!r} has features that table {table.name} does not hold yet: {', '.join(missing)}",
            where=table.uri,
            remedy=f"if the spec has them, run the next ingest of {table.source.name}; else take them from the view",
        )
    ttl = view.ttl or Lookup.ttl
    return Lookup(table.log, keys, wanted, ttl, up_to, described=f"view {view.name!r}, table {table.name}")


def _check_columns(names: list[str], lookups: list[Lookup]) -> None:
    """Raises if the entity rows lack a join key, or have a column of a feature's name already."""
    needed = {key for lookup in lookups for key in lookup.keys}
    if not needed <= set(names):
        raise FeastEntityDFMissingColumnsError(needed, needed - set(names))  # type: ignore[no-untyped-call]
    taken = sorted({output for lookup in lookups for output in lookup.features} & set(names))
    if taken:
        raise TerminalError(
            f"the entity rows already have columns called like features: {', '.join(taken)}",
            not_affected="everything: nothing was read",
            remedy="rename or drop them, or pass full_feature_names=True",
        )


def _scan(
    table: Table, columns: list[str], start: datetime | None, end: datetime | None, qualify: str
) -> RetrievalJob:
    """Columns of the current rows in ``[start, end]``, of which ``qualify`` keeps some."""
    up_to = table.committed()

    def compute() -> pa.Table:
        with connection() as duck:
            rows_sql = current_rows(duck, table.log, table.spec.keys, columns, up_to, start, end)
            names = ", ".join(_quoted(name) for name in dict.fromkeys(columns))
            found = duck.sql(f"SELECT {names} FROM ({rows_sql}) {qualify}").to_arrow_table()
        return found.cast(pa.schema([table.log.schema.field(name) for name in found.column_names]))

    return ProvenderRetrievalJob(compute, table.settings.repo)


def _reader(
    source: FileSource,
    repo: Path,
    columns: list[str],
    timestamp: str,
    start: datetime | None,
    end: datetime | None,
) -> Callable[[], pa.Table]:
    """Reads a saved dataset back."""

    def read() -> pa.Table:
        data = ds.dataset(repo / source.path.removeprefix("file://"), format="parquet")
        within = ds.scalar(True)
        if start is not None:
            within &= ds.field(timestamp) >= start
        if end is not None:
            within &= ds.field(timestamp) <= end
        return data.to_table(columns=[c for c in columns if c in data.schema.names], filter=within)

    return read


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'

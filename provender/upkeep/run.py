"""Tidying of a source's tables: small files into large ones, removed files off the disk, expired values offline.

Nothing that a reader can see changes: a feature table is read by its recorded timestamp, not by its files, so a
materialization or a training set does not notice a compaction.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import deltalake
from pyspark.sql import SparkSession

from provender.errors import SettingsError
from provender.ledger import Ledger
from provender.online.eviction import check_eviction
from provender.online.loss import read_held
from provender.online.views import load_applied_views
from provender.online.writer import OnlineWriter
from provender.settings import Settings
from provender.spark.failures import spark_failures
from provender.spark.interrupt import interrupter
from provender.spark.session import spark_session
from provender.specs.catalog import Catalog
from provender.specs.source import Source
from provender.storage import Storage, storage_at
from provender.storage.readers import delta_options
from provender.storage.retrievals import remove_old_retrievals
from provender.storage.source_lock import source_lock
from provender.tables.repair import repair_tables
from provender.tables.tables import DeltaTable, tables_of
from provender.tables.types import quoted

logger = logging.getLogger(__name__)

SMALL_FILE_BYTES = 64 << 20
"""A file under this is small: a day of a large source is above it and is never rewritten."""
SMALL_FILES = 16
"""How many small files a table may have before they are compacted."""
RETENTION_HOURS = 7 * 24
"""How long a file that is no longer part of a table stays: longer than any job reads."""


@dataclass(frozen=True)
class Tidied:
    """What became of one table."""

    table: str
    small_files: int
    compacted: bool


def tidy(settings: Settings, attempt: str) -> list[Tidied]:
    """Compacts and vacuums every table that needs it, and removes expired values from the online store and old
    retrievals from the storage. Last it looks whether the online store may drop values, or has.

    Raises :class:`LockHeldError` if a writer does not let go of a table in an hour, :class:`OnlineStoreError`,
    :class:`SettingsError` for an online store that may evict values (then all else is done).
    """
    storage = storage_at(settings.storage_root)
    tidied = []
    for source in Catalog.load(settings.repo).sources.values():
        # What an attempt that died has left stays named in the lock, for the next ingest.
        with source_lock(storage, source.name, "tables", attempt, interrupter(settings)):
            tidied += list(_tidy_source(settings, storage, source, attempt))
    _expire(settings, storage)
    if old := remove_old_retrievals(storage, datetime.now(UTC)):
        logger.info(f"{len(old)} old retrievals removed")
    check_online_memory(settings, storage)
    return tidied


def _tidy_source(settings: Settings, storage: Storage, source: Source, attempt: str) -> Iterator[Tidied]:
    repair_tables(storage, source, Ledger(storage, source.name))
    tables = tables_of(storage, source)
    crowded = {table.path: small_files(table) for table in tables if table.exists()}
    if not any(count > SMALL_FILES for count in crowded.values()):
        yield from (Tidied(path, count, False) for path, count in crowded.items())
        return
    with spark_session(settings, f"{attempt}-{source.name}") as spark:
        for table in tables:
            if crowded.get(table.path, 0) > SMALL_FILES:
                logger.info(f"compacting {table.path}: {crowded[table.path]} small files")
                compact(spark, table)
            if table.path in crowded:
                yield Tidied(table.path, crowded[table.path], crowded[table.path] > SMALL_FILES)


def small_files(table: DeltaTable) -> int:
    """How many of the table's files are under :data:`SMALL_FILE_BYTES`."""
    log = deltalake.DeltaTable(table.uri, storage_options=delta_options(table.uri))
    actions = log.get_add_actions(flatten=True)
    sizes = actions.column("size_bytes").to_pylist()
    return sum(size < SMALL_FILE_BYTES for size in sizes)


def compact(spark: SparkSession, table: DeltaTable) -> None:
    """Merges the table's small files in one commit, then removes files that left it long ago."""
    with spark_failures("compacting", table.uri):
        spark.conf.set("spark.databricks.delta.optimize.minFileSize", str(SMALL_FILE_BYTES))
        spark.conf.set("spark.databricks.delta.optimize.maxFileSize", str(2 * SMALL_FILE_BYTES))
        spark.sql(f"OPTIMIZE delta.{quoted(table.spark_path)}").collect()
        spark.sql(f"VACUUM delta.{quoted(table.spark_path)} RETAIN {RETENTION_HOURS} HOURS").collect()


def _expire(settings: Settings, storage: Storage) -> None:
    """Removes values older than their table's ``online_ttl``: Redis can only expire whole entities."""
    try:
        applied = load_applied_views(storage, settings.project)
    except SettingsError:
        return  # nothing is applied, so nothing is online
    catalog = Catalog.load(settings.repo)
    writer = OnlineWriter(settings.redis, settings.project)
    for view in applied:
        source = catalog.sources.get(view.source)
        ttl = source.table(view.table).online_ttl if source else None
        if ttl is not None and view.online:
            removed = writer.expire(view.layout, ttl.total_seconds())
            logger.info(f"{view.view}: {removed} expired keys removed")


def check_online_memory(settings: Settings, storage: Storage) -> None:
    """Says what is risky about the online store's memory, and which views it may have evicted values of.

    Raises :class:`SettingsError` if it may evict values, :class:`OnlineStoreError`. Nothing where nothing is online.
    """
    try:
        views = [view.view for view in load_applied_views(storage, settings.project) if view.online]
    except SettingsError:
        return  # nothing is applied, so nothing is online
    if not views:
        return
    held = read_held(settings.redis, settings.project)
    for view in views:
        if evicted := held.evicted(view):
            logger.warning(f"the online store has evicted {evicted} keys since view {view} was written")
    warnings = check_eviction(
        settings.redis, settings.redis_key_ttl_seconds, is_allowed=settings.batch_engine.allow_eviction
    )
    for warning in warnings:
        logger.warning(warning)

"""Ingest: staged partitions into a source's tables, one attempt, one manifest.

    staged files ─▶ checked rows ─▶ with the raw rows of the touched periods ─▶ desired versions ─▶ what the logs lack

Only then, with nothing left to go wrong but the storage, are the tables written, each in one commit:

    raw/<source>, quarantine/<source>     the partitions' rows are replaced
    tables/<source>/<table>               what its log lacks is appended

A crash between two commits leaves no manifest, but the partitions' names in the lock; the next attempt, whichever
partition it is for, finds what was written, appends what is still missing, and commits the manifest.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from provender import metrics
from provender.clocks import Clock, utc_now
from provender.ingestion import row_counts, version_diff
from provender.ingestion.attempt import Attempt, partitions_of, prepare, query_of
from provender.ingestion.checked_rows import checked_rows
from provender.ingestion.features import (
    desired_versions,
    explain_narrowing,
    in_periods,
    versions_schema,
)
from provender.ingestion.ingest_manifest import draft, receipt
from provender.ingestion.narrowing import is_narrowing
from provender.ingestion.row_counts import Tally
from provender.ingestion.slices import Slice, slices_of
from provender.ingestion.violation_limit import refuse_past_limit
from provender.ingestion.withdrawal import refuse_withdrawal
from provender.intervals import (
    Partition,
    compress,
    iso,
    partitions_between,
)
from provender.ledger import Draft, Ledger, Manifest
from provender.ledger.records import TableCommit
from provender.ledger.records import Transaction as TransactionId
from provender.settings import Settings
from provender.spark.failures import spark_failures
from provender.spark.interrupt import interrupter
from provender.spark.session import spark_session, tune_for
from provender.specs.catalog import Catalog
from provender.specs.deliverable import require_deliverable
from provender.specs.source import FeatureTable
from provender.staging.copies import restore_copies
from provender.storage import storage_at
from provender.storage.disk import scratch_errors
from provender.storage.source_lock import source_lock
from provender.tables.delta_log import Commit
from provender.tables.repair import repair_tables
from provender.tables.tables import (
    RECORDED_TIMESTAMP,
    DeltaTable,
    feature_table,
    quarantine_table,
    raw_table,
)
from provender.tables.types import quoted

logger = logging.getLogger(__name__)


@scratch_errors()
def ingest(
    settings: Settings,
    source_name: str,
    partitions: Iterable[Partition],
    attempt: str,
    clock: Clock = utc_now,
    *,
    allow_withdrawal: bool = False,
) -> Manifest:
    """Ingests staged ``partitions`` of a source; returns the committed manifest, or a receipt if all are done.

    Its ``partitions`` say per key: ``content``, ``delivery``, ``staged``, ``accepted``, ``quarantined`` (rows),
    ``reasons`` (rows by reason), ``features`` (per table ``new``, ``corrected``, ``withdrawn``, ``unchanged``).

    ``allow_withdrawal``: a redelivery may take back more rows than ``violations.max_withdrawn_share``. A staged copy
    that is gone or changed is staged again from the same raw bytes.

    Raises :class:`PartitionError` for a partition that cannot be delivered yet, or never,
    :class:`SourceNotReadyError` for one that is not staged, :class:`ContractError` past the
    spec's limit, :class:`WithdrawalError`, :class:`StagedCopyError`, :class:`SqlError`, :class:`SchemaChangeError`,
    :class:`LockHeldError`, :class:`StorageError` where a write is not found in its table afterwards,
    :class:`DamagedFileError`.
    """
    started = clock()
    catalog = Catalog.load(settings.repo)
    source = catalog.source(source_name)
    partitions = list(partitions)
    for partition in partitions:
        require_deliverable(source, partition, started)
    sqls = {table.name: query_of(catalog, source, table) for table in source.tables}
    storage = storage_at(settings.storage_root)
    ledger = Ledger(storage, source.name, clock)
    with source_lock(storage, source.name, "tables", attempt, interrupter(settings)) as held:
        repair_tables(storage, source, ledger)
        left = frozenset(partitions_of(source, held.abandoned_work))
        work = prepare(settings, storage, source, sqls, ledger, attempt, partitions, left, clock)
        restored = restore_copies(settings, storage, source, work.staged)
        for note in restored:
            logger.info(note)
        done = (
            _ingest(work, ledger, started, held.announce, allow_withdrawal)
            if work.staged
            else receipt(work, started)
        )
        manifest = ledger.commit(replace(done, notes=[*restored, *done.notes]))
        held.finish()
    metrics.job_done(settings, manifest)
    return manifest


def _ingest(
    work: Attempt,
    ledger: Ledger,
    started: datetime,
    announce: Callable[[list[str]], None],
    allow_withdrawal: bool,
) -> Draft:
    logger.info(
        f"ingesting {len(work.staged)} partition(s) of {work.source.name}",
        extra={"source": work.source.name, "partitions": sorted(work.staged)},
    )
    with spark_session(work.settings, work.name) as spark:
        tune_for(spark, work.staged_bytes)
        with spark_failures("checking the rows", work.storage.uri(f"staging/{work.source.name}")):
            # Parsed once: counted, written to the raw table and to the quarantine.
            rows = checked_rows(spark, work.storage, work.source, work.staged, work.waived)
            counted = row_counts.count(rows, work.source, work.staged)
            refuse_past_limit(work, rows, counted)
        withdrawn = refuse_withdrawal(work, spark, rows, ledger.state().ingested, allowed=allow_withdrawal)
        raw, periods = _raw_rows(work, spark, rows, counted)
        logger.info(
            f"{counted.accepted} rows accepted, {counted.quarantined} quarantined; {len(periods)} period(s) touched",
            extra={
                "source": work.source.name,
                "accepted": counted.accepted,
                "quarantined": counted.quarantined,
            },
        )
        slices = _slices(work, raw, periods)
        changes = {t.name: _changes(work, spark, t, raw, periods, slices) for t in work.source.tables}
        announce(list(work.staged))
        wrote = [_write_raw(work, rows, counted)]
        wrote += _write_quarantine(work, spark, rows, counted, ledger)
        for table in work.source.tables:
            wrote += _write_features(work, table, changes[table.name])
    outcomes = {name: change.outcomes for name, change in changes.items()}
    manifest = draft(work, started, counted, outcomes, wrote, withdrawn)
    for note in manifest.notes:
        logger.info(note)
    return manifest


def _raw_rows(
    work: Attempt, spark: SparkSession, rows: DataFrame, counted: Tally
) -> tuple[DataFrame, list[Partition]]:
    """The raw table as it will be, as far as the touched periods go, and those periods.

    Touched is a period that rows are in which came, changed or went away. Of a partition that an attempt died
    with nobody knows what was there before: there it is every period that may have had rows of it. Late rows of
    periods before the source's ``start`` are left out: they are fragments of periods that are never delivered.
    """
    table, cadence = raw_table(work.storage, work.source), work.source.cadence
    accepted = rows.where(F.size("_reasons") == 0).select(*[quoted(name) for name in table.columns])
    if counted.before_start:
        accepted = accepted.where(
            F.col("_period") >= F.lit(iso(work.source.first_partition.start)).cast("timestamp")
        )
    with spark_failures("reading the raw table", table.uri):
        existed = table.exists()
        table.ensure(spark)
        if not existed:
            return accepted, sorted(counted.periods)
        stored, replaced = (
            table.read(spark),
            F.expr(_partitions_condition(work.partitions)),
        )
        periods = {Partition.holding(cadence, moment) for moment in _periods(stored.where(replaced))}
        periods |= counted.periods
        for partition in work.resumed:
            first = Partition.holding(cadence, partition.start - work.source.lateness)
            periods |= set(partitions_between(first, partition))
        ordered = sorted(period for period in periods if period >= work.source.first_partition)
        kept = _of_periods(work, stored.where(~replaced), ordered)
        return kept.select(*accepted.columns).unionByName(accepted), ordered


def _write_raw(work: Attempt, rows: DataFrame, counted: Tally) -> TableCommit:
    table = raw_table(work.storage, work.source)
    with spark_failures("writing the raw table", table.uri):
        where = _partitions_condition(work.partitions)
        accepted = rows.where(F.size("_reasons") == 0)
        commit = table.replace(accepted, where, work.transaction(table), counted.accepted)
    return _written(work, table, counted.accepted, commit)


def _periods(rows: DataFrame) -> set[datetime]:
    micros = rows.select(F.unix_micros("_period").alias("p")).distinct().collect()
    return {datetime.fromtimestamp(row["p"] / 1e6, UTC) for row in micros}


def _partitions_condition(partitions: list[Partition]) -> str:
    return " OR ".join(
        f"(`_partition` >= TIMESTAMP '{iso(first.start)}' AND `_partition` < TIMESTAMP '{iso(last.end)}')"
        for first, last in compress(partitions)
    )


def _write_quarantine(
    work: Attempt, spark: SparkSession, rows: DataFrame, counted: Tally, ledger: Ledger
) -> list[TableCommit]:
    done = ledger.state().ingested
    had_some = any(done[key].quarantined for key in work.staged if key in done)
    if not (counted.quarantined or had_some or work.resumed):
        return []
    table = quarantine_table(work.storage, work.source)
    with spark_failures("writing the quarantine", table.uri):
        table.ensure(spark)
        broken = rows.where(F.size("_reasons") > 0)
        renamed = broken.withColumnsRenamed({"_reasons": "reasons", "_raw": "raw"})
        where = _partitions_condition(work.partitions)
        commit = table.replace(renamed, where, work.transaction(table), counted.quarantined)
    return [_written(work, table, counted.quarantined, commit)]


@dataclass(frozen=True)
class Changes:
    """What one table's log lacks: ``versions`` (None: nothing), and per period the outcomes."""

    versions: DataFrame | None
    appended: int
    outcomes: dict[Partition, dict[str, int]]


def _changes(
    work: Attempt,
    spark: SparkSession,
    table: FeatureTable,
    raw: DataFrame,
    periods: list[Partition],
    slices: list[Slice],
) -> Changes:
    log = feature_table(work.storage, work.source, table)
    with spark_failures(f"making {log.path}", log.uri):
        log.ensure(spark)
    with spark_failures(f"computing {work.source.name}.{table.name}", work.definition_of(table)):
        if not periods:
            return Changes(None, 0, {})
        desired = _desired(work, table, raw, slices)
        ranges = [(iso(first.start), iso(last.end)) for first, last in compress(periods)]
        recorded = log.read(spark).where(in_periods("period", ranges))
        names = [feature.name for feature in work.source.features_of(table)]
        changes = version_diff.difference(desired, recorded, list(table.keys), names, work.newest_delivery)
        changes = _computed(work, table, changes, raw, slices)
        outcomes = row_counts.outcomes(changes, work.source)
    return Changes(
        version_diff.to_append(changes),
        sum(c.pop("appended") for c in outcomes.values()),
        outcomes,
    )


def _computed(
    work: Attempt, table: FeatureTable, changes: DataFrame, raw: DataFrame, slices: list[Slice]
) -> DataFrame:
    """``changes``, computed. Raises :class:`SqlError` naming the rows whose values do not fit the declared types."""
    try:
        return changes.localCheckpoint()
    except PySparkException as error:
        sql = work.sqls[table.name]
        if sql is None or not is_narrowing(error):
            raise
        raise explain_narrowing(work.source, table, sql, raw, slices) from error


def _write_features(work: Attempt, table: FeatureTable, changes: Changes) -> list[TableCommit]:
    if changes.versions is None or not changes.appended:
        return []
    log = feature_table(work.storage, work.source, table)
    with spark_failures(f"writing {log.path}", log.uri):
        recorded = F.lit(iso(work.recorded)).cast("timestamp")
        commit = log.append(
            changes.versions.withColumn(RECORDED_TIMESTAMP, recorded),
            f"`{RECORDED_TIMESTAMP}` = TIMESTAMP '{iso(work.recorded)}'",
            work.transaction(log),
            changes.appended,
        )
    return [_written(work, log, changes.appended, commit)]


def _slices(work: Attempt, raw: DataFrame, periods: list[Partition]) -> list[Slice]:
    """Of the touched periods; none where no table is derived."""
    if not periods or not any(table.is_derived for table in work.source.tables):
        return []
    earliest, latest = periods[0].start, periods[-1].start + work.source.lateness
    again = [redelivery for redelivery in work.redelivered if earliest <= redelivery.partition <= latest]
    with spark_failures("reading the raw rows", work.storage.uri(f"raw/{work.source.name}")):
        return slices_of(raw, work.source.lateness, again)


def _desired(work: Attempt, table: FeatureTable, raw: DataFrame, slices: list[Slice]) -> DataFrame:
    if table.is_derived and not slices:
        # Every raw row of the touched periods was taken back.
        return raw.sparkSession.createDataFrame([], versions_schema(work.source, table))
    return desired_versions(work.source, table, work.sqls[table.name], raw, slices)


def _of_periods(work: Attempt, rows: DataFrame, periods: list[Partition]) -> DataFrame:
    """The rows of the periods: they lie in the partitions from a period to ``lateness`` after it, or in one whose
    late rows were admitted."""
    ranges = compress(periods)
    reach = in_periods(
        "_partition",
        [
            (
                iso(first.start),
                iso(last.start + work.source.lateness + timedelta(microseconds=1)),
            )
            for first, last in ranges
        ],
    )
    if work.admitted_from_afar:
        reach = reach | F.col("_partition").isin(
            *[F.lit(iso(partition.start)).cast("timestamp") for partition in work.admitted_from_afar]
        )
    return rows.where(reach).where(
        in_periods("_period", [(iso(first.start), iso(last.end)) for first, last in ranges])
    )


def _written(work: Attempt, table: DeltaTable, rows: int, commit: Commit) -> TableCommit:
    transaction = work.transaction(table)
    txn = TransactionId(app_id=transaction.app_id, version=transaction.version)
    return TableCommit(table=table.path, rows=rows, **commit.summary, txn=txn)

"""Ingest: staged partitions into a source's tables, one attempt, one manifest.

    staged files ─▶ checked rows ─┬─▶ raw/<source>          replaces the partitions' rows, one commit
                                  └─▶ quarantine/<source>   likewise
    raw rows of the touched periods ─▶ desired versions ─▶ what the log lacks ─▶ tables/<source>/<table>

A crash between two commits leaves no manifest; the next attempt finds what was written, appends only what is
still missing, and commits the manifest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from provender import metrics
from provender.errors import ContractError, SourceNotReadyError
from provender.intervals import Partition, compress, iso, parse_iso, to_micros
from provender.ledger import Draft, Job, Kind, Ledger, Manifest
from provender.ledger.progress import (
    admitted_reasons,
    ingested_partitions,
    recorded_up_to,
    staged_partitions,
)
from provender.settings import Settings
from provender.spark import tally, versions
from provender.spark.contract import checked_rows
from provender.spark.failures import spark_failures
from provender.spark.features import Redelivery, desired_versions, in_periods
from provender.spark.session import interrupt, spark_session, tune_for
from provender.spark.tables import (
    RECORDED_TIMESTAMP,
    DeltaTable,
    Transaction,
    feature_table,
    quarantine_table,
    raw_table,
)
from provender.spark.tally import Tally
from provender.specs.catalog import Catalog
from provender.specs.hashing import data_hash, descriptive_hash
from provender.specs.model import FeatureTable, Source
from provender.storage import Storage, storage_at

LOCK_TIMEOUT_SECONDS = 3600.0
Say = Callable[[str], None]


@dataclass(frozen=True)
class Attempt:
    """What one ingest works with. ``staged`` holds only the partitions that need work."""

    settings: Settings
    storage: Storage
    source: Source
    sqls: dict[str, str | None]
    name: str
    staged: dict[str, dict[str, Any]]
    waived: dict[str, tuple[str, ...]]
    redelivered: tuple[Redelivery, ...]
    recorded: datetime

    @property
    def partitions(self) -> list[Partition]:
        return sorted(Partition.parse(self.source.cadence, key) for key in self.staged)

    @property
    def staged_bytes(self) -> int:
        return sum(file["bytes"] for entry in self.staged.values() for file in entry["files"])

    @property
    def newest_delivery(self) -> datetime:
        return max(parse_iso(entry["delivered"]) for entry in self.staged.values())

    def transaction(self, table: DeltaTable) -> Transaction:
        return Transaction(f"provender/{table.path}", to_micros(self.recorded))


def ingest(
    settings: Settings, source_name: str, partitions: Iterable[Partition], attempt: str, say: Say = print
) -> Manifest:
    """Ingests staged ``partitions`` of a source; returns the committed manifest, or a receipt if all are done.

    Its ``partitions`` say per key: ``content``, ``delivery``, ``staged``, ``accepted``, ``quarantined`` (rows),
    ``reasons`` (rows by reason), ``features`` (per table ``new``, ``corrected``, ``withdrawn``, ``unchanged``).

    Raises :class:`SourceNotReadyError` for a partition that is not staged, :class:`ContractError` past the
    spec's limit, :class:`SqlError`, :class:`SchemaChangeError`, :class:`LockHeldError`.
    """
    started = datetime.now(UTC)
    catalog = Catalog.load(settings.repo)
    source = catalog.source(source_name)
    sqls = {t.name: catalog.sql_of(source.name, t.name) if t.is_derived else None for t in source.tables}
    storage = storage_at(settings.storage_root)
    ledger = Ledger(storage, source.name)
    lock = storage.lock(
        f"{source.name}.tables",
        attempt,
        timeout_seconds=LOCK_TIMEOUT_SECONDS,
        waiting=lambda holder: say(f"waiting for {holder}, which is writing {source.name}"),
    )
    with lock as held:
        if held.abandoned_by:
            say(f"{held.abandoned_by} died while writing {source.name}; finishing what it left")
            interrupt(settings, held.abandoned_by)
        left = [Partition.parse(source.cadence, key) for key in held.abandoned_work]
        work = _prepare(settings, storage, source, sqls, ledger, attempt, sorted({*partitions, *left}))
        held.announce(list(work.staged))
        unclean = bool(held.abandoned_by)
        draft = _ingest(work, ledger, started, unclean, say) if work.staged else _receipt(work, started, unclean)
        manifest = ledger.commit(draft)
    metrics.job_done(settings, manifest)
    return manifest


def _prepare(
    settings: Settings,
    storage: Storage,
    source: Source,
    sqls: dict[str, str | None],
    ledger: Ledger,
    attempt: str,
    partitions: list[Partition],
) -> Attempt:
    staged, done, waived = staged_partitions(ledger), ingested_partitions(ledger), admitted_reasons(ledger)
    absent = [partition.key for partition in partitions if partition.key not in staged]
    if absent:
        raise SourceNotReadyError(
            f"{source.name}: not staged: {', '.join(absent[:5])}{' …' if len(absent) > 5 else ''}",
            unharmed="everything ingested before",
            remedy=f"provender stage {source.name} {absent[0]}..{absent[-1]}",
        )
    spec = data_hash(source, _sql_texts(sqls))
    todo = {
        partition.key: staged[partition.key]
        for partition in partitions
        if _inputs(done.get(partition.key))
        != (staged[partition.key]["content"], staged[partition.key]["delivery"], spec, list(waived.get(partition.key, ())))
    }
    last = recorded_up_to(ledger)
    now = datetime.now(UTC)
    recorded = max(now, last + timedelta(microseconds=1)) if last else now
    redelivered = _redelivered(source, {**done, **todo})
    return Attempt(settings, storage, source, sqls, attempt, todo, waived, redelivered, recorded)


def _redelivered(source: Source, entries: dict[str, dict[str, Any]]) -> tuple[Redelivery, ...]:
    """Of all partitions in the raw table those that are not as they were delivered first."""
    partitions = {key: Partition.parse(source.cadence, key) for key, entry in entries.items() if entry["delivery"] > 1}
    return tuple(
        Redelivery(partition.start, partition.end + source.delay, parse_iso(entries[key]["delivered"]))
        for key, partition in sorted(partitions.items())
    )


def _inputs(done: dict[str, Any] | None) -> tuple[Any, ...] | None:
    return (done["content"], done["delivery"], done["spec"], done["waived"]) if done else None


def _sql_texts(sqls: dict[str, str | None]) -> dict[str, str]:
    return {name: sql for name, sql in sqls.items() if sql is not None}


def _receipt(work: Attempt, started: datetime, unclean: bool) -> Draft:
    return Draft(
        Job.INGEST,
        work.name,
        Kind.RECEIPT,
        partitions={},
        started=started,
        recorded_up_to=work.recorded,
        notes=["every partition was ingested already, from the same bytes by the same spec"],
        resumed=unclean,
    )


def _ingest(work: Attempt, ledger: Ledger, started: datetime, unclean: bool, say: Say) -> Draft:
    say(f"ingesting {len(work.staged)} partition(s) of {work.source.name}")
    with spark_session(work.settings, work.name) as spark:
        tune_for(spark, work.staged_bytes)
        with spark_failures("checking the rows", work.storage.uri(f"staging/{work.source.name}")):
            # Parsed once: counted, written to the raw table and to the quarantine.
            rows = checked_rows(spark, work.storage, work.source, work.staged, work.waived).localCheckpoint()
            counted = tally.count(rows, work.source, work.staged)
            _refuse_past_limit(work, rows, counted)
        wrote = [_write_raw(work, spark, rows, counted)]
        periods = wrote[0].pop("periods")
        wrote += _write_quarantine(work, spark, rows, counted, ledger, unclean)
        say(f"{counted.accepted} rows accepted, {counted.quarantined} quarantined; {len(periods)} period(s) touched")
        features: dict[str, dict[Partition, dict[str, int]]] = {}
        for table in work.source.tables:
            features[table.name], written = _write_features(work, spark, table, periods)
            wrote += written
    return replace(_draft(work, started, counted, features, wrote), resumed=unclean)


def _refuse_past_limit(work: Attempt, rows: DataFrame, counted: Tally) -> None:
    limit = 0.0 if work.source.violations.action == "fail" else work.source.violations.max_share
    broken = [key for key, entry in counted.partitions.items() if entry["quarantined"] > limit * entry["staged"]]
    if not broken:
        return
    lines = [
        f"{key}: {counted.partitions[key]['quarantined']} of {counted.partitions[key]['staged']} rows "
        f"({', '.join(f'{reason} {n}' for reason, n in counted.partitions[key]['reasons'].items())})"
        for key in broken[:10]
    ]
    examples = [f"    {', '.join(r['_reasons'])}: {r['_raw'][:300]}" for r in tally.examples(rows, work.source, broken)]
    raise ContractError(
        f"{work.source.name} breaks its contract: more than {limit:.1%} of the rows\n    "
        + "\n    ".join(lines)
        + "\n  first examples:\n"
        + "\n".join(examples),
        where=", ".join(work.storage.uri(work.staged[key]["folder"]) for key in broken[:3]),
        unharmed="the staged files and every table: nothing of this attempt was written",
        remedy="deliver corrected files, or change columns or violations.max_share in "
        f"sources/{work.source.name}.yaml, then run the same command again",
    )


def _write_raw(work: Attempt, spark: SparkSession, rows: DataFrame, counted: Tally) -> dict[str, Any]:
    table = raw_table(work.storage, work.source)
    with spark_failures("writing the raw table", table.uri):
        existed = table.exists()
        table.ensure(spark)
        where = _partitions_condition(work.partitions)
        before = _periods(table.read(spark).where(where)) if existed else set()
        table.replace(rows.where(F.size("_reasons") == 0), where, work.transaction(table))
    cadence = work.source.cadence
    periods = {Partition.holding(cadence, moment) for moment in before} | counted.periods
    return {**_written(work, table, counted.accepted), "periods": sorted(periods)}


def _periods(rows: DataFrame) -> set[datetime]:
    micros = rows.select(F.unix_micros("_period").alias("p")).distinct().collect()
    return {datetime.fromtimestamp(row["p"] / 1e6, UTC) for row in micros}


def _partitions_condition(partitions: list[Partition]) -> str:
    return " OR ".join(
        f"(`_partition` >= TIMESTAMP '{iso(first.start)}' AND `_partition` < TIMESTAMP '{iso(last.end)}')"
        for first, last in compress(partitions)
    )


def _write_quarantine(
    work: Attempt, spark: SparkSession, rows: DataFrame, counted: Tally, ledger: Ledger, unclean: bool
) -> list[dict[str, Any]]:
    done = ingested_partitions(ledger)
    had_some = any(done.get(key, {}).get("quarantined") for key in work.staged)
    if not (counted.quarantined or had_some or unclean):
        return []
    table = quarantine_table(work.storage, work.source)
    with spark_failures("writing the quarantine", table.uri):
        table.ensure(spark)
        broken = rows.where(F.size("_reasons") > 0)
        renamed = broken.withColumnsRenamed({"_reasons": "reasons", "_raw": "raw"})
        table.replace(renamed, _partitions_condition(work.partitions), work.transaction(table))
    return [_written(work, table, counted.quarantined)]


def _write_features(
    work: Attempt, spark: SparkSession, table: FeatureTable, periods: list[Partition]
) -> tuple[dict[Partition, dict[str, int]], list[dict[str, Any]]]:
    log = feature_table(work.storage, work.source, table)
    with spark_failures(f"computing {work.source.name}.{table.name}", f"sources/{table.sql or work.source.name}"):
        log.ensure(spark)
        if not periods:
            return {}, []
        raw = _raw_rows_of(work, spark, periods)
        desired = desired_versions(work.source, table, work.sqls[table.name], raw, _within_reach(work, periods))
        ranges = [(iso(first.start), iso(last.end)) for first, last in compress(periods)]
        recorded = log.read(spark).where(in_periods("period", ranges))
        names = [feature.name for feature in work.source.features_of(table)]
        changes = versions.difference(desired, recorded, list(table.keys), names, work.newest_delivery)
        changes = changes.localCheckpoint()
        outcomes = tally.outcomes(changes, work.source)
        appended = sum(counts.pop("appended") for counts in outcomes.values())
        if appended:
            stamped = versions.to_append(changes).withColumn(
                RECORDED_TIMESTAMP, F.lit(iso(work.recorded)).cast("timestamp")
            )
            log.append(stamped, work.transaction(log))
    return outcomes, [_written(work, log, appended)] if appended else []


def _within_reach(work: Attempt, periods: list[Partition]) -> list[Redelivery]:
    earliest, latest = periods[0].start, periods[-1].start + work.source.lateness
    return [redelivery for redelivery in work.redelivered if earliest <= redelivery.partition <= latest]


def _raw_rows_of(work: Attempt, spark: SparkSession, periods: list[Partition]) -> DataFrame:
    """All accepted rows of the periods: they lie in the partitions from a period to ``lateness`` after it."""
    ranges = compress(periods)
    reach = [(iso(first.start), iso(last.start + work.source.lateness + timedelta(microseconds=1))) for first, last in ranges]
    rows = raw_table(work.storage, work.source).read(spark)
    touched = in_periods("_period", [(iso(first.start), iso(last.end)) for first, last in ranges])
    return rows.where(in_periods("_partition", reach)).where(touched)


def _written(work: Attempt, table: DeltaTable, rows: int) -> dict[str, Any]:
    transaction = work.transaction(table)
    return {
        "table": table.path,
        "rows": rows,
        **table.last_commit(),
        "txn": {"app_id": transaction.app_id, "version": transaction.version},
    }


def _draft(
    work: Attempt,
    started: datetime,
    counted: Tally,
    features: dict[str, dict[Partition, dict[str, int]]],
    wrote: list[dict[str, Any]],
) -> Draft:
    spec = data_hash(work.source, _sql_texts(work.sqls))
    placed = tally.by_partition(features, work.partitions)
    partitions = {
        key: {
            "content": entry["content"],
            "delivery": entry["delivery"],
            "delivered": entry["delivered"],
            "waived": list(work.waived.get(key, ())),
            "spec": spec,
            **counted.partitions[key],
            "features": placed[key],
        }
        for key, entry in work.staged.items()
    }
    totals = tally.totals(partitions)
    return Draft(
        Job.INGEST,
        work.name,
        Kind.MANIFEST,
        partitions=partitions,
        started=started,
        recorded_up_to=work.recorded,
        read=[{"folder": entry["folder"], "content": entry["content"]} for entry in work.staged.values()],
        wrote=wrote,
        spec={"data": spec, "descriptive": descriptive_hash(work.source)},
        counts=totals,
    )

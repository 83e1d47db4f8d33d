"""Materialise: what a source's logs recorded since the last time, into the online store.

    versions recorded in (last, now] ─▶ newest row per key ─▶ Redis, newest wins ─▶ marker ─▶ manifest

A key whose changes withdraw a version is computed from its whole history instead: its row falls back to what the
log now says, guarded by the newest version the log knows, so that it cannot undo a newer write.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from provender import metrics
from provender.errors import OnlineStoreError, SourceNotReadyError, SpecError
from provender.intervals import iso, parse_iso
from provender.ledger import Draft, Job, Kind, Ledger, Manifest
from provender.ledger.progress import recorded_up_to
from provender.online.layout import ViewLayout
from provender.online.marker import Marker, read_markers, write_marker
from provender.online.views import AppliedView, load_applied_views
from provender.online.writer import Counts, OnlineWriter
from provender.settings import Settings
from provender.spark.failures import spark_failures
from provender.spark.session import spark_session, tune_for
from provender.spark.tables import (
    DELETED,
    RECORDED_TIMESTAMP,
    DeltaTable,
    feature_table,
)
from provender.spark.types import quoted
from provender.spark.writer_lock import Say, only_writer
from provender.specs.catalog import Catalog
from provender.specs.model import CREATED_TIMESTAMP, EVENT_TIMESTAMP, FeatureTable, Source
from provender.storage import Storage, storage_at

_UNPACKED = 4
"""Roughly how much larger rows are than Parquet files of them."""
_COUNTS = "written long, skipped long, deleted long, error string"


@dataclass(frozen=True)
class Recorded:
    """What committed attempts wrote to a table after a time, as their manifests say."""

    anything: bool
    withdrawals: bool
    """Whether one of the versions may withdraw another."""
    parquet_bytes: int


@dataclass(frozen=True)
class ViewPlan:
    """What one view needs. ``since`` None means a full rebuild, and ``reason`` says why."""

    view: AppliedView
    table: DeltaTable
    table_id: str
    since: datetime | None
    reason: str
    changes: Recorded
    online_ttl_seconds: float | None


def materialize(
    settings: Settings, source_name: str, attempt: str, *, full: bool = False, say: Say = print
) -> Manifest:
    """Brings every online view over ``source_name`` up to its last committed ingest.

    The manifest's ``wrote`` has one entry per view written (``view``, ``table``, ``table_id``, ``layout``,
    ``recorded_up_to``, ``rebuilt`` with the reason or null, ``written``, ``skipped``, ``deleted``).

    Raises :class:`SourceNotReadyError` if nothing was ingested, :class:`SettingsError` if nothing is applied,
    :class:`OnlineStoreError` with the address.
    """
    started = datetime.now(UTC)
    source = Catalog.load(settings.repo).source(source_name)
    storage = storage_at(settings.storage_root)
    ledger = Ledger(storage, source.name)
    with only_writer(settings, storage, source.name, "online", attempt, say) as held:
        up_to = recorded_up_to(ledger)
        if up_to is None:
            raise SourceNotReadyError(
                f"{source.name}: nothing was ingested yet", remedy=f"provender ingest {source.name} PARTITION"
            )
        views = [
            v for v in load_applied_views(storage, settings.project) if v.source == source.name and v.online
        ]
        plans = _plans(settings, storage, source, ledger, views, full)
        held.announce([plan.view.view for plan in plans])
        wrote = _write_views(settings, plans, attempt, up_to, ledger.next_number(Job.MATERIALIZE), say)
        manifest = ledger.commit(_draft(attempt, started, up_to, wrote, views))
        held.finish()
    metrics.job_done(settings, manifest)
    return manifest


def _draft(
    attempt: str, started: datetime, up_to: datetime, wrote: list[dict[str, Any]], views: list[AppliedView]
) -> Draft:
    notes = [f"{entry['view']} was rebuilt: {entry['rebuilt']}" for entry in wrote if entry["rebuilt"]]
    if not views:
        notes.append("no applied view with online=True reads this source")
    return Draft(
        Job.MATERIALIZE,
        attempt,
        Kind.MANIFEST if wrote else Kind.RECEIPT,
        partitions={},
        started=started,
        recorded_up_to=up_to,
        wrote=wrote,
        counts={name: sum(entry[name] for entry in wrote) for name in ("written", "skipped", "deleted")},
        notes=notes,
    )


def _plans(
    settings: Settings, storage: Storage, source: Source, ledger: Ledger, views: list[AppliedView], full: bool
) -> list[ViewPlan]:
    """The views that have something to write."""
    markers = read_markers(settings.redis, settings.project) if views else {}
    state = _last_written(ledger)
    plans = []
    for view in views:
        spec = _table_of(source, view)
        table = feature_table(storage, source, spec)
        if not table.exists():
            continue
        table_id = table.identity()
        reason = (
            "asked for with --full"
            if full
            else _why_rebuild(view, table_id, state.get(view.view), markers.get(view.view))
        )
        since = None if reason else parse_iso(state[view.view]["recorded_up_to"])
        changes = _changes(ledger, table, since)
        if changes.anything or reason:
            ttl = spec.online_ttl.total_seconds() if spec.online_ttl is not None else None
            plans.append(ViewPlan(view, table, table_id, since, reason, changes, ttl))
    return plans


def _table_of(source: Source, view: AppliedView) -> FeatureTable:
    try:
        return source.table(view.table)
    except KeyError as error:
        raise SpecError(
            f"view {view.view} is applied over {error.args[0]}",
            where=f"sources/{source.name}.yaml",
            unharmed="everything",
            remedy="give the view another source, then: provender apply",
        ) from error


def _last_written(ledger: Ledger) -> dict[str, dict[str, Any]]:
    """Per view the entry of the manifest that wrote it last, as it stands there. What its marker says is compared
    with that, not with the newest materialisation, which may have found nothing to write, or the view not applied."""
    newest: dict[str, dict[str, Any]] = {}
    for manifest in ledger.manifests(Job.MATERIALIZE):
        newest.update({entry["view"]: entry for entry in manifest.wrote})
    return newest


def _why_rebuild(
    view: AppliedView, table_id: str, state: dict[str, Any] | None, marker: Marker | None
) -> str:
    """Empty if what is online can be continued."""
    if state is None:
        return "it was never materialized"
    if marker is None:
        return "the online store has lost its marker (flushed, or another server)"
    if marker.recorded_up_to < state["recorded_up_to"]:
        return f"the online store is older than the ledger (it holds what was recorded up to {marker.recorded_up_to})"
    if table_id not in (state["table_id"], marker.table_id) or state["table_id"] != marker.table_id:
        return "the feature table was created anew"
    if state["layout"] != view.layout_hash:
        return "the feature view's keys or features changed"
    return ""


def _changes(ledger: Ledger, table: DeltaTable, since: datetime | None) -> Recorded:
    changed, withdrawals, size = False, False, 0
    for manifest in reversed(ledger.manifests(Job.INGEST)):
        if since is not None and manifest.recorded_up_to is not None and manifest.recorded_up_to <= since:
            break
        if manifest.kind is Kind.RECEIPT and not manifest.resumed:
            continue
        written = [entry["bytes"] for entry in manifest.wrote if entry["table"] == table.path]
        changed |= manifest.resumed or bool(written)
        withdrawals |= manifest.resumed or manifest.counts.get("withdrawn", 0) > 0
        size += sum(written)
    return Recorded(changed, withdrawals, size)


def _write_views(
    settings: Settings, plans: list[ViewPlan], attempt: str, up_to: datetime, number: int, say: Say
) -> list[dict[str, Any]]:
    if not plans:
        return []
    writer = OnlineWriter(settings.redis, settings.project, settings.redis_key_ttl_seconds)
    wrote = []
    with spark_session(settings, attempt) as spark:
        tune_for(spark, _UNPACKED * max(plan.changes.parquet_bytes for plan in plans))
        for plan in plans:
            if plan.reason:
                say(f"rebuilding {plan.view.view}: {plan.reason}")
            with spark_failures(f"materializing {plan.view.view}", plan.table.uri):
                counts = _write_view(spark, writer, plan, up_to)
            say(
                f"{plan.view.view}: {counts.written} rows written, {counts.skipped} kept, {counts.deleted} removed"
            )
            marker = Marker(plan.table.uri, plan.table_id, iso(up_to), number)
            write_marker(settings.redis, settings.project, plan.view.view, marker)
            wrote.append(_entry(plan, counts, up_to))
    return wrote


def _entry(plan: ViewPlan, counts: Counts, up_to: datetime) -> dict[str, Any]:
    return {
        "view": plan.view.view,
        "table": plan.table.path,
        "table_id": plan.table_id,
        "layout": plan.view.layout_hash,
        "recorded_up_to": iso(up_to),
        "rebuilt": plan.reason or None,
        "written": counts.written,
        "skipped": counts.skipped,
        "deleted": counts.deleted,
    }


def _write_view(spark: SparkSession, writer: OnlineWriter, plan: ViewPlan, up_to: datetime) -> Counts:
    generation = secrets.token_hex(8) if plan.since is None else None
    rows = online_rows(plan.table.read(spark), plan, up_to)
    task = _WritePartition(writer, plan.view.layout, generation, plan.online_ttl_seconds)
    sums = [F.sum(name).alias(name) for name in ("written", "skipped", "deleted")]
    error = F.first("error", ignorenulls=True).alias("error")
    row = rows.mapInArrow(task, _COUNTS).agg(*sums, error).collect()[0]  # type: ignore[arg-type]
    if row["error"]:
        raise OnlineStoreError(**json.loads(row["error"]))
    counts = Counts(row["written"] or 0, row["skipped"] or 0, row["deleted"] or 0)
    if generation is None:
        return counts
    return replace(counts, deleted=counts.deleted + writer.sweep(plan.view.layout, generation))


@dataclass(frozen=True)
class _WritePartition:
    """What an executor does with one partition of rows: write it and count. The online store's failure is handed
    back as JSON, since what is raised in an executor comes out as a stack of Python within a stack of Java."""

    writer: OnlineWriter
    layout: ViewLayout
    generation: str | None
    online_ttl_seconds: float | None

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        counts, failure = Counts(), None
        try:
            counts = self.writer.write(
                self.layout,
                batches,
                force=self.generation is not None,
                generation=self.generation,
                online_ttl_seconds=self.online_ttl_seconds,
            )
        except OnlineStoreError as error:
            parts = {name: getattr(error, name) for name in ("what", "where", "unharmed", "remedy")}
            failure = json.dumps(parts)
        yield pa.RecordBatch.from_pydict(
            {
                "written": [counts.written],
                "skipped": [counts.skipped],
                "deleted": [counts.deleted],
                "error": pa.array([failure], pa.string()),
            }
        )


def online_rows(log: DataFrame, plan: ViewPlan, up_to: datetime) -> DataFrame:
    """One row per key that may have changed: join keys, features, ``event_timestamp``, ``created_timestamp`` (null
    if nothing is left of the key), ``guard_event``, ``guard_created`` (the newest version that the log knows)."""
    recorded = F.col(RECORDED_TIMESTAMP)
    known = log.where(recorded <= F.lit(iso(up_to)).cast("timestamp"))
    keys = [plan.view.column(name) for name in plan.view.join_keys]
    names = {n: plan.view.column(n) for n in (*plan.view.join_keys, *plan.view.features)}
    if plan.since is None:
        return _newest(known, keys, names, may_be_deleted=True)
    changed = known.where(recorded > F.lit(iso(plan.since)).cast("timestamp"))
    if not plan.changes.withdrawals:
        return _newest(changed, keys, names, may_be_deleted=False)
    withdrawn = F.broadcast(changed.where(DELETED).select(*map(quoted, keys)).distinct())
    histories = known.join(withdrawn, keys, "left_semi")
    plain = changed.join(withdrawn, keys, "left_anti")
    return _newest(histories.unionByName(plain), keys, names, may_be_deleted=True)


def _newest(rows: DataFrame, keys: list[str], names: dict[str, str], *, may_be_deleted: bool) -> DataFrame:
    version = F.struct(
        EVENT_TIMESTAMP, CREATED_TIMESTAMP, *[quoted(c) for c in sorted(set(names.values()) - set(keys))]
    )
    order = F.struct(EVENT_TIMESTAMP, CREATED_TIMESTAMP, RECORDED_TIMESTAMP)
    if may_be_deleted:
        # A deleted version hides the others of its event timestamp: fold those first.
        current = (
            rows.groupBy(*map(quoted, keys), EVENT_TIMESTAMP)
            .agg(
                F.max_by(F.struct(version.alias("version"), order.alias("order"), DELETED), order).alias(
                    "_current"
                )
            )
            .select(*map(quoted, keys), "_current.*")
        )
    else:
        current = rows.select(
            *map(quoted, keys), version.alias("version"), order.alias("order"), F.lit(False).alias(DELETED)
        )
    live = F.when(~F.col(DELETED), F.col("order"))
    newest = current.groupBy(*map(quoted, keys)).agg(
        F.max("order").alias("_guard"), F.max_by("version", live).alias("_live")
    )
    return newest.select(*_columns(keys, names))


def _columns(keys: list[str], names: dict[str, str]) -> Iterator[Column]:
    for name, column in names.items():
        yield (F.col(quoted(column)) if column in keys else F.col("_live").getField(column)).alias(name)
    for name in (EVENT_TIMESTAMP, CREATED_TIMESTAMP):
        yield F.col("_live").getField(name).alias(name)
    yield F.col("_guard").getField(EVENT_TIMESTAMP).alias("guard_event")
    yield F.col("_guard").getField(CREATED_TIMESTAMP).alias("guard_created")

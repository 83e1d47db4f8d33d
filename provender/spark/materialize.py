"""Materialise: what a source's logs recorded since the last time, into the online store.

    versions recorded in (last, now] ─▶ newest row per key ─▶ Redis, newest wins ─▶ marker ─▶ manifest

A run may be bounded to some views and event timestamps, as Feast's own are. What it leaves out stays due: neither
marker nor manifest then say that the log is online, so the next run finds it again.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from provender import metrics
from provender.errors import OnlineStoreError, SourceNotReadyError, SpecError
from provender.intervals import iso, parse_iso
from provender.ledger import Draft, Job, Kind, Ledger, Manifest
from provender.ledger.progress import recorded_up_to
from provender.online.layout import ViewLayout
from provender.online.loss import begin, confirm
from provender.online.marker import Marker, read_markers, write_marker
from provender.online.views import AppliedView, load_applied_views
from provender.online.writer import Counts, OnlineWriter
from provender.settings import Settings
from provender.spark.failures import spark_failures
from provender.spark.online_rows import Bounds, Recorded, ViewPlan, is_anything_outside, online_rows
from provender.spark.session import spark_session, tune_for
from provender.spark.tables import DeltaTable, feature_table
from provender.spark.writer_lock import Say, only_writer
from provender.specs.catalog import Catalog
from provender.specs.model import FeatureTable, Source
from provender.storage import Storage, storage_at

_UNPACKED = 4
"""Roughly how much larger rows are than Parquet files of them."""
_COUNTS = "written long, skipped long, deleted long, error string"


def materialize(
    settings: Settings,
    source_name: str,
    attempt: str,
    *,
    full: bool = False,
    only: Mapping[str, Bounds] | None = None,
    say: Say = print,
) -> Manifest:
    """Brings the online views over ``source_name`` up to its last committed ingest.

    ``only``: the views to write, each with its bounds; None: every applied view, without bounds. What that leaves
    out stays due.

    The manifest's ``wrote`` has one entry per view that is up to date now (``view``, ``table``, ``table_id``,
    ``layout``, ``recorded_up_to``, ``rebuilt`` with the reason or null, ``written``, ``skipped``, ``deleted``); a
    view of which something is still due has a note instead. ``recorded_up_to`` goes forward when no view is behind.

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
        chosen = [v for v in views if only is None or v.view in only]
        plans = _plans(settings, storage, source, ledger, chosen, full)
        if only is not None:
            plans = [replace(plan, bounds=only[plan.view.view]) for plan in plans]
        held.announce([plan.view.view for plan in plans])
        done = _write_views(settings, plans, attempt, up_to, ledger.next_number(Job.MATERIALIZE), say)
        is_whole = len(chosen) == len(views) and all(view.is_whole for view in done)
        reached = up_to if is_whole else _reached(ledger)
        manifest = ledger.commit(_draft(attempt, started, reached, up_to, done, views))
        held.finish()
    metrics.job_done(settings, manifest)
    return manifest


def _reached(ledger: Ledger) -> datetime | None:
    last = ledger.last(Job.MATERIALIZE)
    return last.recorded_up_to if last else None


def _draft(
    attempt: str,
    started: datetime,
    reached: datetime | None,
    up_to: datetime,
    done: list[Written],
    views: list[AppliedView],
) -> Draft:
    wrote = [_entry(view, up_to) for view in done if view.is_whole]
    notes = [f"{entry['view']} was rebuilt: {entry['rebuilt']}" for entry in wrote if entry["rebuilt"]]
    notes += [
        f"{view.plan.view.view}: only {view.plan.bounds} was written; the rest is still due"
        for view in done
        if not view.is_whole
    ]
    if not views:
        notes.append("no applied view with online=True reads this source")
    total = sum((view.counts for view in done), Counts())
    return Draft(
        Job.MATERIALIZE,
        attempt,
        Kind.MANIFEST if wrote else Kind.RECEIPT,
        partitions={},
        started=started,
        recorded_up_to=reached,
        wrote=wrote,
        counts=asdict(total),
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


@dataclass(frozen=True)
class Written:
    """What became of one view. ``is_whole``: nothing of it is due any more."""

    plan: ViewPlan
    counts: Counts
    is_whole: bool


def _write_views(
    settings: Settings, plans: list[ViewPlan], attempt: str, up_to: datetime, number: int, say: Say
) -> list[Written]:
    if not plans:
        return []
    writer = OnlineWriter(settings.redis, settings.project, settings.redis_key_ttl_seconds)
    done = []
    with spark_session(settings, attempt) as spark:
        tune_for(spark, _UNPACKED * max(plan.changes.parquet_bytes for plan in plans))
        # A pass before the shuffle that looks for second versions of a key costs more than it finds.
        spark.conf.set("spark.sql.optimizer.windowGroupLimitThreshold", "-1")
        for plan in plans:
            if plan.reason:
                say(f"rebuilding {plan.view.view}: {plan.reason}")
            begun = begin(settings.redis, settings.project, plan.view.view)
            with spark_failures(f"materializing {plan.view.view}", plan.table.uri):
                written = _write_view(spark, writer, plan, up_to)
            counts = written.counts
            say(
                f"{plan.view.view}: {counts.written} rows written, {counts.skipped} kept, {counts.deleted} removed"
            )
            confirm(settings.redis, settings.project, plan.view.view, begun)
            if written.is_whole:
                marker = Marker(plan.table.uri, plan.table_id, iso(up_to), number)
                write_marker(settings.redis, settings.project, plan.view.view, marker)
            done.append(written)
    return done


def _entry(written: Written, up_to: datetime) -> dict[str, Any]:
    plan = written.plan
    return {
        "view": plan.view.view,
        "table": plan.table.path,
        "table_id": plan.table_id,
        "layout": plan.view.layout_hash,
        "recorded_up_to": iso(up_to),
        "rebuilt": plan.reason or None,
        **asdict(written.counts),
    }


def _write_view(spark: SparkSession, writer: OnlineWriter, plan: ViewPlan, up_to: datetime) -> Written:
    log = plan.table.read(spark)
    is_whole = plan.bounds.are_open or not is_anything_outside(log, plan, up_to)
    # A part must neither replace what is newer nor remove what it did not look at.
    generation = secrets.token_hex(8) if plan.since is None and is_whole else None
    task = _WritePartition(writer, plan.view.layout, generation, plan.online_ttl_seconds)
    sums = [F.sum(name).alias(name) for name in ("written", "skipped", "deleted")]
    error = F.first("error", ignorenulls=True).alias("error")
    rows = online_rows(log, plan, up_to)
    row = rows.mapInArrow(task, _COUNTS).agg(*sums, error).collect()[0]  # type: ignore[arg-type]
    if row["error"]:
        raise OnlineStoreError(**json.loads(row["error"]))
    counts = Counts(row["written"] or 0, row["skipped"] or 0, row["deleted"] or 0)
    if generation is not None:
        counts += Counts(deleted=writer.sweep(plan.view.layout, generation))
    return Written(plan, counts, is_whole)


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

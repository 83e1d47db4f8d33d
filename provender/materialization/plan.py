"""What a materialization has to do for each view, as the ledger and the online store's markers tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from provender.errors import SpecError
from provender.intervals import iso
from provender.ledger import Job, Kind, Ledger
from provender.ledger.records import IngestManifest, ViewWrite
from provender.online.eviction import read_memory
from provender.online.loss import Basis, Held, read_held
from provender.online.marker import Marker, parse_marker, stored_markers
from provender.online.pipeline import Counts
from provender.online.views import AppliedView
from provender.settings import Settings
from provender.specs.source import FeatureTable, Source
from provender.storage import Storage
from provender.tables import feature_log as versions
from provender.tables.feature_log import FeatureLog


@dataclass(frozen=True)
class Bounds:
    """Which event timestamps may go online now; both ends included, None: no limit. What is outside stays due."""

    start: datetime | None = None
    end: datetime | None = None

    @property
    def are_open(self) -> bool:
        return self.start is None and self.end is None

    def __str__(self) -> str:
        first = iso(self.start) if self.start else "the beginning"
        return f"{first} to {iso(self.end) if self.end else 'now'}"


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
    log: FeatureLog
    path: str
    """Of the feature table, under the storage root."""
    table_id: str
    since: datetime | None
    reason: str
    changes: Recorded
    online_ttl_seconds: float | None
    bounds: Bounds = Bounds()
    basis: Basis = field(default_factory=Basis)
    """What the online store held when this was planned: still so when the first row is written."""

    @property
    def needs_histories(self) -> bool:
        """Whether versions recorded before ``since`` can matter: only to a key that had one withdrawn."""
        return self.since is None or self.changes.withdrawals

    def due(self, up_to: datetime) -> versions.Bounds:
        """Which versions of the log have to be looked at."""
        after = None if self.needs_histories else self.since
        return versions.Bounds(recorded_to=up_to, recorded_after=after)

    @cached_property
    def names(self) -> dict[str, str]:
        """Join key or feature, to the log's column."""
        return {name: self.view.column(name) for name in (*self.view.join_keys, *self.view.features)}


@dataclass(frozen=True)
class Written:
    """What became of one view. ``is_whole``: nothing of it is due any more."""

    plan: ViewPlan
    counts: Counts
    is_whole: bool
    session: str = ""
    """What the online store names the writing by; empty unless it is whole."""
    undefined: dict[str, int] = field(default_factory=dict)
    """Feature that is not defined any more, to how many keys it was removed from."""


def plans_of(
    settings: Settings,
    storage: Storage,
    source: Source,
    ledger: Ledger,
    views: Mapping[str, Bounds],
    applied: list[AppliedView],
    full: bool,
) -> list[ViewPlan]:
    """Of the ``applied`` views that are asked for, with their bounds: those that have something to write."""
    chosen = [view for view in applied if view.view in views]
    store = _Store.read(settings) if chosen else None
    # What a marker says is compared with the entry of the manifest that wrote its view, not with the newest
    # materialization, which may have found nothing to write, or the view not applied.
    written = ledger.state().totals.views
    plans = []
    for view in chosen:
        spec = _table_of(source, view)
        path = source.path_of(spec)
        log = FeatureLog(storage.uri(path))
        if not log.exists or store is None:
            continue
        _check_columns(view, log)
        entry = written.get(view.view)
        reason = "asked for with --full" if full else _why_rebuild(view, log.table_id, entry, store)
        since = None if reason or entry is None else entry.recorded_up_to
        changes = _changes(ledger, path, since)
        if changes.anything or reason:
            ttl = spec.online_ttl.total_seconds() if spec.online_ttl is not None else None
            basis = Basis() if reason or entry is None else store.basis(view.view, entry)
            plan = ViewPlan(
                view, log, path, log.table_id, since, reason, changes, ttl, views[view.view], basis
            )
            plans.append(plan)
    return plans


@dataclass(frozen=True)
class _Store:
    """What the online store says of itself."""

    markers: dict[str, str]
    """View to the marker as it is stored."""
    held: Held
    counts_evictions: bool
    """Whether a key that was evicted may have been one of ours, and that is not accepted."""
    settings: Settings

    @staticmethod
    def read(settings: Settings) -> _Store:
        memories = read_memory(settings.redis)
        spares = all(memory.spares(settings.redis_key_ttl_seconds) for memory in memories)
        counts = not spares and not settings.batch_engine.allow_eviction
        markers = stored_markers(settings.redis, settings.project)
        return _Store(markers, read_held(settings.redis, settings.project), counts, settings)

    def marker(self, view: str) -> Marker | None:
        text = self.markers.get(view)
        return parse_marker(self.settings.redis, self.settings.project, text) if text is not None else None

    def basis(self, view: str, entry: ViewWrite) -> Basis:
        return Basis(entry.session or "", self.markers.get(view, ""))


def _table_of(source: Source, view: AppliedView) -> FeatureTable:
    try:
        return source.table(view.table)
    except KeyError as error:
        raise SpecError(
            f"view {view.view} is applied over {error.args[0]}",
            where=f"sources/{source.name}.yaml",
            not_affected="everything",
            remedy="give the view another source, then: provender apply",
        ) from error


def _check_columns(view: AppliedView, log: FeatureLog) -> None:
    wanted = {view.column(name) for name in (*view.join_keys, *view.features)}
    missing = sorted(wanted - set(log.schema.names))
    if missing:
        raise SpecError(
            f"view {view.view} has columns that its table does not hold yet: {', '.join(missing)}",
            where=log.uri,
            not_affected="the online store: nothing was written",
            remedy=f"if the spec has them: provender ingest {view.source} PARTITION; else take them from the view",
        )


def _why_rebuild(view: AppliedView, table_id: str, state: ViewWrite | None, store: _Store) -> str:
    """Empty if what is online can be continued."""
    if state is None:
        return "it was never materialized"
    marker = store.marker(view.view)
    if marker is None:
        return "the online store has lost its marker (flushed, another server, or the view was not applied for a while)"
    if marker.recorded_up_to < iso(state.recorded_up_to):
        return f"the online store is older than the ledger (it holds what was recorded up to {marker.recorded_up_to})"
    if state.session is not None and not store.held.is_whole(view.view, state.session):
        return "the online store has lost what was written last (flushed, failed over or restored, in part or whole)"
    if store.counts_evictions and (evicted := store.held.evicted(view.view)):
        return f"the online store has evicted {evicted} keys since it was written"
    if table_id not in (state.table_id, marker.table_id) or state.table_id != marker.table_id:
        return "the feature table was recreated"
    if state.layout != view.layout_hash:
        return "the feature view's keys or features changed"
    return ""


def _changes(ledger: Ledger, path: str, since: datetime | None) -> Recorded:
    """``since`` None: since ever, which the ledger's totals know. Else only the manifests after it are read."""
    if since is None:
        totals = ledger.state().totals
        table = totals.tables.get(path)
        return Recorded(
            totals.resumed or table is not None,
            totals.resumed or totals.withdrawn,
            table.bytes if table is not None else 0,
        )
    changed, withdrawals, size = False, False, 0
    for manifest in ledger.newest_first(Job.INGEST):
        assert isinstance(manifest, IngestManifest), "ingests commit no others"
        if manifest.recorded_up_to is not None and manifest.recorded_up_to <= since:
            break
        if manifest.kind is Kind.RECEIPT and not manifest.resumed:
            continue
        written = [entry.bytes for entry in manifest.wrote if entry.table == path]
        changed |= manifest.resumed or bool(written)
        withdrawals |= manifest.resumed or manifest.counts.get("withdrawn", 0) > 0
        size += sum(written)
    return Recorded(changed, withdrawals, size)

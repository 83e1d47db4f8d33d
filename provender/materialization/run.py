"""Materialize: what a source's logs recorded since the last time, into the online store.

    versions recorded in (last, now] ─▶ newest row per key ─▶ Redis, newest wins ─▶ marker ─▶ manifest

What is not defined any more is removed: by a rebuild what a view's features and keys were before, by every run views
that are not to be online any more.

A run may be bounded to some views and event timestamps, as Feast's own are. What it leaves out stays due: neither
marker nor manifest then say that the log is online, so the next run finds it again.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

from provender import metrics
from provender.errors import SourceNotReadyError
from provender.intervals import iso
from provender.ledger import Draft, Job, Kind, Ledger, Manifest
from provender.ledger.records import MissingTable, ViewWrite
from provender.materialization.engines import opened, writer_of
from provender.materialization.plan import Bounds, ViewPlan, Written, plans_of
from provender.materialization.undefined import Definitions, remove_undefined_views
from provender.materialization.writing import Write
from provender.online.eviction import check_eviction
from provender.online.loss import begin, confirm
from provender.online.marker import Marker
from provender.online.pipeline import Counts
from provender.online.undefined import remove_undefined_features
from provender.online.views import AppliedView
from provender.settings import Settings
from provender.spark.interrupt import interrupter
from provender.specs.catalog import Catalog
from provender.specs.source import Source
from provender.storage import Storage, storage_at
from provender.storage.disk import scratch_errors
from provender.storage.source_lock import source_lock
from provender.tables.feature_log import CREATED, DELETED, EVENT, RECORDED, FeatureLog

logger = logging.getLogger(__name__)

_LOGS_OWN = {EVENT, CREATED, RECORDED, DELETED, "period"}
"""Columns of every feature table, which are no features."""


@scratch_errors()
def materialize(
    settings: Settings,
    source_name: str,
    attempt: str,
    *,
    full: bool = False,
    only: Mapping[str, Bounds] | None = None,
) -> Manifest:
    """Brings the online views over ``source_name`` up to its last committed ingest.

    ``only``: the views to write, each with its bounds; None: every applied view, without bounds. What that leaves
    out stays due.

    The manifest's ``wrote`` has one entry per view that is up to date now (``view``, ``table``, ``table_id``,
    ``layout``, ``recorded_up_to``, ``rebuilt`` with the reason or null, ``written``, ``skipped``, ``deleted``,
    ``session``, ``undefined`` with the keys from which each feature was removed that is not defined any more); a
    view of which something is still due has a note instead. ``recorded_up_to`` goes forward when no view is behind.
    ``counts`` has the rows, and under ``undefined`` the values removed because nothing defines them any more.

    Raises :class:`SourceNotReadyError` if nothing was ingested, :class:`SettingsError` if nothing is applied or the
    online store may evict values, :class:`OnlineStoreError` with the address.
    """
    started = datetime.now(UTC)
    source = Catalog.load(settings.repo).source(source_name)
    storage = storage_at(settings.storage_root)
    ledger = Ledger(storage, source.name)
    with source_lock(storage, source.name, "online", attempt, interrupter(settings)) as held:
        up_to = ledger.state().recorded_up_to
        if up_to is None:
            raise SourceNotReadyError(
                f"{source.name}: nothing was ingested yet",
                remedy=f"provender ingest {source.name} PARTITION",
                source=source.name,
            )
        definitions = Definitions.load(storage, settings.project)
        views = definitions.online_of(source.name)
        asked = dict.fromkeys([view.view for view in views], Bounds()) if only is None else only
        plans = plans_of(settings, storage, source, ledger, asked, views, full)
        held.announce([plan.view.view for plan in plans])
        run = _Run(settings, storage, source, ledger, definitions, up_to, ledger.next_number(Job.MATERIALIZE))
        notes = _warned(settings) if plans else []
        done = _write_views(run, plans, attempt)
        written = {*ledger.state().totals.views, *held.abandoned_work}
        removed = remove_undefined_views(settings, definitions, source.name, written, is_sure=full)
        is_whole = asked.keys() >= {view.view for view in views} and all(view.is_whole for view in done)
        reached = up_to if is_whole else ledger.state().online_up_to
        manifest = ledger.commit(_draft(run, attempt, started, reached, done, views, removed, notes))
        held.finish()
    metrics.job_done(settings, manifest)
    return manifest


@dataclass(frozen=True)
class _Run:
    """What all views of one materialization share."""

    settings: Settings
    storage: Storage
    source: Source
    ledger: Ledger
    definitions: Definitions
    up_to: datetime
    number: int
    """Of the manifest to come."""


def _warned(settings: Settings) -> list[str]:
    """What is risky about the online store's memory. Raises :class:`SettingsError` if it may evict values."""
    warnings = check_eviction(
        settings.redis, settings.redis_key_ttl_seconds, is_allowed=settings.batch_engine.allow_eviction
    )
    for warning in warnings:
        logger.warning(warning)
    return warnings


def _write_views(run: _Run, plans: list[ViewPlan], attempt: str) -> list[Written]:
    if not plans:
        return []
    done = []
    with opened(run.settings, plans, attempt, run.up_to) as write:
        for plan in plans:
            if plan.reason:
                logger.info(f"rebuilding {plan.view.view}: {plan.reason}")
            done.append(_write_view(run, plan, write))
    return done


def _write_view(run: _Run, plan: ViewPlan, write: Write) -> Written:
    """Writes one view and, if nothing of it is due any more, its marker."""
    settings, view = run.settings, plan.view
    begun = begin(settings.redis, settings.project, view.view, plan.basis)
    written = write(plan)
    counts = written.counts
    logger.info(
        f"{view.view}: {counts.written} rows written, {counts.skipped} kept, {counts.deleted} removed",
        extra={"view": view.view, **asdict(counts)},
    )
    undefined = _without_undefined(run, plan) if written.is_whole and plan.since is None else {}
    marker = Marker(plan.log.uri, plan.table_id, iso(run.up_to), run.number) if written.is_whole else None
    session = confirm(settings.redis, settings.project, view.view, begun, marker)
    return replace(written, session=session, undefined=undefined)


def _without_undefined(run: _Run, plan: ViewPlan) -> dict[str, int]:
    """Removes what the view had and does not define any more; feature to how many keys."""
    removed = remove_undefined_features(
        writer_of(run.settings),
        plan.view,
        run.definitions.former,
        run.definitions.applied,
        set(plan.log.schema.names) - _LOGS_OWN,
    )
    for feature, keys in removed.items():
        logger.info(f"{plan.view.view}: {feature} is not defined any more, removed from {keys} keys")
    return removed


def _draft(
    run: _Run,
    attempt: str,
    started: datetime,
    reached: datetime | None,
    done: list[Written],
    views: list[AppliedView],
    removed: dict[str, int],
    notes: list[str],
) -> Draft:
    wrote = [_entry(view, run.up_to) for view in done if view.is_whole]
    notes = [
        *notes,
        *(f"{entry.view} was rebuilt: {entry.rebuilt}" for entry in wrote if entry.rebuilt),
    ]
    notes += [
        f"{view.plan.view.view}: only {view.plan.bounds} was written; the rest is still due"
        for view in done
        if not view.is_whole
    ]
    notes += [
        f"{view} is not online any more: removed from {keys} entities" for view, keys in removed.items()
    ]
    if not views:
        notes.append("no applied view with online=True reads this source")
    total = sum((view.counts for view in done), Counts())
    undefined = sum(sum(view.undefined.values()) for view in done) + sum(removed.values())
    return Draft(
        Job.MATERIALIZE,
        attempt,
        Kind.MANIFEST if wrote or removed else Kind.RECEIPT,
        partitions={},
        started=started,
        recorded_up_to=reached,
        wrote=wrote,
        read=_not_there_yet(run, views, done),
        counts=asdict(total) | ({"undefined": undefined} if undefined else {}),
        notes=notes,
    )


def _not_there_yet(run: _Run, views: list[AppliedView], done: list[Written]) -> list[MissingTable]:
    """The views whose table no ingest has made yet: nothing of them can be online, and nothing is due."""
    written = {view.plan.view.view for view in done} | run.ledger.state().totals.views.keys()
    paths = {table.name: run.source.path_of(table) for table in run.source.tables}
    return [
        MissingTable(view=view.view, table=paths[view.table], versions=0)
        for view in views
        if view.view not in written
        and view.table in paths
        and not FeatureLog(run.storage.uri(paths[view.table])).exists
    ]


def _entry(written: Written, up_to: datetime) -> ViewWrite:
    plan = written.plan
    return ViewWrite(
        view=plan.view.view,
        table=plan.path,
        table_id=plan.table_id,
        layout=plan.view.layout_hash,
        recorded_up_to=up_to,
        rebuilt=plan.reason or None,
        session=written.session,
        undefined=written.undefined,
        **asdict(written.counts),
    )

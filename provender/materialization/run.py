"""Materialise: what a source's logs recorded since the last time, into the online store.

    versions recorded in (last, now] ─▶ newest row per key ─▶ Redis, newest wins ─▶ marker ─▶ manifest

A run may be bounded to some views and event timestamps, as Feast's own are. What it leaves out stays due: neither
marker nor manifest then say that the log is online, so the next run finds it again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from provender import metrics
from provender.errors import SourceNotReadyError
from provender.intervals import iso
from provender.ledger import Draft, Job, Kind, Ledger, Manifest
from provender.ledger.progress import recorded_up_to
from provender.materialization.engines import Write, opened
from provender.materialization.plan import Bounds, ViewPlan, Written, plans_of
from provender.online.loss import begin, confirm
from provender.online.marker import Marker, write_marker
from provender.online.pipeline import Counts
from provender.online.views import AppliedView, load_applied_views
from provender.settings import Settings
from provender.spark.writer_lock import Say, only_writer
from provender.specs.catalog import Catalog
from provender.storage import storage_at
from provender.storage.disk import scratch_errors


@scratch_errors()
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
        applied = load_applied_views(storage, settings.project)
        views = [view for view in applied if view.source == source.name and view.online]
        asked = dict.fromkeys([view.view for view in views], Bounds()) if only is None else only
        plans = plans_of(settings, storage, source, ledger, asked, views, full)
        held.announce([plan.view.view for plan in plans])
        done = _write_views(settings, plans, attempt, up_to, ledger.next_number(Job.MATERIALIZE), say)
        is_whole = asked.keys() >= {view.view for view in views} and all(view.is_whole for view in done)
        reached = up_to if is_whole else _reached(ledger)
        manifest = ledger.commit(_draft(attempt, started, reached, up_to, done, views))
        held.finish()
    metrics.job_done(settings, manifest)
    return manifest


def _reached(ledger: Ledger) -> datetime | None:
    last = ledger.last(Job.MATERIALIZE)
    return last.recorded_up_to if last else None


def _write_views(
    settings: Settings, plans: list[ViewPlan], attempt: str, up_to: datetime, number: int, say: Say
) -> list[Written]:
    if not plans:
        return []
    done = []
    with opened(settings, plans, attempt, up_to) as write:
        for plan in plans:
            if plan.reason:
                say(f"rebuilding {plan.view.view}: {plan.reason}")
            done.append(_write_view(settings, plan, write, up_to, number, say))
    return done


def _write_view(
    settings: Settings, plan: ViewPlan, write: Write, up_to: datetime, number: int, say: Say
) -> Written:
    """Writes one view and, if nothing of it is due any more, its marker."""
    view = plan.view
    begun = begin(settings.redis, settings.project, view.view)
    written = write(plan)
    counts = written.counts
    say(f"{view.view}: {counts.written} rows written, {counts.skipped} kept, {counts.deleted} removed")
    confirm(settings.redis, settings.project, view.view, begun)
    if written.is_whole:
        marker = Marker(plan.log.uri, plan.table_id, iso(up_to), number)
        write_marker(settings.redis, settings.project, view.view, marker)
    return written


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


def _entry(written: Written, up_to: datetime) -> dict[str, Any]:
    plan = written.plan
    return {
        "view": plan.view.view,
        "table": plan.path,
        "table_id": plan.table_id,
        "layout": plan.view.layout_hash,
        "recorded_up_to": iso(up_to),
        "rebuilt": plan.reason or None,
        **asdict(written.counts),
    }

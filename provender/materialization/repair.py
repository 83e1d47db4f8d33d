"""Takes values back: what is online of chosen keys becomes what the log says, whichever is newer.

    keys asked for, and keys whose value is newer than a time  ─▶ what is online of them, with its version
    the log, recorded up to now, of those keys only             ─▶ newest row per key
    both                                                        ─▶ Redis: replaced, or removed where no row is left

Newest wins keeps a wrong value of the year 2062 for 36 years. A materialization takes it back once its raw row is
corrected or withdrawn; this does it at once, and for values that no log has. Each write names the version that was
seen, so it does not replace one that came meanwhile.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from provender.errors import SourceNotReadyError, SpecError
from provender.intervals import iso
from provender.ledger import Draft, Job, Kind, Ledger, Manifest
from provender.materialization.duckdb_rows import OnlineRows
from provender.materialization.engines import writer_of
from provender.materialization.plan import Bounds, Recorded, ViewPlan
from provender.materialization.undefined import Definitions
from provender.online import layout as pack
from provender.online.observed import Version, key_values, read_versions, versions_after
from provender.online.pipeline import Counts
from provender.online.views import AppliedView
from provender.online.writer import CREATED, EVENT, GUARD_CREATED, GUARD_EVENT, OnlineWriter
from provender.settings import Settings
from provender.spark.interrupt import interrupter
from provender.specs.catalog import Catalog
from provender.specs.problems import did_you_mean
from provender.specs.source import ColumnType, Source
from provender.storage import Storage, storage_at
from provender.storage.source_lock import source_lock
from provender.tables.feature_log import FeatureLog

logger = logging.getLogger(__name__)

_BATCH_KEYS = 10_000


@dataclass(frozen=True)
class Wanted:
    """Which online values are looked at. Without ``keys`` those of every key."""

    keys: tuple[Mapping[str, str], ...] = ()
    """Join key to value, as text; of each view those that have just these join keys."""
    newer_than: datetime | None = None
    """Only values with a later event timestamp; and no row of the log that is later takes their place."""
    views: tuple[str, ...] = ()
    """Empty: every online view over the source."""

    def __str__(self) -> str:
        keys = f"{len(self.keys)} keys" if self.keys else "every key"
        return f"{keys}, values newer than {iso(self.newer_than)}" if self.newer_than else keys


def repair(settings: Settings, source_name: str, attempt: str, wanted: Wanted) -> Manifest:
    """Makes what is online of the ``wanted`` values what the log of ``source_name`` says now.

    The manifest has no ``wrote`` entries and the ``recorded_up_to`` of the one before, since what is due stays due; its
    ``counts`` and ``notes`` say what was done, without naming a key.

    Raises :class:`SpecError` for a view or a key that is not one of the source's, :class:`SourceNotReadyError` if
    nothing was ingested, :class:`OnlineStoreError`, :class:`LockHeldError`.
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
        views = _chosen(Definitions.load(storage, settings.project).online_of(source.name), source, wanted)
        held.announce([view.view for view in views])
        writer = writer_of(settings)
        done = {view.view: _repair_view(storage, source, view, writer, wanted, up_to) for view in views}
        notes = [f"{view}: {_told(counts)}" for view, counts in done.items()]
        for note in notes:
            logger.info(note)
        manifest = ledger.commit(_draft(ledger, attempt, started, wanted, done, notes))
        held.finish()
    return manifest


def _draft(
    ledger: Ledger,
    attempt: str,
    started: datetime,
    wanted: Wanted,
    done: Mapping[str, Counts],
    notes: Sequence[str],
) -> Draft:
    total = sum(done.values(), Counts())
    return Draft(
        Job.MATERIALIZE,
        attempt,
        Kind.MANIFEST if total.written or total.deleted else Kind.RECEIPT,
        partitions={},
        started=started,
        recorded_up_to=ledger.state().online_up_to,
        counts={"written": total.written, "skipped": total.skipped, "deleted": total.deleted},
        notes=[f"repaired: {wanted}", *notes],
    )


def _told(counts: Counts) -> str:
    return (
        f"{counts.written} values replaced by the log's, {counts.deleted} removed, "
        f"{counts.skipped} kept (nothing was online, or a newer value came meanwhile)"
    )


def _chosen(views: list[AppliedView], source: Source, wanted: Wanted) -> list[AppliedView]:
    names = [view.view for view in views]
    for name in wanted.views:
        if name not in names:
            raise SpecError(
                f"no online view {name!r} reads source {source.name!r}{did_you_mean(name, names)}",
                not_affected="the online store: nothing was written",
                remedy="provender status shows the views",
            )
    found = [view for view in views if view.view in (wanted.views or names)]
    key_sets = {tuple(sorted(view.join_keys)) for view in found}
    for key in wanted.keys:
        if tuple(sorted(key)) not in key_sets:
            known = " or ".join(", ".join(names) for names in sorted(key_sets))
            raise SpecError(
                f"no view has the join keys {', '.join(sorted(key))}",
                where=f"views over {source.name}",
                not_affected="the online store: nothing was written",
                remedy=f"give a value to each of: {known or 'no view is online'}",
            )
    return found


def _repair_view(
    storage: Storage,
    source: Source,
    view: AppliedView,
    writer: OnlineWriter,
    wanted: Wanted,
    up_to: datetime,
) -> Counts:
    seen = _seen(view, writer, wanted)
    if not seen:
        return Counts()
    table = source.table(view.table)
    log = FeatureLog(storage.uri(source.path_of(table)))
    ttl = table.online_ttl.total_seconds() if table.online_ttl is not None else None
    plan = ViewPlan(
        view,
        log,
        source.path_of(table),
        log.table_id,
        None,
        "",
        Recorded(True, True, 0),
        ttl,
        Bounds(end=wanted.newer_than),
    )
    batches = _replacements(plan, writer.project, seen, up_to) if log.exists else _removals(view, seen)
    return writer.write(view.layout, batches, online_ttl_seconds=ttl)


def _seen(view: AppliedView, writer: OnlineWriter, wanted: Wanted) -> dict[bytes, Version]:
    """Redis key to the version that is online, of the keys that are wanted."""
    layout = view.layout
    if not wanted.keys:
        assert wanted.newer_than is not None, "the command asks for one of the two"
        return versions_after(writer, layout, pack.to_micros(pa.array([wanted.newer_than]))[0])
    fitting = [key for key in wanted.keys if key.keys() == view.join_keys.keys()]
    if not fitting:
        return {}
    keys = pack.pack_keys(layout, writer.project, _key_batch(view, fitting))
    seen = read_versions(writer, layout, keys)
    if wanted.newer_than is None:
        return seen
    limit = pack.to_micros(pa.array([wanted.newer_than]))[0]
    return {key: version for key, version in seen.items() if version.is_there and version.event > limit}


def _key_batch(view: AppliedView, keys: Sequence[Mapping[str, str]]) -> pa.RecordBatch:
    """The keys with the view's types. Raises :class:`SpecError` for a text that is no value of its type."""
    columns = {}
    for name, kind in view.layout.join_keys:
        texts = pa.array([key[name] for key in keys], pa.string())
        try:
            columns[name] = texts.cast(pack.ARROW_TYPES[kind])
        except pa.ArrowInvalid as error:
            raise SpecError(
                f"join key {name} of view {view.view} is {kind}: {error}",
                not_affected="the online store: nothing was written",
                remedy=f"--key {name}=VALUE with a value of that type",
            ) from error
    return pa.RecordBatch.from_pydict(columns)


def _replacements(
    plan: ViewPlan, project: str, seen: Mapping[bytes, Version], up_to: datetime
) -> Iterator[pa.RecordBatch]:
    """The log's rows of the keys, then removals of those of which it has none."""
    layout, left = plan.view.layout, dict(seen)
    for batch in OnlineRows(plan, up_to, keep=_Among(plan, project, pa.array(list(seen)))).batches():
        keys = pack.pack_keys(layout, project, batch)
        yield _guarded(batch, [left.pop(key) for key in keys])
    yield from _removals(plan.view, left)


@dataclass(frozen=True)
class _Among:
    """Which rows of the log belong to one of the Redis keys ``wanted``."""

    plan: ViewPlan
    project: str
    wanted: pa.Array

    def __call__(self, batch: pa.RecordBatch) -> pa.Array:
        """A mask. Columns of ``batch``: the log's."""
        columns = {name: batch.column(self.plan.view.column(name)) for name in self.plan.view.join_keys}
        rows = pa.RecordBatch.from_pydict(columns)
        valid = pa.array([True] * rows.num_rows, pa.bool_())
        for column in rows.columns:
            valid = pc.and_(valid, column.is_valid())
        keys = pack.key_column(self.plan.view.layout, self.project, rows.filter(valid))
        found = iter(pc.is_in(keys, value_set=self.wanted.cast(keys.type)).to_pylist())
        return pa.array([bool(is_valid) and next(found) for is_valid in valid.to_pylist()], pa.bool_())


def _guarded(batch: pa.RecordBatch, versions: Sequence[Version]) -> pa.RecordBatch:
    """The rows, guarded by what was seen online, or by their own guard where that is newer."""
    stamp = pa.timestamp("us", tz="UTC")
    own = zip(
        *(pack.to_micros(batch.column(name)).tolist() for name in (GUARD_EVENT, GUARD_CREATED)), strict=True
    )
    guards = [max(pair, version.pair) for pair, version in zip(own, versions, strict=True)]
    for place, name in enumerate((GUARD_EVENT, GUARD_CREATED)):
        column = pa.array([guard[place] for guard in guards], pa.int64()).cast(stamp)
        batch = batch.set_column(batch.schema.get_field_index(name), name, column)
    return batch


def _removals(view: AppliedView, seen: Mapping[bytes, Version]) -> Iterator[pa.RecordBatch]:
    """Rows that leave nothing of the keys."""
    layout, stamp = view.layout, pa.timestamp("us", tz="UTC")
    keys = list(seen)
    for start in range(0, len(keys), _BATCH_KEYS):
        some = keys[start : start + _BATCH_KEYS]
        columns: dict[str, Any] = key_values(layout, some)
        for name, kind in layout.features:
            columns[name] = pa.nulls(len(some), pack.ARROW_TYPES[ColumnType(kind)])
        columns |= {name: pa.nulls(len(some), stamp) for name in (EVENT, CREATED)}
        for place, name in enumerate((GUARD_EVENT, GUARD_CREATED)):
            columns[name] = pa.array([seen[key].pair[place] for key in some], pa.int64()).cast(stamp)
        yield pa.RecordBatch.from_pydict(columns)

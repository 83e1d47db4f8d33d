"""Which partitions of a source are done, missing or stale: derived from its manifests, never stored."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum, auto

from provender.clocks import TICK
from provender.errors import PartitionError
from provender.intervals import Cadence, Partition, partitions_between
from provender.ledger.holes import backfill_command, newest_expected
from provender.ledger.records import MissingTable, ViewWrite
from provender.ledger.segments import PartitionState, SegmentSummary
from provender.ledger.state import Part, SourceState
from provender.specs.source import Source

_STEPS = {
    Cadence.HOURLY: "1h",
    Cadence.DAILY: "1d",
    Cadence.WEEKLY: "7d",
    Cadence.MONTHLY: "1m",
}
"""As :func:`provender.ledger.segments.step_of` writes them."""
_NEVER = datetime.min.replace(tzinfo=UTC)


class Standing(Enum):
    """How an expected partition stands."""

    HOLE = auto()
    STALE = auto()
    NOT_ONLINE = auto()
    COMPLETE = auto()


@dataclass(frozen=True)
class OnlineView:
    """What is online of a view."""

    up_to: datetime
    """The online store holds what was recorded up to here."""
    entry: ViewWrite | MissingTable
    """What was written last, or that there is no table to write from."""


class Quarantined(Mapping[str, dict[str, int]]):
    """Per partition key the rows in quarantine: ``rows``, and by reason. Its length and sum are known at once."""

    def __init__(self, state: SourceState) -> None:
        self._state = state
        self._parts = [part for part in state.parts() if part.summary.quarantined]

    @property
    def rows(self) -> int:
        """Rows that are in quarantine. A row with two reasons counts once per partition."""
        return sum(part.summary.quarantined_rows for part in self._parts)

    def __getitem__(self, key: str) -> dict[str, int]:
        done = self._state.ingested[key]
        if not done.quarantined:
            raise KeyError(key)
        return {"rows": done.quarantined, **done.reasons}

    def __iter__(self) -> Iterator[str]:
        for part in self._parts:
            for key, entry in part.entries().items():
                if entry.ingested is not None and entry.ingested.quarantined:
                    yield key

    def __len__(self) -> int:
        return sum(part.summary.quarantined for part in self._parts)


@dataclass(frozen=True)
class SourceStatus:
    """What is known of a source at a time."""

    source: Source
    last_complete: Partition | None
    """The newest partition that is ingested as it was delivered, by the spec as it is, and online."""
    holes: list[Partition]
    """Expected by now, and not ingested."""
    not_online: list[Partition]
    """Ingested, and not online yet."""
    stale: list[Partition]
    """Ingested, but since then delivered again, or the spec's data half has changed."""
    quarantined: Quarantined
    online: dict[str, OnlineView] = field(default_factory=dict)
    """What was materialized of each view."""
    not_published: list[Partition] = field(default_factory=list)
    """Ingested, and not in BigQuery yet, where tables are published there."""
    raw_changed: dict[str, list[str]] = field(default_factory=dict)
    """Per partition key the raw files that are new, or not as they were staged."""
    raw_gone: list[Partition] = field(default_factory=list)
    """Staged from raw files that are not there any more."""
    raw_unknown: str = ""
    """Why the raw files could not be compared; empty if they were."""

    @property
    def to_run_again(self) -> list[Partition]:
        """Partitions that are stale, or whose raw files differ from what was staged, in order."""
        changed = {Partition.parse(self.source.cadence, key) for key in self.raw_changed}
        return sorted({*self.stale, *(changed - {*self.holes})})

    @property
    def commands(self) -> list[str]:
        """What to type to fix the holes, the stale partitions and those whose raw files changed, in order."""
        return [
            *self._backfills(self.holes, "failed"),
            *self._backfills(self.to_run_again, "completed"),
            *([f"provender materialize {self.source.name}"] if self.not_online else []),
            *([f"provender publish {self.source.name}"] if self.not_published else []),
        ]

    def _backfills(self, partitions: list[Partition], reprocess: str) -> list[str]:
        """One line over all of them: Airflow takes one backfill of a DAG at a time, and what is done is quick."""
        if not partitions:
            return []
        return [backfill_command(self.source, partitions[0], partitions[-1], reprocess=reprocess)]


def source_status(
    source: Source,
    data_hash: str,
    state: SourceState,
    now: datetime,
    online_views: Collection[str],
    *,
    is_published: bool = False,
) -> SourceStatus:
    """The status of ``source``. ``data_hash`` is its spec's; ``online_views`` are the applied views that read it;
    ``is_published``: whether its tables are to be in BigQuery."""
    reach = {view: state.view_up_to(view) for view in sorted(online_views)}
    up_to = min((moment or _NEVER for moment in reach.values()), default=None)
    found: dict[Standing, list[Partition]] = {standing: [] for standing in Standing}
    complete = None
    for standing, first, last in _Standings(source, data_hash, up_to).of(state, now):
        if standing is Standing.COMPLETE:
            complete = last
        else:
            found[standing] += partitions_between(first, last)
    return SourceStatus(
        source,
        complete,
        found[Standing.HOLE],
        found[Standing.NOT_ONLINE],
        found[Standing.STALE],
        Quarantined(state),
        {
            view: OnlineView(moment, state.totals.views.get(view) or state.totals.missing[view])
            for view, moment in reach.items()
            if moment is not None
        },
        _not_published(state, source) if is_published else [],
    )


def _not_published(state: SourceState, source: Source) -> list[Partition]:
    newer = state.ingested_between(state.totals.published_up_to, datetime.max.replace(tzinfo=UTC))
    return sorted(Partition.parse(source.cadence, key) for key, _ in newer)


Stretch = tuple[Standing, Partition, Partition]
"""Consecutive partitions of one standing: the first and the last, both included."""


@dataclass(frozen=True)
class _Standings:
    """How the expected partitions of a source stand. ``up_to``: what every view has online; None: there is no view."""

    source: Source
    data_hash: str
    up_to: datetime | None

    def of(self, state: SourceState, now: datetime) -> Iterator[Stretch]:
        """Every expected partition, in order. A stretch of partitions that are all alike is not looked into."""
        newest = newest_expected(self.source, now)
        if newest is None:
            return
        due = self.source.first_partition
        for part in state.parts():
            for standing, first, last in self._of_part(part):
                first, last = max(first, due), min(last, newest)
                if last < first:
                    continue
                if first > due:
                    yield Standing.HOLE, due, _before(first)
                yield standing, first, last
                due = last.following
        if due <= newest:
            yield Standing.HOLE, due, newest

    def _of_part(self, part: Part) -> Iterator[Stretch]:
        """Holes between them are left out."""
        summary = part.summary
        standing = self._of_all(summary)
        if standing is not None:
            cadence = self.source.cadence
            yield standing, Partition.parse(cadence, summary.first), Partition.parse(cadence, summary.last)
            return
        for key, entry in part.entries().items():
            try:
                partition = Partition.parse(self.source.cadence, key)
            except PartitionError:
                continue  # of a cadence that the source had once
            if (one := self._of_one(entry)) is not Standing.HOLE:
                yield one, partition, partition

    def _of_all(self, summary: SegmentSummary) -> Standing | None:
        """The one standing of all partitions from the first to the last; None where they differ."""
        if not self._is_dense(summary):
            return None
        as_spec = summary.specs.get(self.data_hash, 0)
        if summary.behind == summary.ingested or as_spec == 0:
            return Standing.STALE
        if summary.behind or as_spec < summary.ingested:
            return None
        assert summary.recorded_min is not None, "something is ingested"
        assert summary.recorded_max is not None, "something is ingested"
        if self.up_to is None or summary.recorded_max <= self.up_to:
            return Standing.COMPLETE
        return Standing.NOT_ONLINE if summary.recorded_min > self.up_to else None

    def _is_dense(self, summary: SegmentSummary) -> bool:
        """Whether all partitions from the first to the last are ingested."""
        return summary.step == _STEPS[self.source.cadence] and summary.ingested == summary.partitions

    def _of_one(self, entry: PartitionState) -> Standing:
        done = entry.ingested
        if done is None:
            return Standing.HOLE
        if entry.is_behind or done.spec != self.data_hash:
            return Standing.STALE
        if self.up_to is not None and done.recorded > self.up_to:
            return Standing.NOT_ONLINE
        return Standing.COMPLETE


def _before(partition: Partition) -> Partition:
    return Partition.holding(partition.cadence, partition.start - TICK)

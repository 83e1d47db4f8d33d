"""What the manifests of a source add up to: the one fold that everybody asks.

    newest snapshot that fits the manifests ─▶ manifests after it, in order of their numbers ─▶ state

The manifests of each job are folded in the order of their numbers; what is newer replaces what is older. Jobs do not
depend on each other, so it does not matter in which order they are read.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeVar

from provender.ledger.records import (
    AdmitManifest,
    IngestedPartition,
    IngestManifest,
    Job,
    Kind,
    Manifest,
    MaterializeManifest,
    PublishManifest,
    StagedPartition,
    StageManifest,
)
from provender.ledger.segments import (
    Entries,
    PartitionState,
    RecordedPartition,
    SegmentError,
    Segments,
    SegmentSummary,
    cut,
    summarize,
)
from provender.ledger.snapshots import EVERY_MANIFESTS, Position, Snapshot, Snapshots, TableState, Totals
from provender.storage import Storage

_MOST_ATTEMPTS = 500
"""Of each job: how far back an attempt is looked for."""
_READ_AT_ONCE = 1000

T = TypeVar("T")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Part:
    """A stretch of consecutive partitions: what is known of all of them, and each one's state if asked for."""

    summary: SegmentSummary
    entries: Callable[[], Entries]


@dataclass
class _News:
    """What manifests after the snapshot say of a partition."""

    staged: StagedPartition | None = None
    ingested: RecordedPartition | None = None
    admitted: set[str] = field(default_factory=set)

    def on(self, base: PartitionState | None) -> PartitionState:
        before = base or PartitionState()
        # Only what there is is written down.
        found = {
            "staged": self.staged or before.staged,
            "ingested": self.ingested or before.ingested,
            "admitted": tuple(sorted({*before.admitted, *self.admitted})),
        }
        return PartitionState.model_construct(
            _fields_set={name for name, value in found.items() if value}, **found
        )


class Manifests(Protocol):
    """What a state reads: the numbered manifests of one source (:class:`provender.ledger.Ledger`)."""

    storage: Storage
    source: str

    def numbers_after(self, job: Job, number: int) -> list[int]:
        """The manifests of ``job`` that are numbered higher, in order."""

    def read(self, job: Job, numbers: Sequence[int]) -> list[Manifest]:
        """Read these manifests."""

    def path(self, job: Job, number: int) -> str:
        """Where the manifest is, under the storage root."""


class SourceState:
    """The state of one source. Made by :meth:`provender.ledger.Ledger.state`.

    Partition keys are text; times are in UTC. Everything is as of the last :meth:`advance`.
    """

    def __init__(self, ledger: Manifests, base: Snapshot | None, unusable: frozenset[int]) -> None:
        self._ledger = ledger
        self._unusable = unusable
        self._start(base)

    def _start(self, base: Snapshot | None) -> None:
        self._base = base
        self._segments = Segments(
            self._ledger.storage, self._ledger.source, base.segments if base is not None else ()
        )
        self._totals = base.totals if base is not None else Totals()
        self._positions = {
            job: base.positions[job].number if base is not None and job in base.positions else 0
            for job in Job
        }
        self._attempts = {
            job: dict(base.positions[job].attempts) if base is not None and job in base.positions else {}
            for job in Job
        }
        self._news: dict[str, _News] = {}
        self._since_snapshot = 0

    # What is asked.

    @property
    def source(self) -> str:
        """The source's name."""
        return self._ledger.source

    @property
    def staged(self) -> Mapping[str, StagedPartition]:
        """Per partition key what its newest delivery is."""
        return _Entries(self, lambda entry: entry.staged)

    @property
    def ingested(self) -> Mapping[str, RecordedPartition]:
        """Per partition key how it was ingested last, and when that was recorded."""
        return _Entries(self, lambda entry: entry.ingested)

    @property
    def admitted(self) -> dict[str, tuple[str, ...]]:
        """Per partition key the reasons with which a person has admitted its rows."""
        parts = (part for part in self.parts() if part.summary.admitted)
        return {key: e.admitted for part in parts for key, e in part.entries().items() if e.admitted}

    @property
    def totals(self) -> Totals:
        """What was written per view and table, and up to where."""
        return self._totals

    @property
    def recorded_up_to(self) -> datetime | None:
        """Up to when the source's logs are complete: what was recorded later belongs to no committed attempt."""
        return self._totals.recorded_up_to

    @property
    def online_up_to(self) -> datetime | None:
        """Up to when the online store holds the logs, of every view that was to be online then."""
        return self._totals.online_up_to

    def view_up_to(self, view: str) -> datetime | None:
        """Up to when the online store holds the log of ``view``; None if it was never materialized.

        A materialization looks at every view of the source: one of which it found nothing to write, in a day that
        changed nothing, is up to date all the same.
        """
        written = self._totals.views.get(view)
        if written is None:
            return self.online_up_to if view in self._totals.missing else None
        return max(written.recorded_up_to, self.online_up_to or written.recorded_up_to)

    @property
    def views(self) -> list[str]:
        """The views that were ever materialized, or looked at without a table."""
        return sorted({*self._totals.views, *self._totals.missing})

    def online_keys(self, view: str | None = None) -> Iterator[str]:
        """The partitions that are ingested and online: in ``view``, or (None) in every view that there was."""
        up_to = self.online_up_to if view is None else self.view_up_to(view)
        if up_to is not None:
            yield from (key for key, _ in self.ingested_between(None, up_to))

    def ingested_between(
        self, after: datetime | None, up_to: datetime
    ) -> Iterator[tuple[str, RecordedPartition]]:
        """The partitions whose last ingest was recorded in ``(after, up_to]``, in the order of their keys."""
        for part in self.parts():
            low, high = part.summary.recorded_min, part.summary.recorded_max
            if low is None or high is None or low > up_to or (after is not None and high <= after):
                continue
            for key, entry in part.entries().items():
                done = entry.ingested
                if done is not None and done.recorded <= up_to and (after is None or done.recorded > after):
                    yield key, done

    def newest_ingested(self, up_to: datetime) -> str | None:
        """The greatest key of a partition whose last ingest was recorded by ``up_to``."""
        for part in reversed(self.parts()):
            low = part.summary.recorded_min
            if low is not None and low <= up_to:
                done = {key: entry.ingested for key, entry in part.entries().items()}
                return max(key for key, each in done.items() if each is not None and each.recorded <= up_to)
        return None

    def redelivered(self) -> Iterator[tuple[str, RecordedPartition]]:
        """The partitions that were ingested from another delivery than their first."""
        for part in self.parts():
            if part.summary.redelivered:
                for key, entry in part.entries().items():
                    if entry.ingested is not None and entry.ingested.delivery > 1:
                        yield key, entry.ingested

    @property
    def last_redelivery(self) -> datetime | None:
        """The newest ``delivered`` of a staged delivery that is not its partition's first."""
        found = [part.summary.redelivered_last for part in self.parts()]
        return max((moment for moment in found if moment is not None), default=None)

    def position(self, job: Job) -> int:
        """The number of the newest manifest of ``job`` that is in this state."""
        return self._positions[job]

    def number_of_attempt(self, job: Job, attempt: str) -> int | None:
        """The newest manifest of ``attempt`` among the newest 500."""
        return self._attempts[job].get(_short(attempt))

    def partition(self, key: str) -> PartitionState | None:
        """All that is known of a partition."""
        try:
            base = self._segments.find(key)
        except SegmentError as error:
            self._start_again(error)
            return self.partition(key)
        news = self._news.get(key)
        return news.on(base) if news is not None else base

    def parts(self) -> list[Part]:
        """Every partition that a manifest names, in stretches and in the order of the keys."""
        try:
            return [self._part(piece) for piece in self._pieces()]
        except SegmentError as error:
            self._start_again(error)
            return self.parts()

    # How it comes to be.

    def advance(self) -> None:
        """Folds the manifests committed since. Raises :class:`DamagedFileError`."""
        for job in Job:
            numbers = self._ledger.numbers_after(job, self._positions[job])
            for start in range(0, len(numbers), _READ_AT_ONCE):
                some = numbers[start : start + _READ_AT_ONCE]
                for number, manifest in zip(some, self._ledger.read(job, some), strict=True):
                    self._fold(manifest)
                    self._remember(job, number, manifest.attempt)

    def write_snapshot_if_due(self) -> None:
        """Writes a snapshot if enough manifests came after the last one, whoever wrote that."""
        if self._since_snapshot < EVERY_MANIFESTS:
            return
        newest = max(Snapshots(self._ledger.storage, self._ledger.source).numbers(), default=0)
        if self._base is None or newest > self._base.number:
            self._go_on_from(usable_snapshot(self._ledger, self._unusable))
        if self._since_snapshot >= EVERY_MANIFESTS:
            self.write_snapshot()

    def write_snapshot(self) -> None:
        """Writes a snapshot, and goes on from it. Raises :class:`ProvenderError` and leaves the state as it was."""
        positions = {job: self._position(job) for job in Job if self._positions[job]}
        store = Snapshots(self._ledger.storage, self._ledger.source)
        try:
            snapshot = store.write(self._base, positions, self._totals, self._pieces())
        except SegmentError as error:
            self._start_again(error)  # whoever commits next writes it
            return
        if snapshot is not None:
            self._start(snapshot)

    def _fold(self, manifest: Manifest) -> None:
        match manifest:
            case StageManifest():
                for key, staged in manifest.partitions.items():
                    self._news_of(key).staged = staged
            case IngestManifest():
                self._fold_ingest(manifest)
            case MaterializeManifest():
                self._update(
                    online_up_to=manifest.recorded_up_to,
                    views=self._totals.views | {wrote.view: wrote for wrote in manifest.wrote},
                    missing={entry.view: entry for entry in manifest.read},
                )
            case PublishManifest():
                published = self._totals.published | {wrote.table: wrote for wrote in manifest.wrote}
                self._update(published_up_to=manifest.recorded_up_to, published=published)
            case AdmitManifest():
                for key, admitted in manifest.partitions.items():
                    self._news_of(key).admitted.update(admitted.reasons)

    def _fold_ingest(self, manifest: IngestManifest) -> None:
        recorded = manifest.recorded_up_to or manifest.committed
        if manifest.kind is Kind.MANIFEST:
            for key, entry in manifest.partitions.items():
                self._news_of(key).ingested = _recorded(entry, recorded)
        tables = dict(self._totals.tables)
        for wrote in manifest.wrote:
            before = tables[wrote.table].bytes if wrote.table in tables else 0
            tables[wrote.table] = TableState(last=wrote, bytes=before + wrote.bytes)
        self._update(
            recorded_up_to=manifest.recorded_up_to,
            tables=tables,
            resumed=self._totals.resumed or manifest.resumed,
            withdrawn=self._totals.withdrawn or manifest.counts.get("withdrawn", 0) > 0,
        )

    def _update(self, **changed: object) -> None:
        self._totals = self._totals.model_copy(update=changed)

    def _news_of(self, key: str) -> _News:
        return self._news.setdefault(key, _News())

    def _remember(self, job: Job, number: int, attempt: str) -> None:
        self._positions[job] = number
        self._since_snapshot += 1
        attempts = self._attempts[job]
        attempts.pop(_short(attempt), None)
        attempts[_short(attempt)] = number
        if len(attempts) > _MOST_ATTEMPTS:
            del attempts[next(iter(attempts))]

    def _position(self, job: Job) -> Position:
        number = self._positions[job]
        return Position(
            number=number, sha256=_sha256(self._ledger, job, number), attempts=dict(self._attempts[job])
        )

    def _touched(self) -> dict[int, list[str]]:
        """Segment to the keys of it that manifests after the snapshot name."""
        touched: dict[int, list[str]] = {}
        for key in self._news:
            touched.setdefault(self._segments.index_of(key), []).append(key)
        return touched

    def _merged(self, index: int, touched: Mapping[int, list[str]]) -> Entries:
        entries: dict[str, PartitionState] = {}
        if self._segments.summaries:
            entries |= self._segments.entries(index)
        for key in touched.get(index, ()):
            entries[key] = self._news[key].on(entries.get(key))
        return dict(sorted(entries.items()))

    def _pieces(self) -> list[SegmentSummary | Entries]:
        touched, summaries = self._touched(), self._segments.summaries
        pieces: list[SegmentSummary | Entries] = []
        for index in range(max(len(summaries), 1)):
            if summaries and index not in touched:
                pieces.append(summaries[index])
            else:
                is_last = index >= len(summaries) - 1
                pieces += cut(self._merged(index, touched), is_last=is_last)
        return pieces

    def _part(self, piece: SegmentSummary | Entries) -> Part:
        if not isinstance(piece, SegmentSummary):
            return Part(summarize(piece), lambda: piece)
        segments, index = self._segments, self._segments.index_of(piece.first)
        return Part(piece, lambda: self._entries_of(segments, index))

    def _entries_of(self, segments: Segments, index: int) -> Entries:
        try:
            return segments.entries(index)
        except SegmentError as error:
            if (
                segments is self._segments
            ):  # else it was found out already, and the state is another one since
                self._start_again(error)
            return self._between(segments.summaries[index])

    def _between(self, span: SegmentSummary) -> Entries:
        overlapping = (
            p for p in self.parts() if p.summary.first <= span.last and p.summary.last >= span.first
        )
        return {
            key: entry
            for part in overlapping
            for key, entry in part.entries().items()
            if span.first <= key <= span.last
        }

    def _start_again(self, error: SegmentError) -> None:
        """The snapshot's segments turned out to be gone (there are newer ones) or damaged: another one, or none."""
        log.warning("the ledger of %s: %s; it is read anew", self._ledger.source, error)
        assert self._base is not None, "only a snapshot has segments"
        self._unusable |= {self._base.number}
        self._go_on_from(usable_snapshot(self._ledger, self._unusable))

    def _go_on_from(self, base: Snapshot | None) -> None:
        self._start(base)
        self.advance()


class _Entries(Mapping[str, T]):
    """One side of every partition's state, looked up by key; whoever goes through all of them opens every segment."""

    def __init__(self, state: SourceState, choose: Callable[[PartitionState], T | None]) -> None:
        self._state = state
        self._choose = choose

    def __getitem__(self, key: str) -> T:
        entry = self._state.partition(key)
        found = self._choose(entry) if entry is not None else None
        if found is None:
            raise KeyError(key)
        return found

    def __iter__(self) -> Iterator[str]:
        for part in self._state.parts():
            yield from (key for key, entry in part.entries().items() if self._choose(entry) is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __bool__(self) -> bool:
        return next(iter(self), None) is not None


def load_state(ledger: Manifests) -> SourceState:
    """Start from the newest snapshot that fits the manifests; :meth:`SourceState.advance` reads the rest."""
    return SourceState(ledger, usable_snapshot(ledger, frozenset()), frozenset())


def usable_snapshot(ledger: Manifests, unusable: frozenset[int]) -> Snapshot | None:
    """The newest snapshot, but those numbered ``unusable``, whose last manifest of each job is there unchanged."""
    for snapshot in Snapshots(ledger.storage, ledger.source).newest_first():
        if snapshot.number in unusable:
            continue
        if misfit := _misfit(ledger, snapshot):
            log.warning(
                "snapshot %d of the ledger of %s is passed over: %s", snapshot.number, ledger.source, misfit
            )
            continue
        return snapshot
    return None


def _misfit(ledger: Manifests, snapshot: Snapshot) -> str:
    for job, position in snapshot.positions.items():
        path = ledger.path(job, position.number)
        try:
            if _sha256(ledger, job, position.number) != position.sha256:
                return f"{path} is another one than it was made from"
        except FileNotFoundError:
            return f"{path} is not there any more"
    return ""


def _sha256(ledger: Manifests, job: Job, number: int) -> str:
    return hashlib.sha256(ledger.storage.read(ledger.path(job, number))).hexdigest()


def _short(attempt: str) -> str:
    return hashlib.sha256(attempt.encode()).hexdigest()[:16]


def _recorded(entry: IngestedPartition, recorded: datetime) -> RecordedPartition:
    """The manifest's entry and the attempt's time. It was checked when the manifest was read."""
    return RecordedPartition.model_construct(
        _fields_set={*entry.model_fields_set, "recorded"}, **entry.__dict__, recorded=recorded
    )

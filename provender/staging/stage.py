"""Stage: raw files copied byte for byte into an immutable place named by their content.

    raw/…/2013-12-01.csv  →  staging/<source>/<partition>/<content hash>/2013-12-01.csv

The manifest comes last. Staging the same bytes again writes no file and commits a receipt. A partition
whose bytes changed is a new **delivery**: what it changes was not known before it was staged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from provender import metrics
from provender.clocks import Clock, after, utc_now
from provender.errors import ContractError, SourceNotReadyError
from provender.intervals import Partition
from provender.ledger import Draft, Job, Kind, Ledger, Manifest, digest
from provender.ledger.records import StagedFile, StagedPartition
from provender.ledger.state import SourceState
from provender.settings import Settings
from provender.specs.deliverable import require_deliverable
from provender.specs.source import Source
from provender.staging.additions import additions, is_added
from provender.staging.connections import BigQueryConnection, bigquery_connection
from provender.staging.copies import copy_again, lost_copy
from provender.staging.delivery import require_delivery
from provender.staging.found import found_files, without_time
from provender.staging.locate import raw_files
from provender.staging.profile import profile
from provender.staging.raw_file import RawFile
from provender.staging.settle import changed, stamp
from provender.storage import Storage, storage_at
from provender.storage.disk import scratch_errors

LOCK_TIMEOUT_SECONDS = 1800.0


Deliver = Callable[[Partition], AbstractContextManager[dict[str, RawFile]]]
"""Gives a partition's raw files for the time of copying them: name to be staged under, and file."""


@scratch_errors()
def stage(
    settings: Settings,
    source: Source,
    partitions: Iterable[Partition],
    attempt: str,
    deliver: Deliver | None = None,
    clock: Clock = utc_now,
) -> Manifest:
    """Stages ``partitions`` and commits one manifest (a receipt if every partition was staged already).

    The manifest's ``partitions`` say for each key: ``content`` (hash), ``files`` (name, bytes, sha256 and
    profile), ``delivery`` (1 for the first), ``delivered`` (ISO time from which its rows count as known),
    ``arrived`` (ISO time at which it was staged) and of files of a partition ``raw`` (by name
    :func:`provender.staging.settle.stamp`).
    ``deliver`` gives all the files; by default they are where the spec says, and rows that were added stay beside.
    A partition whose files have gone since it was staged stays as it is staged. Raises
    :class:`SourceNotReadyError` if a partition's files were never there, :class:`PartitionError` for a partition that
    has not ended or lies outside of the source's ``[start, end)``, :class:`ContractError` for a file that is no
    delivery; then nothing is committed. A staged copy that is gone is copied again.
    """
    started = clock()
    partitions = list(partitions)
    for partition in partitions:
        require_deliverable(source, partition, started)
    storage = storage_at(settings.storage_root)
    with storage.lock(f"{source.name}.stage", attempt, timeout_seconds=LOCK_TIMEOUT_SECONDS):
        ledger = Ledger(storage, source.name, clock)
        state = ledger.state()
        before = state.staged
        work = _Staging(settings, storage, source, attempt, deliver, _delivery_clock(state, clock))
        staged = {}
        for partition in partitions:
            with _naming(source, partition):
                staged[partition.key] = work.entry_of(partition, before.get(partition.key))
        manifest = ledger.commit(_draft(work, started, staged, before))
    metrics.job_done(settings, manifest)
    return manifest


@contextmanager
def _naming(source: Source, partition: Partition) -> Iterator[None]:
    """Add the source and the partition to an error that does not name them yet."""
    try:
        yield
    except (ContractError, SourceNotReadyError) as error:
        error.source = error.source or source.name
        error.partitions = error.partitions or (partition.key,)
        raise


def _delivery_clock(state: SourceState, clock: Clock) -> Clock:
    """Gives times after every redelivery of the source so far: among copies of a row the one delivered last counts,
    in whichever partitions they came, and a clock may have been ahead."""
    newest = state.last_redelivery
    return lambda: after(newest, clock)


def _draft(
    work: _Staging,
    started: datetime,
    staged: dict[str, StagedPartition],
    before: Mapping[str, StagedPartition],
) -> Draft:
    """A receipt where nothing but the times of the raw files is new."""
    new = [key for key, entry in staged.items() if _without_stamps(entry) != _without_stamps(before.get(key))]
    return Draft(
        job=Job.STAGE,
        attempt=work.attempt,
        kind=Kind.MANIFEST if new else Kind.RECEIPT,
        partitions=staged,
        started=started,
        notes=list(dict.fromkeys(work.notes)),
        counts={
            "files": sum(len(staged[key].files) for key in new),
            "bytes": sum(file.bytes for key in new for file in staged[key].files),
            **work.counts,
        },
    )


def _without_stamps(entry: StagedPartition | None) -> StagedPartition | None:
    return None if entry is None else entry.model_copy(update={"raw": None})


@dataclass(frozen=True)
class _Staging:
    """One attempt at staging."""

    settings: Settings
    storage: Storage
    source: Source
    attempt: str
    deliver: Deliver | None
    clock: Clock
    notes: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def entry_of(self, partition: Partition, held: StagedPartition | None) -> StagedPartition:
        """What the manifest says of ``partition``, whose newest delivery so far is ``held``."""
        if self.deliver is not None:
            with self.deliver(partition) as files:
                return _stage_one(self, partition, files, held)
        if held is not None and self._has_gone(partition):
            self.notes.append(
                f"the raw files of {partition.key} are not there any more: its staged copy stays"
            )
            return held
        sql = self.source.raw.sql
        warehouse = bigquery_connection(self.settings, sql.connection) if sql else None
        if warehouse is not None:
            return _stage_from_bigquery(self, warehouse, partition, held)
        with found_files(self.settings, self.source, partition, self.notes, self.counts) as files:
            seen = (
                {name: stamp(file) for name, file in files.items()} if self.source.raw.is_partitioned else {}
            )
            entry = _stage_one(self, partition, {**files, **additions(self.storage, held)}, held)
            if {name: stamp(files[name]) for name in seen} != seen:
                raise changed(next(file for name, file in files.items() if stamp(file) != seen[name]))
        return entry.model_copy(update={"raw": seen}) if seen else entry

    def _has_gone(self, partition: Partition) -> bool:
        return self.source.raw.is_partitioned and not raw_files(self.settings, self.source, partition)


def _stage_one(
    work: _Staging, partition: Partition, files: dict[str, RawFile], before: StagedPartition | None
) -> StagedPartition:
    profiles = tuple(_profiled(work, partition, file, name) for name, file in files.items())
    for entry in profiles:
        # A database is asked for the declared columns, and a location was judged before it was cut.
        if work.deliver is not None or work.source.raw.is_partitioned:
            require_delivery(work.source, files[entry.name], entry)
    content = digest([[p.name, p.bytes, p.sha256] for p in profiles])[:32]
    folder = f"staging/{work.source.name}/{partition.key}/{content}"
    is_same = before is not None and before.content == content
    for entry in profiles:
        target = f"{folder}/{entry.name}"
        if _copy(work.storage, files[entry.name], target, entry.sha256) and is_same:
            work.notes.append(
                f"the staged copy {target} was gone: it was staged again from the same raw bytes"
            )
    if before is not None and is_same:
        # The same bytes; but the spec may say now that they are to be read in another way.
        return before if before.files == profiles else before.model_copy(update={"files": profiles})
    delivery = 1 if before is None else before.delivery + 1
    arrived = work.clock()
    delivered = partition.end + work.source.delay if before is None else after(before.delivered, work.clock)
    return StagedPartition(
        content=content,
        folder=folder,
        files=profiles,
        delivery=delivery,
        delivered=delivered,
        arrived=arrived,
    )


def _stage_from_bigquery(
    work: _Staging, warehouse: BigQueryConnection, partition: Partition, held: StagedPartition | None
) -> StagedPartition:
    """The entry has ``rows`` besides: the fingerprint of what BigQuery had, in any order."""
    from provender.staging.bigquery import exported  # Google's client takes a second to import

    with exported(warehouse, work.source, partition, work.attempt) as found:
        if found.without_time:
            work.notes.append(without_time(work.source, found.without_time))
        if held is not None and held.rows == found.fingerprint:
            return held
        files = {**found.files, **additions(work.storage, held)}
        staged = _stage_one(work, partition, files, held)
        return staged.model_copy(update={"rows": found.fingerprint})


def _profiled(work: _Staging, partition: Partition, file: RawFile, name: str) -> StagedFile:
    try:
        with file.open() as opened:
            return StagedFile(name=name, **profile(opened, name, work.source.raw))
    except FileNotFoundError as error:
        if is_added(name):
            raise lost_copy(work.storage, work.source, partition, file.where, "is gone") from error
        raise changed(file) from error


def _copy(storage: Storage, file: RawFile, target: str, sha256: str) -> bool:
    """Whether there was no copy yet."""
    if storage.exists(target):
        return False
    try:
        if not storage.copy(file.where, target):
            copy_again(storage, file, target, sha256)
    except FileNotFoundError as error:
        raise changed(file) from error
    return True

"""The state of a source's partitions, in pieces: segments of consecutive keys, each an immutable file.

    ledger/<source>/snapshots/segments/<name>.json      up to 1,000 partitions with all that manifests say of them

A snapshot lists its segments with a summary of each, so that most questions are answered without opening one.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Literal

from pydantic import ValidationError

from provender.ledger.records import IngestedPartition, Moment, Record, StagedPartition
from provender.storage import Storage

MOST_PARTITIONS = 1000
"""In one segment."""
_MOST_IN_MEMORY = 32


class SegmentError(Exception):
    """A segment that a snapshot names is gone or damaged. Never leaves this package: manifests are read instead."""


class RecordedPartition(IngestedPartition):
    """How a partition was ingested last, and the recorded time of that attempt."""

    recorded: Moment


class PartitionState(Record):
    """What all manifests together say of one partition."""

    staged: StagedPartition | None = None
    ingested: RecordedPartition | None = None
    admitted: tuple[str, ...] = ()
    """Reasons with which a person has ever admitted its rows, sorted."""

    @property
    def is_behind(self) -> bool:
        """Whether it was delivered again, or other rows of it were admitted, since it was ingested."""
        done, staged = self.ingested, self.staged
        if done is None:
            return False
        redelivered = staged is not None and (staged.content, staged.delivery) != (
            done.content,
            done.delivery,
        )
        return redelivered or done.waived != self.admitted


class Segment(Record):
    """The file of a segment."""

    format: Literal[1] = 1
    partitions: dict[str, PartitionState]


class SegmentSummary(Record):
    """What is asked most of a segment's partitions."""

    name: str = ""
    sha256: str = ""
    first: str
    """Its first key."""
    last: str
    partitions: int
    step: str
    """The distance of its keys, where it is the same between all (:func:`step_of`); else empty."""
    ingested: int
    behind: int
    """How many are :attr:`PartitionState.is_behind`."""
    specs: dict[str, int]
    """Spec hash to the number of partitions ingested by it."""
    recorded_min: Moment | None
    recorded_max: Moment | None
    quarantined: int
    """How many have rows in quarantine."""
    quarantined_rows: int
    admitted: int = 0
    """Of how many rows were admitted."""
    redelivered: int
    """How many were ingested from another delivery than the first."""
    redelivered_last: Moment | None
    """The newest ``delivered`` of a staged delivery that is not a partition's first."""


Entries = Mapping[str, PartitionState]
"""Partition key to state, in the order of the keys."""


def summarize(entries: Entries) -> SegmentSummary:
    """Summarize one or more ``entries``."""
    done = [entry.ingested for entry in entries.values() if entry.ingested is not None]
    recorded = [each.recorded for each in done]
    again = [e.staged.delivered for e in entries.values() if e.staged is not None and e.staged.delivery > 1]
    specs: dict[str, int] = {}
    for each in done:
        specs[each.spec] = specs.get(each.spec, 0) + 1
    keys = list(entries)
    return SegmentSummary(
        first=keys[0],
        last=keys[-1],
        partitions=len(keys),
        step=step_of(keys),
        ingested=len(done),
        behind=sum(entry.is_behind for entry in entries.values()),
        specs=specs,
        recorded_min=min(recorded, default=None),
        recorded_max=max(recorded, default=None),
        quarantined=sum(each.quarantined > 0 for each in done),
        quarantined_rows=sum(each.quarantined for each in done),
        admitted=sum(bool(entry.admitted) for entry in entries.values()),
        redelivered=sum(each.delivery > 1 for each in done),
        redelivered_last=max(again, default=None),
    )


def step_of(keys: Sequence[str]) -> str:
    """Return the distance between ``keys``: ``1h``, ``1d``, ``7d``, ``1m``; empty if it is not the same between all,
    or a key names no hour, day or month."""
    try:
        places = [_place(key) for key in keys]
    except ValueError:
        return ""
    units = {unit for unit, _ in places}
    steps = {after[1] - before[1] for before, after in pairwise(places)}
    return f"{steps.pop()}{units.pop()}" if len(units) == len(steps) == 1 else ""


def _place(key: str) -> tuple[str, int]:
    """``2026-11`` in months, ``2026-11-22`` in days, ``2026-11-22T07`` in hours, since the year 0."""
    if len(key) == len("2026-11"):
        return "m", int(key[:4]) * 12 + int(key[5:])
    moment = datetime.fromisoformat(key)
    if len(key) == len("2026-11-22"):
        return "d", moment.toordinal()
    if len(key) == len("2026-11-22T07"):
        return "h", moment.toordinal() * 24 + moment.hour
    raise ValueError(key)


def cut(entries: Entries, *, is_last: bool) -> Iterator[Entries]:
    """Cut entries into those of single segments: full ones where keys are appended, else even ones."""
    keys, count = list(entries), -(-len(entries) // MOST_PARTITIONS)
    size = MOST_PARTITIONS if is_last else -(-len(entries) // max(count, 1))
    for start in range(0, len(keys), max(size, 1)):
        yield {key: entries[key] for key in keys[start : start + size]}


class Segments:
    """The segments of one snapshot, opened when they are asked for."""

    def __init__(self, storage: Storage, source: str, summaries: Sequence[SegmentSummary] = ()) -> None:
        self._storage = storage
        self._source = source
        self.summaries = tuple(summaries)
        self._firsts = [summary.first for summary in summaries]
        self._read: OrderedDict[int, dict[str, PartitionState]] = OrderedDict()

    def index_of(self, key: str) -> int:
        """The segment that ``key`` is in, or would be put into."""
        return max(bisect_right(self._firsts, key) - 1, 0)

    def find(self, key: str) -> PartitionState | None:
        """Raises :class:`SegmentError`."""
        if not self.summaries or not self._firsts[0] <= key <= self.summaries[-1].last:
            return None
        return self.entries(self.index_of(key)).get(key)

    def entries(self, index: int) -> dict[str, PartitionState]:
        """All of a segment. Raises :class:`SegmentError`."""
        if index in self._read:
            self._read.move_to_end(index)
            return self._read[index]
        entries = self._read[index] = self._open(self.summaries[index])
        if len(self._read) > _MOST_IN_MEMORY:
            self._read.popitem(last=False)
        return entries

    def _open(self, summary: SegmentSummary) -> dict[str, PartitionState]:
        path = segment_path(self._source, summary.name)
        try:
            data = self._storage.read(path)
            if hashlib.sha256(data).hexdigest() != summary.sha256:
                raise SegmentError(f"{path} is not as it was written")
            return Segment.model_validate_json(data).partitions
        except FileNotFoundError as error:
            raise SegmentError(f"{path} is gone") from error
        except ValidationError as error:
            raise SegmentError(f"{path} cannot be read: {error}") from error


def write_segment(storage: Storage, source: str, name: str, entries: Entries) -> SegmentSummary:
    """Write a new segment called ``name``, which nobody else uses."""
    data = Segment(partitions=dict(entries)).model_dump_json(exclude_unset=True).encode()
    storage.create(segment_path(source, name), data)
    found = {"name": name, "sha256": hashlib.sha256(data).hexdigest()}
    return summarize(entries).model_copy(update=found)


def segment_path(source: str, name: str) -> str:
    return f"ledger/{source}/snapshots/segments/{name}.json"

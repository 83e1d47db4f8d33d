"""For which partition key a model is trained, if at all.

A model stands on several sources. Its key is a partition of the coarsest cadence among them; a key is
**complete** when every source has ingested, and materialised, each of its partitions within the key's interval.
Backfills and corrections complete old keys too, so a run trains only for the newest complete one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from provender.intervals import Cadence, Partition, parse_iso
from provender.ledger.holes import last_partition, newest_expected
from provender.ledger.ledger import Ledger
from provender.ledger.manifest import Job
from provender.ledger.progress import ingested_partitions
from provender.specs.model import Source
from provender.specs.models.cadences import cadence_of as cadence_of

_INSTANT = timedelta(microseconds=1)


class Step(StrEnum):
    """What a run does with its key."""

    TRAIN = "train"
    SKIP = "skip"
    WAIT = "wait"
    """Runs of the sources are on their way, and one of them may complete a newer key."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What a run does, for which key, and why, in a sentence."""

    step: Step
    key: str
    reason: str


@dataclass(frozen=True, slots=True)
class SourceProgress:
    """What one source has in both stores."""

    source: Source
    done: frozenset[str]
    """Keys of partitions that are ingested and online."""

    @classmethod
    def of(cls, source: Source, ledger: Ledger) -> SourceProgress:
        last = ledger.last(Job.MATERIALIZE)
        online = last.recorded_up_to if last else None
        done = {
            key
            for key, entry in ingested_partitions(ledger).items()
            if online is not None and parse_iso(entry["recorded"]) <= online
        }
        return cls(source, frozenset(done))

    def has(self, interval: Partition) -> bool:
        """Whether every partition that the source has within ``interval`` is done."""
        return all(partition.key in self.done for partition in _within(self.source, interval))


def newest_complete_key(progress: Iterable[SourceProgress], cadence: Cadence) -> Partition | None:
    """The newest key that every source has, or None."""
    sources = list(progress)
    candidates = {
        Partition.holding(cadence, Partition.parse(each.source.cadence, key).start)
        for each in sources
        for key in each.done
    }
    complete = (key for key in sorted(candidates, reverse=True) if all(each.has(key) for each in sources))
    return next(complete, None)


def choose(
    asked: Partition | None,
    newest: Partition | None,
    *,
    by_hand: bool,
    decided: Mapping[str, str],
    expected: Partition | None,
    sources_are_busy: bool,
) -> Choice:
    """What a run does.

    ``asked``: the run's key, None for a bare manual run. ``newest``: the newest complete key. ``by_hand``: a person
    or a backfill asked for it. ``decided``: keys for which a version was deployed, rejected or rolled back, with the
    word. ``expected``: the newest key that could be complete by now, were everything on time.
    """
    if newest is None:
        return Choice(Step.SKIP, asked.key if asked else "", "no key is complete in all sources yet")
    key = asked or newest
    if key < newest:
        return Choice(Step.SKIP, key.key, f"{newest.key} is complete too, and newer: it gets the model")
    if key > newest:
        return Choice(
            Step.SKIP, key.key, f"{key.key} is not complete in all sources; {newest.key} is the newest"
        )
    if key.key in decided and not by_hand:
        return Choice(Step.SKIP, key.key, f"{key.key} had its model already ({decided[key.key]})")
    if sources_are_busy and (expected is None or key < expected) and not by_hand:
        return Choice(Step.WAIT, key.key, "runs of its sources are on their way; a newer key may follow")
    return Choice(Step.TRAIN, key.key, "it is the newest key that all sources have")


def expected_key(sources: Iterable[Source], cadence: Cadence, now: datetime) -> Partition | None:
    """The newest key that every source should have by ``now``; None where one should have none yet."""
    newest = [_expected_of(source, cadence, now) for source in sources]
    known = [key for key in newest if key is not None]
    return min(known) if known and len(known) == len(newest) else None


def _expected_of(source: Source, cadence: Cadence, now: datetime) -> Partition | None:
    partition = newest_expected(source, now)
    if partition is None:
        return None
    key = Partition.holding(cadence, partition.start)
    is_whole = partition.end >= key.end or partition == last_partition(source)
    return key if is_whole else Partition.holding(cadence, key.start - _INSTANT)


def _within(source: Source, interval: Partition) -> Iterable[Partition]:
    """The source's partitions that start within ``interval``, between its first and its last."""
    partition, last = Partition.holding(source.cadence, interval.start), last_partition(source)
    while partition.start < interval.end:
        is_there = partition >= source.first_partition and (last is None or partition <= last)
        if is_there:
            yield partition
        partition = partition.following

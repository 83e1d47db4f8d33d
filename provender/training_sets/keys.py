"""For which partition key a model is trained, if at all.

A model stands on several sources. Its key is a partition of the coarsest cadence among them; a key is
**complete** when every source has ingested, and materialized, each of its partitions within the key's interval, and
those cover it from end to end: a month of which a source has the first four days, because it ends there, is no month,
and a day before a source's start is no day of it. Backfills and corrections complete old keys too, so a run trains
only for the newest complete one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from provender.intervals import Cadence, Partition
from provender.ledger.holes import last_partition, newest_expected
from provender.ledger.ledger import Ledger
from provender.settings import Settings
from provender.specs.models import ModelCatalog
from provender.specs.models.cadences import cadence_of as cadence_of
from provender.specs.source import Source
from provender.storage import storage_at

_INSTANT = timedelta(microseconds=1)
_SHOWN = 3


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
        return cls(source, frozenset(ledger.state().online_keys()))

    def has(self, interval: Partition) -> bool:
        """Whether the source's partitions cover ``[interval)`` and every one of them is done."""
        return self.lacks(interval) is None

    def lacks(self, interval: Partition) -> str | None:
        """What the source lacks of ``[interval)``, in a few words; None if nothing."""
        name, first, last = self.source.name, self.source.first_partition, last_partition(self.source)
        if first.start > interval.start:
            return f"{name} starts with {first.key} and never covers it"
        if last is not None and last.end < interval.end:
            return f"{name} ends with {last.key} and never covers it"
        within = _within(self.source, interval)
        missing = [partition.key for partition in within if partition.key not in self.done]
        if not missing:
            return None
        shown = ", ".join(missing[:_SHOWN]) + (", …" if len(missing) > _SHOWN else "")
        if len(within) == 1:
            return f"{name} has not ingested {shown}, or it is not online yet"
        of = f"{len(missing)} of its {len(within)} partitions"
        return f"{name} has not ingested {of}, or they are not online yet: {shown}"


def newest_complete_key(progress: Iterable[SourceProgress], cadence: Cadence) -> Partition | None:
    """The newest key that every source has, or None."""
    sources = list(progress)
    candidates = sorted(_started(sources, cadence), reverse=True)
    complete = (key for key in candidates if all(each.has(key) for each in sources))
    return next(complete, None)


def newest_started_key(progress: Iterable[SourceProgress], cadence: Cadence) -> Partition | None:
    """The newest key of which some source has a partition, complete or not; None if nothing is done yet."""
    return max(_started(list(progress), cadence), default=None)


def why_incomplete(progress: Iterable[SourceProgress], key: Partition) -> str:
    """What the sources lack of ``key``, in a sentence; empty if it is complete."""
    lacking = [lacks for each in progress if (lacks := each.lacks(key)) is not None]
    return f"{key.key} is not complete: {'; '.join(lacking)}" if lacking else ""


@dataclass(frozen=True, slots=True)
class KeyStanding:
    """Up to which key a model could be trained now."""

    complete: Partition | None
    """The newest key that every source has."""
    incomplete: Partition | None
    """The newest one that some source has begun, if that is newer."""
    because: str
    """What the sources lack of it."""


def key_standing(settings: Settings, catalog: ModelCatalog, model: str) -> KeyStanding:
    """The standing of ``model`` by the ledgers of its sources. Raises :class:`SpecError` for an unknown model."""
    sources = catalog.sources_of(catalog.model(model)).values()
    cadence, storage = cadence_of(sources), storage_at(settings.storage_root)
    progress = [SourceProgress.of(source, Ledger(storage, source.name)) for source in sources]
    complete, started = newest_complete_key(progress, cadence), newest_started_key(progress, cadence)
    if started is None or started == complete:
        return KeyStanding(complete, None, "" if complete else "no source has a partition online yet")
    return KeyStanding(complete, started, why_incomplete(progress, started))


def _started(sources: Sequence[SourceProgress], cadence: Cadence) -> set[Partition]:
    return {
        Partition.holding(cadence, Partition.parse(each.source.cadence, key).start)
        for each in sources
        for key in each.done
    }


def choose(
    asked: Partition | None,
    newest: Partition | None,
    *,
    by_hand: bool,
    decided: Mapping[str, str],
    expected: Partition | None,
    sources_are_busy: bool,
    incomplete: str = "",
) -> Choice:
    """What a run does.

    ``asked``: the run's key, None for a bare manual run. ``newest``: the newest complete key. ``by_hand``: a person
    or a backfill asked for it. ``decided``: keys for which a version was deployed, rejected or rolled back, with the
    word. ``expected``: the newest key that could be complete by now, were everything on time. ``incomplete``: why the
    asked key is not complete (:func:`why_incomplete`).
    """
    because = f": {incomplete}" if incomplete else ""
    if newest is None:
        return Choice(
            Step.SKIP, asked.key if asked else "", f"no key is complete in all sources yet{because}"
        )
    key = asked or newest
    if key < newest:
        return Choice(Step.SKIP, key.key, f"{newest.key} is complete too, and newer: it gets the model")
    if key > newest:
        why = incomplete or f"{key.key} is not complete in all sources"
        return Choice(Step.SKIP, key.key, f"{why}. The newest key that all sources have is {newest.key}")
    if key.key in decided and not by_hand:
        return Choice(Step.SKIP, key.key, f"{key.key} had its model already ({decided[key.key]})")
    if sources_are_busy and (expected is None or key < expected) and not by_hand:
        return Choice(Step.WAIT, key.key, "runs of its sources are on their way; a newer key may follow")
    return Choice(Step.TRAIN, key.key, "it is the newest key that all sources have")


def expected_key(sources: Iterable[Source], cadence: Cadence, now: datetime) -> Partition | None:
    """The newest key that every source covers and should have by ``now``; None where there is none yet."""
    wanted = list(sources)
    newest = [_expected_of(source, cadence, now) for source in wanted]
    known = [key for key in newest if key is not None]
    if not known or len(known) < len(newest):
        return None
    key = min(known)
    return key if all(source.first_partition.start <= key.start for source in wanted) else None


def _expected_of(source: Source, cadence: Cadence, now: datetime) -> Partition | None:
    partition = newest_expected(source, now)
    if partition is None:
        return None
    key = Partition.holding(cadence, partition.start)
    return key if partition.end >= key.end else Partition.holding(cadence, key.start - _INSTANT)


def _within(source: Source, interval: Partition) -> list[Partition]:
    """The source's partitions that start within ``[interval)``."""
    partition, found = Partition.holding(source.cadence, interval.start), []
    while partition.start < interval.end:
        found.append(partition)
        partition = partition.following
    return found

"""What should have been ingested and was not, and the command that fixes it."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from provender.intervals import (
    Partition,
    compress,
    newest_complete,
    partitions_between,
)
from provender.ledger.state import SourceState
from provender.specs.source import Source

Range = tuple[Partition, Partition]
"""First and last partition, both included."""


def last_partition(source: Source) -> Partition | None:
    """The last partition of a source that is closed (``end`` is the end of it)."""
    return source.last_partition


def newest_expected(source: Source, now: datetime) -> Partition | None:
    """The newest partition whose data should be there; None before the first one is complete."""
    newest, last = newest_complete(source.cadence, now, source.delay), last_partition(source)
    if last is not None:
        newest = min(newest, last)
    return None if newest < source.first_partition else newest


def expected_partitions(source: Source, now: datetime) -> list[Partition]:
    """Every partition whose data should be there by ``now``, in order."""
    newest = newest_expected(source, now)
    return [] if newest is None else list(partitions_between(source.first_partition, newest))


def holes(source: Source, done: Collection[str], now: datetime) -> list[Range]:
    """Expected partitions whose keys are not in ``done``, consecutive ones as one range, in order."""
    return compress([p for p in expected_partitions(source, now) if p.key not in done])


def backfill_command(source: Source, first: Partition, last: Partition, *, reprocess: str = "failed") -> str:
    """Airflow's own command that runs the partitions ``first`` to ``last``.

    ``reprocess``: ``failed`` runs what never ran or failed, ``completed`` also what succeeded.
    """
    dates = f"--from-date {_moment(first)} --to-date {_moment(last)}"
    return (
        f"airflow backfill create --dag-id features__{source.name} {dates} --reprocess-behavior {reprocess}"
    )


def newest_online(source: Source, state: SourceState) -> Partition | None:
    """The newest partition that was ingested no later than what the online store holds."""
    key = state.newest_ingested(state.online_up_to) if state.online_up_to is not None else None
    return Partition.parse(source.cadence, key) if key is not None else None


def _moment(partition: Partition) -> str:
    is_midnight = partition.start.hour == 0
    return partition.start.strftime("%Y-%m-%d" if is_midnight else "%Y-%m-%dT%H:%M:%S")

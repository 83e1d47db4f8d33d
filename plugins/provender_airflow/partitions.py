"""Which partitions a run means.

a partition key      that partition (schedule, backfill, a trigger with a key)
start and end        all partitions from the one to the other, both included, in one application
neither              the newest complete one, as of the moment the run was asked for
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from provender.errors import PartitionError
from provender.intervals import Partition, partitions_between
from provender.ledger.holes import newest_expected
from provender.specs import deliverable
from provender.specs.source import Source


def partitions_of_run(
    source: Source, *, key: str | None, start: str | None, end: str | None, asked: datetime
) -> list[Partition]:
    """The partitions, in order, at least one. Raises :class:`PartitionError`."""
    if key and (start or end):
        raise PartitionError(
            f"the run has the partition key {key} and also start/end",
            remedy="give either a key, or start and end",
            partitions=(key,),
        )
    if bool(start) != bool(end):
        raise PartitionError("start and end belong together", remedy="give both, or neither")
    if key:
        partitions = [_parse(source, key)]
    elif start and end:
        partitions = list(partitions_between(_parse(source, start), _parse(source, end)))
    else:
        partitions = [_newest(source, asked)]
    return partitions


def partitions_of_context(source: Source, context: Mapping[str, Any]) -> list[Partition]:
    """The same from an Airflow task's context."""
    run, params = context["dag_run"], context["params"]
    return partitions_of_run(
        source,
        key=run.partition_key,
        start=params.get("start"),
        end=params.get("end"),
        asked=run.run_after,
    )


def as_argument(partitions: list[Partition]) -> str:
    """``KEY`` or ``FIRST..LAST``, as the jobs' command lines take it."""
    first, last = partitions[0], partitions[-1]
    return first.key if first == last else f"{first.key}..{last.key}"


def require_ended(partitions: list[Partition], now: datetime) -> None:
    """Raises :class:`PartitionError` for a partition that is not over: its data cannot be complete."""
    for partition in partitions:
        deliverable.require_ended(partition, now)


def _parse(source: Source, key: str) -> Partition:
    partition = Partition.parse(source.cadence, key)
    deliverable.require_within(source, partition)
    return partition


def _newest(source: Source, asked: datetime) -> Partition:
    newest = newest_expected(source, asked)
    if newest is None:
        raise PartitionError(
            f"{source.name} has no complete partition yet: its first is {source.first_partition.key}",
            remedy="wait until it is over and its delay has passed",
        )
    return newest

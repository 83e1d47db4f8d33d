"""Which partitions of a source can be delivered at a given time.

A partition that has not ended cannot be complete, and one outside of ``[start, end)`` of its source belongs to no
schedule: nothing would ever list it, replace it or miss it.
"""

from __future__ import annotations

from datetime import datetime

from provender.errors import PartitionError
from provender.intervals import Partition, as_utc
from provender.specs.source import Source

_NOT_AFFECTED = "everything: nothing was staged"


def require_deliverable(source: Source, partition: Partition, now: datetime) -> None:
    """Check that ``partition`` has ended by ``now`` and lies within the source's ``[start, end)``.

    ``now`` is any moment with a time zone. Raises :class:`PartitionError`, which no retry corrects.
    """
    require_within(source, partition)
    require_ended(partition, now)


def require_within(source: Source, partition: Partition) -> None:
    """Check that ``partition`` lies within the source's ``[start, end)``. Raises :class:`PartitionError`."""
    where = f"start and end in sources/{source.name}.yaml"
    first, last = source.first_partition, source.last_partition
    if partition < first:
        raise PartitionError(
            f"{source.name} starts with partition {first.key}, {partition.key} is before it",
            where=where,
            not_affected=_NOT_AFFECTED,
            remedy=f"ask for {first.key} or later, or set an earlier 'start' in the spec",
            partitions=(partition.key,),
        )
    if last is not None and partition > last:
        raise PartitionError(
            f"{source.name} ends with partition {last.key}, {partition.key} is after it",
            where=where,
            not_affected=_NOT_AFFECTED,
            remedy=f"ask for {last.key} or earlier, or set a later 'end' in the spec, or none",
            partitions=(partition.key,),
        )


def require_ended(partition: Partition, now: datetime) -> None:
    """Check that ``partition`` is over: before that its data cannot be complete. Raises :class:`PartitionError`."""
    if partition.end > as_utc(now):
        raise PartitionError(
            f"partition {partition.key} ends at {partition.end:%Y-%m-%d %H:%M} UTC, in the future",
            where=f"the clock says {as_utc(now):%Y-%m-%d %H:%M} UTC",
            not_affected=_NOT_AFFECTED,
            remedy="run it after that (the schedule does so by itself); where it is the times of the rows that are "
            "wrong, correct those",
            partitions=(partition.key,),
        )

"""By which moment a raw row is given to a partition."""

from __future__ import annotations

import pyarrow as pa

from provender.contract.arrow import Ints
from provender.contract.times import read_times
from provender.contract.zones import UNREADABLE
from provender.specs.source import Source, Timestamp

__all__ = ["UNREADABLE", "moments", "time_format"]


def time_format(source: Source) -> Timestamp:
    """How the values of ``raw.time_column`` are written: as the spec says where it is the event or created
    timestamp column, else ISO 8601 in UTC."""
    column = source.raw.time_column or ""
    for how in (source.event_timestamp, source.created_timestamp):
        if how is not None and how.column == column:
            return how
    return Timestamp(column=column)


def moments(column: pa.Array | pa.ChunkedArray, how: Timestamp) -> Ints:
    """Microseconds since 1970 in UTC, as the contract reads them (:func:`provender.contract.times.read_times`);
    :data:`UNREADABLE` for nulls and values that mean no moment. A wall time that a clock change skipped is taken as
    the moment of the change, so that its row lands in a partition and is quarantined there."""
    return read_times(column, how).micros

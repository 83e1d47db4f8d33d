"""The contract, record by record: what was delivered in, the same records typed and with the reasons they break it out.

Reasons are short and stable, since people filter by them:

    malformed                 the record cannot be split into fields: it has this reason alone
    missing_column:<column>   the file has no such column (a JSON file has all of them)
    null:<column>             a required value is null
    wrong_type:<column>       the value is not of the column's type (overflow included), or the record has several
                              columns of that name, told apart by upper and lower case alone
    not_finite:<column>       NaN or infinity
    below_min:<column>        under ``min``          above_max:<column>    over ``max``
    not_allowed:<column>      not among ``allowed``  too_long:<column>     over ``max_length``
    nonexistent_time:<column> a wall time that a clock change skipped
    too_late                  the row's period began more than ``lateness`` before the partition that brings it
    after_partition           the row's event timestamp is not before the partition's end
    event_in_future           the row's event timestamp is more than an hour later than its delivery was staged
    created_in_future         so is its created timestamp: it would win over every correction until then
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from provender.contract.arrow import Bools, Ints, bools, present
from provender.contract.columns import named
from provender.contract.delivered import as_delivered
from provender.contract.period import period_starts
from provender.contract.times import Times, read_times
from provender.contract.values import ARROW, read_values
from provender.contract.zones import UNREADABLE
from provender.intervals import Partition, to_micros
from provender.records.batch import RecordBatch
from provender.specs.source import Column, ColumnType, Source, Timestamp

DEFAULT_MAX_LENGTH = 1 << 20
WAIVABLE = ("too_late", "after_partition", "below_min", "above_max", "not_allowed", "too_long", "null")
"""Reasons a person may admit rows with; the others leave no value that could be admitted."""

AHEAD = timedelta(hours=1)
"""How far the clock of whoever made a row may be ahead of ours."""

_MOMENT = pa.timestamp("us", "UTC")
_INT64 = (-(2**63), 2**63 - 1)
_RANGES = {ColumnType.INT32: (-(2**31), 2**31 - 1), ColumnType.INT64: _INT64}

Violation = tuple[Bools, str]
"""Where the reason holds, and the reason."""


@dataclass(frozen=True)
class Delivery:
    """Where records come from: the ``file`` (a URI) of a ``partition``, whose rows became known at ``delivered``.

    ``is_json``: its records go by name, so that a name which a batch does not have is null. ``waived``: reasons, with a
    column or for all columns (``above_max:fare``, ``above_max``), that rows of this partition are admitted with.
    ``arrived``: when the file was staged; None where nobody knows, and then no row is from the future.
    """

    partition: Partition
    delivered: datetime
    file: str
    is_json: bool = False
    waived: tuple[str, ...] = ()
    arrived: datetime | None = None


@dataclass(frozen=True)
class _Read:
    """A column of the spec, read: the typed values, where there was a value, and where it cannot be used."""

    values: pa.Array
    present: Bools
    wrong: Bools


def checked_schema(source: Source) -> pa.Schema:
    """The columns of :func:`check`."""
    times = [(name, _MOMENT) for name in ("_partition", "_period", "_delivered", "_created", "_event")]
    columns = [(column.name, ARROW[column.type]) for column in source.columns]
    kept = [("_reasons", pa.list_(pa.string())), ("_raw", pa.string())]
    return pa.schema([*times, ("_file", pa.string()), *columns, *kept])


def check(batch: RecordBatch, source: Source, delivery: Delivery) -> pa.RecordBatch:
    """One row per record, in order.

    Columns: ``_partition`` (its start), ``_period`` (its start; null where the event timestamp cannot be read),
    ``_delivered``, ``_created`` (the source's own, else when it was delivered), ``_event`` (all
    ``timestamp[us, UTC]``), ``_file`` (string), the spec's columns (typed, null where a value is not of its type),
    ``_reasons`` (list of string, empty for an accepted row), ``_raw`` (JSON of the record as delivered, at most 64 Ki
    characters, null for an accepted row). Nothing raises on a value.
    """
    work = _Check(batch, source, delivery)
    reasons = work.reasons()
    size = batch.fields.num_rows
    broken = np.flatnonzero(np.diff(np.asarray(reasons.offsets.to_numpy(), dtype=np.int64)))
    raw = _spread(as_delivered(batch, broken), broken, size)
    created = work.created.to_arrow() if work.created else work.constant(delivery.delivered)
    columns = [
        work.constant(delivery.partition.start),
        pa.array(work.periods, mask=work.periods == UNREADABLE).cast(_MOMENT),
        work.constant(delivery.delivered),
        created,
        work.event.to_arrow(),
        pa.repeat(pa.scalar(delivery.file), size),
        *(work.columns[column.name].values for column in source.columns),
        reasons,
        raw,
    ]
    return pa.RecordBatch.from_arrays(columns, schema=checked_schema(source))


class _Check:
    """One batch: its columns and times, read once, and what is wrong with them."""

    def __init__(self, batch: RecordBatch, source: Source, delivery: Delivery) -> None:
        self.batch, self.source, self.delivery = batch, source, delivery
        self.size = batch.fields.num_rows
        self.event = self._time(source.event_timestamp)
        self.created = self._time(source.created_timestamp) if source.created_timestamp else None
        self.columns = {column.name: self._column(column) for column in source.columns}
        self.periods = period_starts(self.event.micros, source.cadence)

    def constant(self, moment: datetime) -> pa.Array:
        """The same moment for every row."""
        return pa.repeat(pa.scalar(to_micros(moment), pa.int64()), self.size).cast(_MOMENT)

    def reasons(self) -> pa.Array:
        """A list for every row: each reason once, without those that are waived."""
        malformed = present(self.batch.malformed)
        found: dict[str, Bools] = {}
        for where, reason in self._violations():
            if where.any():
                found[reason] = found[reason] | where if reason in found else where
        kept = {reason: where & ~malformed for reason, where in found.items() if not self._is_waived(reason)}
        return _lists({"malformed": malformed, **kept}, self.size)

    def _is_waived(self, reason: str) -> bool:
        if reason.endswith("_in_future"):
            return False
        waived = reason in self.delivery.waived or reason.partition(":")[0] in self.delivery.waived
        return waived and reason not in {f"null:{name}" for name in _indispensable(self.source)}

    def _nothing(self) -> Bools:
        return np.zeros(self.size, dtype=bool)

    def _column(self, column: Column) -> _Read:
        raw, ambiguous = named(self.batch.fields, column.name)
        if raw is None:
            return _Read(pa.nulls(self.size, ARROW[column.type]), self._nothing(), self._nothing())
        is_text = pa.types.is_string(raw.type)
        if is_text and self.source.raw.format == "csv" and column.type is not ColumnType.STRING:
            raw = pc.if_else(pc.equal(pc.ascii_trim_whitespace(raw), ""), None, raw)
        values, there = self._values(raw, column), present(raw)
        wrong = there & ~present(values)
        return (
            _Read(values, there, wrong)
            if ambiguous is None
            else _Read(values, there | ambiguous, wrong | ambiguous)
        )

    def _values(self, raw: pa.Array, column: Column) -> pa.Array:
        if column.type is ColumnType.TIMESTAMP:
            known = ((self.source.event_timestamp, self.event), (self.source.created_timestamp, self.created))
            for how, times in known:
                if how and times and how.column == column.name:
                    return times.to_arrow()
        return read_values(raw, column.type)

    def _time(self, how: Timestamp) -> Times:
        raw, ambiguous = named(self.batch.fields, how.column)
        times = read_times(pa.nulls(self.size) if raw is None else raw, how)
        if ambiguous is None:
            return times
        return Times(np.where(ambiguous, UNREADABLE, times.micros), times.present | ambiguous, times.skipped)

    def _violations(self) -> Iterator[Violation]:
        there = {name.lower() for name in self.batch.fields.schema.names}
        required = _required(self.source)
        for column in self.source.columns:
            if column.name.lower() in there or self.delivery.is_json:
                yield from _column_violations(column, column.name in required, self.columns[column.name])
            else:
                yield np.ones(self.size, dtype=bool), f"missing_column:{column.name}"
        yield from _time_violations(self.source.event_timestamp, self.event)
        if self.source.created_timestamp and self.created:
            yield from _time_violations(self.source.created_timestamp, self.created)
        yield from self._placement()
        if self.delivery.arrived is not None:
            yield from self._future(to_micros(self.delivery.arrived + AHEAD))

    def _future(self, latest: int) -> Iterator[Violation]:
        yield self.event.readable & (self.event.micros > latest), "event_in_future"
        if self.created:
            yield self.created.readable & (self.created.micros > latest), "created_in_future"

    def _placement(self) -> Iterator[Violation]:
        partition = self.delivery.partition
        late = to_micros(partition.start) - self.source.lateness // timedelta(microseconds=1)
        known = self.event.readable
        yield known & (self.periods < max(late, _INT64[0])), "too_late"
        yield known & (self.event.micros >= to_micros(partition.end)), "after_partition"


def _column_violations(column: Column, required: bool, read: _Read) -> Iterator[Violation]:
    name, values = column.name, read.values
    yield read.wrong, f"wrong_type:{name}"
    if required:
        yield ~read.present, f"null:{name}"
    if column.type in (ColumnType.FLOAT, ColumnType.DOUBLE) and not column.allow_not_finite:
        yield bools(pc.invert(pc.is_finite(values))), f"not_finite:{name}"
    if column.min is not None:
        yield _beyond(column, values, column.min, math.ceil, pc.less), f"below_min:{name}"
    if column.max is not None:
        yield _beyond(column, values, column.max, math.floor, pc.greater), f"above_max:{name}"
    if column.allowed is not None:
        allowed = pc.is_in(values, value_set=pa.array(column.allowed, pa.string()))
        yield bools(pc.and_(values.is_valid(), pc.invert(allowed))), f"not_allowed:{name}"
    if column.type is ColumnType.STRING:
        yield (
            bools(pc.greater(pc.utf8_length(values), column.max_length or DEFAULT_MAX_LENGTH)),
            f"too_long:{name}",
        )


def _beyond(
    column: Column,
    values: pa.Array,
    bound: float,
    whole: Callable[[float], int],
    beyond: Callable[[pa.Array, pa.Scalar], pa.Array],
) -> Bools:
    """Where values are beyond an inclusive bound, as the column would hold it: 0.9 as FLOAT is less than 0.9 as
    DOUBLE, and within "max: 0.9". NaN is beyond nothing."""
    if column.type in _RANGES:
        low, high = _RANGES[column.type]
        bound = min(max(whole(bound), low), high)
    elif column.type is ColumnType.FLOAT:
        bound = float(np.float32(bound))
    return bools(beyond(values, pa.scalar(bound, values.type)))


def _time_violations(how: Timestamp, times: Times) -> Iterator[Violation]:
    yield times.wrong, f"wrong_type:{how.column}"
    yield ~times.present, f"null:{how.column}"
    yield times.skipped, f"nonexistent_time:{how.column}"


def _required(source: Source) -> set[str]:
    """Columns that may not be null: those that say so, and the keys of tables taken as they are."""
    keys = {key for table in source.tables if not table.is_derived for key in table.keys}
    return keys | {column.name for column in source.columns if column.required}


def _indispensable(source: Source) -> set[str]:
    """Columns without which a row has no place in a table."""
    times = {how.column for how in (source.event_timestamp, source.created_timestamp) if how}
    return times | {key for table in source.tables if not table.is_derived for key in table.keys}


def _lists(reasons: dict[str, Bools], size: int) -> pa.Array:
    """Per row the reasons that hold, in the order of ``reasons``."""
    held = {reason: where for reason, where in reasons.items() if where.any()}
    if not held:
        return pa.ListArray.from_arrays(
            pa.array(np.zeros(size + 1, dtype=np.int32)), pa.array([], pa.string())
        )
    table = np.stack(list(held.values()), axis=1)
    offsets = np.concatenate([[0], np.cumsum(table.sum(axis=1))]).astype(np.int32)
    _, which = np.nonzero(table)
    names = pa.array(list(held), pa.string())
    return pa.ListArray.from_arrays(pa.array(offsets), names.take(pa.array(which)))


def _spread(values: pa.Array, at: Ints, size: int) -> pa.Array:
    """A column of ``size``: ``values`` at their places, null elsewhere."""
    places = np.full(size, -1, dtype=np.int64)
    places[at] = np.arange(len(at))
    return values.take(pa.array(places, mask=places < 0))

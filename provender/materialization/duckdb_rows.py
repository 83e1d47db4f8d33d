"""The rows that a materialization sends, found in this process: decided on narrow columns, then streamed.

    keys, times, deleted   of every version that is due     ─▶ DuckDB ─▶ which row stands for each key
    keys, features, times  the same rows in the same order  ─▶ Arrow  ─▶ the chosen ones, a batch at a time

So nothing wide is ever sorted, and memory holds five narrow columns of the versions that are due, and one batch. The
rule is that of :mod:`provender.materialization.spark_rows`, which does the same for what is too large for one machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from provender.errors import StorageError
from provender.intervals import to_micros
from provender.materialization.plan import ViewPlan
from provender.point_in_time.duckdb_join import connection, micros
from provender.tables.feature_log import CREATED, DELETED, EVENT, RECORDED

_BATCH_ROWS = 50_000
_EPOCH_TYPE = pa.timestamp("us", tz="UTC")

_NEWEST = """
    SELECT row AS live, row AS newest, event AS guard_event, created AS guard_created
    FROM (SELECT * FROM known WHERE recorded > {since})
    QUALIFY row_number() OVER (PARTITION BY {keys} ORDER BY event DESC, created DESC, recorded DESC) = 1
"""
"""Where no version is deleted."""

_FOLDED = """
    WITH touched AS (
        SELECT * FROM (
            SELECT *, bool_or(recorded > {since}) OVER same AS touched, bool_or(deleted) OVER same AS withdrawn
            FROM known WINDOW same AS (PARTITION BY {keys})
        ) WHERE touched AND (withdrawn OR recorded > {since})
    ),
    -- A deleted version hides the others of its event timestamp: fold those first.
    current AS (
        SELECT * FROM touched
        QUALIFY row_number() OVER (PARTITION BY {keys}, event ORDER BY created DESC, recorded DESC) = 1
    )
    SELECT arg_max(row, event) FILTER (NOT deleted) AS live, arg_max(row, event) AS newest,
        max(event) AS guard_event, arg_max(created, event) AS guard_created
    FROM current GROUP BY {keys}
"""


@dataclass(frozen=True)
class OnlineRows:
    """What the log, recorded up to ``up_to``, says of the keys that may have changed."""

    plan: ViewPlan
    up_to: datetime
    keep: Callable[[pa.RecordBatch], pa.Array] | None = None
    """Which rows of the log are looked at, as a mask of a batch with its keys and times; None: all."""

    @cached_property
    def is_anything_outside(self) -> bool:
        """Whether a version that is due lies outside the plan's bounds."""
        bounds = self.plan.bounds
        if bounds.are_open:
            return False
        events = self._narrow.filter(ds.field("recorded") > self._since).column("event")
        outside = pa.array(np.zeros(len(events), bool))
        if bounds.start is not None:
            outside = pc.or_(outside, pc.less(events, to_micros(bounds.start)))
        if bounds.end is not None:
            outside = pc.or_(outside, pc.greater(events, to_micros(bounds.end)))
        return bool(pc.any(outside).as_py())

    def batches(self) -> Iterator[pa.RecordBatch]:
        """One row per key: join keys, features, ``event_timestamp``, ``created_timestamp`` (null, and the features
        too, if nothing is left of the key), ``guard_event``, ``guard_created`` (the newest version known)."""
        chosen = self._chosen()
        first = 0
        for batch in self._wide():
            low, high = np.searchsorted(chosen.rows, (first, first + batch.num_rows))
            if high > low:
                here = chosen.slice(int(low), int(high))
                yield from _guarded(batch.take(pa.array(here.rows - first)), here, self.plan.view.join_keys)
            first += batch.num_rows

    def _chosen(self) -> _Chosen:
        known, bounds = self._narrow, self.plan.bounds
        if bounds.end is not None:
            known = known.filter(ds.field("event") <= to_micros(bounds.end))
        keys = ", ".join(name for name in known.column_names if name.startswith("k"))
        query = _FOLDED if self.plan.needs_histories else _NEWEST
        with connection() as duck:
            duck.register("known", known)
            found = duck.sql(query.format(keys=keys, since=self._since)).to_arrow_table()
        if bounds.start is not None:
            found = found.filter(ds.field("guard_event") >= to_micros(bounds.start))
        return _Chosen.of(found)

    @property
    def _since(self) -> int:
        """What was recorded later is due, in microseconds."""
        return to_micros(self.plan.since) if self.plan.since else -(1 << 62)

    @cached_property
    def _narrow(self) -> pa.Table:
        """``row`` (its place among those that are due), ``k0`` …, ``event``, ``created``, ``recorded`` (microseconds)
        and ``deleted``."""
        keys = [self.plan.view.column(name) for name in self.plan.view.join_keys]
        with _reading(self.plan.log.uri):
            found, rows = self._looked_at(self._scanner([*keys, EVENT, CREATED, RECORDED, DELETED]))
        columns = {f"k{number}": found.column(name) for number, name in enumerate(keys)}
        # DuckDB groups by something even where the table has one entity.
        columns = columns or {"k": pa.array(np.zeros(len(found), np.int8))}
        for name, column in (("event", EVENT), ("created", CREATED), ("recorded", RECORDED)):
            columns[name] = micros(found.column(column))
        columns["deleted"] = found.column(DELETED)
        columns["row"] = rows
        return pa.table(columns)

    def _looked_at(self, scanner: ds.Scanner) -> tuple[pa.Table, pa.ChunkedArray]:
        """The rows of the scanner that are to be kept, and their places in it."""
        if self.keep is None:
            found = scanner.to_table()
            return found, pa.chunked_array([np.arange(len(found))])
        first, kept, places = 0, [], [pa.array([], pa.int64())]
        for batch in scanner.to_batches():
            mask = self.keep(batch)
            kept.append(batch.filter(mask))
            places.append(pa.array(np.arange(first, first + batch.num_rows)).filter(mask))
            first += batch.num_rows
        return pa.Table.from_batches(kept, scanner.projected_schema), pa.chunked_array(places)

    def _wide(self) -> Iterator[pa.RecordBatch]:
        """The same rows in the same order, under the view's names."""
        columns = {name: ds.field(column) for name, column in self.plan.names.items()}
        columns |= {name: ds.field(name) for name in (EVENT, CREATED)}
        batches = self._scanner(columns).to_batches()
        while True:
            with _reading(self.plan.log.uri):
                batch = next(batches, None)
            if batch is None:
                return
            yield batch

    def _scanner(self, columns: list[str] | dict[str, ds.Expression]) -> ds.Scanner:
        bounds = self.plan.due(self.up_to)
        due = ds.field(RECORDED) <= pa.scalar(self.up_to, _EPOCH_TYPE)
        if bounds.recorded_after is not None:
            due &= ds.field(RECORDED) > pa.scalar(bounds.recorded_after, _EPOCH_TYPE)
        data = self.plan.log.dataset(bounds)
        if isinstance(data, pa.Table):
            data = ds.dataset(data)
        # Little is read ahead: what is read waits for the online store, which is slower.
        return data.scanner(
            columns=columns, filter=due, batch_size=_BATCH_ROWS, batch_readahead=4, fragment_readahead=1
        )


@contextmanager
def _reading(uri: str) -> Iterator[None]:
    """Raises :class:`StorageError` for Arrow's."""
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise StorageError(
            f"the feature table cannot be read: {error}",
            where=uri,
            not_affected="the ledger; rows that went online already are right",
            remedy="check the storage root, then run the same command again",
        ) from error


@dataclass(frozen=True)
class _Chosen:
    """Which rows stand for their keys, in the order of the log's files."""

    rows: npt.NDArray[np.int64]
    gone: npt.NDArray[np.bool_]
    """Nothing is left of the key."""
    guard_event: pa.Array
    guard_created: pa.Array

    @staticmethod
    def of(found: pa.Table) -> _Chosen:
        live = found.column("live").combine_chunks()
        gone = live.is_null()
        rows = pc.coalesce(live, found.column("newest").combine_chunks())
        order = np.argsort(rows.to_numpy(zero_copy_only=False), kind="stable")
        guards = [
            found.column(name).combine_chunks().take(pa.array(order)).cast(_EPOCH_TYPE)
            for name in ("guard_event", "guard_created")
        ]
        return _Chosen(
            rows.to_numpy(zero_copy_only=False)[order], gone.to_numpy(zero_copy_only=False)[order], *guards
        )

    def slice(self, start: int, end: int) -> _Chosen:
        columns = (self.guard_event, self.guard_created)
        guards = [column.slice(start, end - start) for column in columns]
        return _Chosen(self.rows[start:end], self.gone[start:end], *guards)


def _guarded(batch: pa.RecordBatch, chosen: _Chosen, keys: Iterable[str]) -> Iterator[pa.RecordBatch]:
    guarded = batch.append_column("guard_event", chosen.guard_event)
    guarded = guarded.append_column("guard_created", chosen.guard_created)
    if not chosen.gone.any():
        yield guarded
        return
    yield guarded.filter(pa.array(~chosen.gone))
    yield _emptied(guarded.filter(pa.array(chosen.gone)), keys)


def _emptied(batch: pa.RecordBatch, keys: Iterable[str]) -> pa.RecordBatch:
    """Nothing but the keys and the guards."""
    kept = {*keys, "guard_event", "guard_created"}
    columns = {
        name: batch.column(name) if name in kept else pa.nulls(batch.num_rows, batch.schema.field(name).type)
        for name in batch.schema.names
    }
    return pa.RecordBatch.from_pydict(columns)

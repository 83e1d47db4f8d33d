"""The point-in-time join in DuckDB, over the files of a feature table's log.

The rule is :mod:`provender.point_in_time.rule`; this is the same, fast. Shapes on the way:

    entities      row number, keys, t                     one per entity row
    versions      keys, event, created, recorded, deleted, features      the log's rows within the bounds
    winners       row number, features                    one per entity row that has an answer
    result        the entity rows, in their order, with the features beside them

Without ``filter_by_created_timestamp`` what is current does not depend on t: the current, alive rows are found once,
and one ASOF join takes the latest at or before t.

With it, a version is current from ``max(event, created)`` until the next version of its row is created. A row that is
never deleted stays once it is there, so the latest event at t is a running maximum, found by one ASOF join. Rows that
some version deletes ("shaky": few) come and go; they are joined by interval. The later of both is the answer's event,
and a second ASOF join by created timestamp gives its version at t.

All times are compared as whole microseconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from provender.errors import TerminalError
from provender.tables.feature_log import CREATED, DELETED, EVENT, RECORDED, Bounds, FeatureLog

_ROW = "__row"
_MOMENT = "__moment"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Lookup:
    """What is joined from one feature table."""

    log: FeatureLog
    keys: Mapping[str, str]
    """Column of the entity rows -> key column of the log. Empty: the table has one entity, joined to every row."""
    features: Mapping[str, str]
    """Output column -> column of the log."""
    ttl: timedelta = timedelta(0)
    """How old an event timestamp may be, inclusive. 0: no limit."""
    recorded_up_to: datetime | None = None
    """Versions recorded after this are not seen."""
    described: str = field(default="")
    """What an error message calls this table."""


def join(
    entities: pa.Table,
    timestamp_column: str,
    lookups: list[Lookup],
    *,
    filter_by_created_timestamp: bool = False,
) -> pa.Table:
    """``entities`` with the features of every lookup beside it: every row exactly once, in its order.

    ``timestamp_column`` holds t (a timestamp; naive is UTC; null matches nothing). Feature columns are nullable and
    have the log's types. Raises :class:`TerminalError` where a key's type cannot be compared with the log's, and
    :class:`LogNotFoundError` where a table does not exist.
    """
    moments = micros(entities.column(timestamp_column))
    result = entities
    for lookup in lookups:
        found = _join_one(entities, moments, lookup, filter_by_created_timestamp)
        for output in lookup.features:
            result = result.append_column(output, found.column(output))
    return result


def bounds_of(lookup: Lookup, moments: pa.ChunkedArray) -> Bounds | None:
    """The bounds outside which no version can matter to ``moments`` (microseconds); None if there are no moments."""
    least, greatest = pc.min(moments).as_py(), pc.max(moments).as_py()
    if least is None:
        return None
    start = _moment(least) - lookup.ttl if lookup.ttl else None
    return Bounds(event_from=start, event_to=_moment(greatest), recorded_to=lookup.recorded_up_to)


def _join_one(
    entities: pa.Table, moments: pa.ChunkedArray, lookup: Lookup, filter_by_created_timestamp: bool
) -> pa.Table:
    """One feature column per output, as long as ``entities``."""
    schema = lookup.log.schema
    bounds = bounds_of(lookup, moments)
    wanted = {output: schema.field(column).type for output, column in lookup.features.items()}
    if bounds is None:
        return pa.table({output: pa.nulls(len(entities), kind) for output, kind in wanted.items()})
    keys = {f"k{i}": log_key for i, log_key in enumerate(lookup.keys.values())}
    left = {
        name: key_column(entities, column, lookup) for name, column in zip(keys, lookup.keys, strict=True)
    }
    left |= {_ROW: pa.array(range(len(entities)), pa.int64()), _MOMENT: moments}
    with connection() as duck:
        duck.register("entities", pa.table(left))
        duck.register("log", lookup.log.dataset(bounds))
        sql = _Query(keys, dict(lookup.features), bounds, _as_micros(lookup.ttl))
        text = sql.as_known_then() if filter_by_created_timestamp else sql.as_known_now()
        found = duck.sql(text).to_arrow_table()
    return pa.table(
        {output: found.column(f"f{i}").cast(kind) for i, (output, kind) in enumerate(wanted.items())}
    )


def connection() -> duckdb.DuckDBPyConnection:
    """Open a DuckDB of its own, in memory, whose session is in UTC wherever it runs.

    DuckDB takes the machine's time zone by default, and with it the meaning of a time that names none.
    """
    duck = duckdb.connect(config={"preserve_insertion_order": False})
    duck.execute("SET GLOBAL TimeZone = 'UTC'")
    return duck


def current_rows(
    duck: duckdb.DuckDBPyConnection,
    log: FeatureLog,
    keys: Sequence[str],
    columns: Sequence[str],
    recorded_up_to: datetime | None,
    start: datetime | None = None,
    end: datetime | None = None,
) -> str:
    """SQL for the rows that are current and alive now, with event timestamp in ``[start, end]``.

    One row per (``keys``, event timestamp); ``keys`` are all of the table's. Gives ``columns`` and the event and
    created timestamps under the log's names. The log is registered with ``duck``.
    """
    bounds = Bounds(_aware(start), _aware(end), recorded_up_to)
    name = f"log_{uuid4().hex}"
    duck.register(name, log.dataset(bounds))
    outputs = ", ".join(_quoted(column) for column in dict.fromkeys([*columns, EVENT, CREATED]))
    group = ", ".join([*map(_quoted, keys), EVENT])
    return f"""
        SELECT {outputs} FROM (
            SELECT * FROM {name} WHERE {_within(bounds)}
            QUALIFY row_number() OVER (PARTITION BY {group} ORDER BY {CREATED} DESC, {RECORDED} DESC) = 1
        ) WHERE NOT {DELETED}"""


@dataclass(frozen=True)
class _Query:
    """SQL for one lookup. Tables: ``entities`` (__row, __moment, k0…) and ``log``."""

    keys: dict[str, str]
    features: dict[str, str]
    bounds: Bounds
    ttl: int

    def as_known_now(self) -> str:
        """What is known up to the recorded bound: later corrections reach back."""
        return f"""
            WITH versions AS ({self._versions()}),
            alive AS (
                SELECT * FROM (SELECT * FROM versions {self._newest(f"{self._k}event")}) WHERE NOT deleted
            )
            SELECT {self._outputs("a", "a.event")}
            FROM entities e ASOF LEFT JOIN alive a ON {self._same("e", "a")} e.{_MOMENT} >= a.event
            ORDER BY e.{_ROW}"""

    def as_known_then(self) -> str:
        """What was known at t: only versions created at or before t exist."""
        k, by_row = self._k, f"PARTITION BY {self._k}event"
        return f"""
            WITH versions AS (
                SELECT *, greatest(event, created) AS since,
                    lead(created) OVER ({by_row} ORDER BY created) AS superseded,
                    bool_or(deleted) OVER ({by_row}) AS shaky
                FROM (SELECT * FROM ({self._versions()}) {self._newest(f"{k}event, created")})
            ),
            steady AS (
                SELECT {k}since, max(event) OVER ({f"PARTITION BY {k[:-2]} " if k else ""}ORDER BY since) AS event
                FROM (SELECT {k}event, min(since) AS since FROM versions WHERE NOT shaky GROUP BY {k}event)
            ),
            first AS (
                SELECT e.*, s.event AS event
                FROM entities e ASOF LEFT JOIN steady s ON {self._same("e", "s")} e.{_MOMENT} >= s.since
            ),
            second AS (
                SELECT e.{_ROW}, max(v.event) AS event
                FROM entities e JOIN versions v ON {self._same("e", "v")} v.since <= e.{_MOMENT}
                    AND (v.superseded IS NULL OR e.{_MOMENT} < v.superseded)
                WHERE v.shaky AND NOT v.deleted GROUP BY e.{_ROW}
            ),
            chosen AS (
                SELECT f.* REPLACE (greatest(f.event, s.event) AS event)
                FROM first f LEFT JOIN second s USING ({_ROW})
            )
            SELECT {self._outputs("v", "v.event")}
            FROM chosen e ASOF LEFT JOIN versions v
                ON {self._same("e", "v")} e.event = v.event AND e.{_MOMENT} >= v.created
            ORDER BY e.{_ROW}"""

    @property
    def _k(self) -> str:
        """``k0, k1, `` or nothing."""
        return "".join(f"{name}, " for name in self.keys)

    def _same(self, left: str, right: str) -> str:
        """``l.k0 = r.k0 AND `` …; always something equal, since an ASOF join wants it."""
        return "".join(f"{left}.{name} = {right}.{name} AND " for name in self.keys)

    def _versions(self) -> str:
        """The log's rows within the bounds, for keys that some entity row has."""
        columns = [f"{_quoted(column)} AS {name}" for name, column in self.keys.items()]
        columns += [f"epoch_us({EVENT}) AS event", f"epoch_us({CREATED}) AS created"]
        columns += [f"epoch_us({RECORDED}) AS recorded", DELETED]
        columns += [f"{_quoted(column)} AS f{i}" for i, column in enumerate(self.features.values())]
        names = ", ".join(self.keys)
        known = f" WHERE ({names}) IN (SELECT ({names}) FROM entities)" if names else ""
        return f"SELECT * FROM (SELECT {', '.join(columns)} FROM log WHERE {_within(self.bounds)}){known}"

    @staticmethod
    def _newest(group: str) -> str:
        return f"QUALIFY row_number() OVER (PARTITION BY {group} ORDER BY created DESC, recorded DESC) = 1"

    def _outputs(self, side: str, event: str) -> str:
        """Features, or null where the event timestamp found is older than the ttl allows."""
        in_time = f"{event} >= e.{_MOMENT} - {self.ttl}" if self.ttl else "true"
        names = [f"CASE WHEN {in_time} THEN {side}.f{i} END AS f{i}" for i in range(len(self.features))]
        return ", ".join(names) or "1"


def key_column(entities: pa.Table, column: str, lookup: Lookup) -> pa.ChunkedArray:
    """An entity key column in a type that compares with the log's: whole numbers as int64, text as text."""
    values = entities.column(column)
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    wanted = lookup.log.schema.field(lookup.keys[column]).type
    if values.null_count == len(values):
        return pa.chunked_array([pa.nulls(len(values), wanted)])
    if pa.types.is_integer(wanted):
        wanted = pa.int64()
        if pa.types.is_floating(values.type):
            return _whole(values).cast(wanted)
    if _family(values.type) != _family(wanted):
        raise _incomparable(column, values.type, wanted, lookup)
    try:
        return values.cast(wanted)
    except pa.ArrowInvalid as error:
        raise _incomparable(column, values.type, wanted, lookup) from error


def _whole(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Null for what is no whole number and so matches nothing. (pandas makes floats of integers with gaps.)"""
    is_whole = pc.and_(pc.equal(values, pc.floor(values)), pc.less(pc.abs(values), 2.0**63))
    return pc.if_else(pc.fill_null(is_whole, False), values, pa.scalar(None, values.type))


def _family(kind: pa.DataType) -> str:
    if pa.types.is_integer(kind):
        return "whole number"
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return "text"
    if pa.types.is_timestamp(kind):
        return "timestamp"
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return "bytes"
    return str(kind)


def _incomparable(column: str, has: pa.DataType, wanted: pa.DataType, lookup: Lookup) -> TerminalError:
    return TerminalError(
        f"entity column {column!r} has type {has}, the key {lookup.keys[column]!r} it is joined with has {wanted}",
        where=lookup.described or lookup.log.uri,
        not_affected="nothing was read",
        remedy=f"convert the column {column!r} of the entity rows before the call",
    )


def micros(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Whole microseconds since the epoch; finer parts are cut off, naive timestamps are UTC."""
    if not pa.types.is_timestamp(column.type):
        raise TerminalError(
            f"the entity rows' timestamps have type {column.type}", remedy="convert the column to timestamps"
        )
    if column.type.unit == "ns":
        # floor, also before 1970: a cast would round towards zero
        column = pc.floor_temporal(column, unit="microsecond")
    return column.cast(pa.timestamp("us", tz=column.type.tz)).cast(pa.int64())


def _as_micros(duration: timedelta) -> int:
    return duration // _MICROSECOND


def _moment(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)


def _aware(moment: datetime | None) -> datetime | None:
    """Naive is UTC, as everywhere in Feast."""
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment


def _within(bounds: Bounds) -> str:
    limits = [
        (EVENT, ">=", bounds.event_from),
        (EVENT, "<=", bounds.event_to),
        (RECORDED, "<=", bounds.recorded_to),
        (RECORDED, ">", bounds.recorded_after),
    ]
    return (
        " AND ".join(f"{column} {sign} {_literal(m)}" for column, sign, m in limits if m is not None)
        or "true"
    )


def _literal(moment: datetime) -> str:
    return f"TIMESTAMPTZ '{moment.astimezone(UTC).isoformat(sep=' ')}'"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'

"""What the SQL of a derived table may not say, by name.

*Other tables*: a feature table depends on its source alone. *More than one period*: time windows, ``RANGE``
frames over an ``INTERVAL``, joins over an interval longer than the period. *Answers that change by
themselves*: random numbers, the current time, functions whose answer depends on the order in which rows
happen to be read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from sqlglot import exp

from provender.intervals import Cadence
from provender.specs.problems import did_you_mean

TIME_WINDOWS = {"window", "session_window", "window_time"}
UNREPEATABLE = {
    *("rand", "randn", "random", "randstr", "uniform", "uuid", "shuffle", "monotonically_increasing_id"),
    *(
        "now",
        "current_timestamp",
        "current_date",
        "current_time",
        "curdate",
        "localtimestamp",
        "sysdate",
        "getdate",
    ),
    *("spark_partition_id", "input_file_name", "input_file_block_start", "input_file_block_length"),
    *("current_user", "user", "session_user", "current_database", "current_schema", "current_catalog"),
    *("current_timezone", "version", "java_method", "reflect", "try_reflect"),
}
ORDER_DEPENDENT = {"first", "first_value", "last", "last_value", "any_value"}
_LENGTHS = {
    Cadence.HOURLY: timedelta(hours=1),
    Cadence.DAILY: timedelta(days=1),
    Cadence.WEEKLY: timedelta(days=7),
    Cadence.MONTHLY: timedelta(days=31),
}
_UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400, "week": 604_800, "month": 2_678_400}


@dataclass(frozen=True, slots=True)
class Complaint:
    """What is wrong and the remedy; at ``line``, or where ``name`` is written first."""

    what: str
    remedy: str
    name: str = ""
    line: int | None = None


def complaints(query: exp.Query, source_name: str, cadence: Cadence | None) -> list[Complaint]:
    """Everything that is refused in ``query``."""
    found = [
        *row_complaints(query, source_name),
        *_time_windows(query),
        *_frames(query),
        *_long_joins(query, cadence),
    ]
    return list(dict.fromkeys(found))


def row_complaints(query: exp.Query, source_name: str) -> list[Complaint]:
    """What is refused also where the query sees all raw rows, not those of one period: a model's entity rows."""
    found = [*_tables(query, source_name), *_unrepeatable(query), *_own_columns(query)]
    return list(dict.fromkeys(found))


def function_name(node: exp.Expr) -> str:
    """Lower-case name of a function call, else empty."""
    if isinstance(node, exp.Anonymous):
        return str(node.name).lower()
    return node.sql_name().lower() if isinstance(node, exp.Func) else ""


def _tables(query: exp.Query, source_name: str) -> Iterator[Complaint]:
    reads_source = False
    for table in query.find_all(exp.Table):
        name = table.name
        if not isinstance(table.this, exp.Identifier):
            call = function_name(table.this)
            yield Complaint(f"reads the table function {call}()", f"read {source_name} only", name=call)
        elif table.args.get("db") is not None:
            whole = table.sql(dialect="spark", comments=False).partition(" AS ")[0]
            yield Complaint(
                f"reads another table: {whole}", f"read {source_name} only", name=table.args["db"].name
            )
        elif not _is_cte(table):
            if name.lower() == source_name:
                reads_source = True
            else:
                remedy = did_you_mean(name, [source_name], f"read {source_name} only")
                yield Complaint(f"reads another table: {name}", remedy, name=name)
        if table.args.get("sample") is not None:
            yield Complaint("TABLESAMPLE takes other rows each time", "remove it", name="tablesample")
    if not reads_source:
        yield Complaint(f"never reads {source_name}", f"write FROM {source_name}", line=1)


def _is_cte(table: exp.Table) -> bool:
    """Whether the name is that of a WITH around it; inside a WITH, of one before it."""
    child: exp.Expr = table
    parent = table.parent
    while parent is not None:
        with_ = parent.args.get("with_") if isinstance(parent, exp.Query) else None
        if with_ is not None and child is not with_ and table.name.lower() in _names(with_.expressions):
            return True
        if isinstance(parent, exp.With):
            position = parent.expressions.index(child)
            seen = parent.expressions if parent.args.get("recursive") else parent.expressions[:position]
            if table.name.lower() in _names(seen):
                return True
        child, parent = parent, parent.parent
    return False


def _names(ctes: list[exp.Expr]) -> set[str]:
    return {cte.alias.lower() for cte in ctes}


def _time_windows(query: exp.Query) -> Iterator[Complaint]:
    for node in query.find_all(exp.Func):
        name = function_name(node)
        if name in TIME_WINDOWS:
            remedy = "group by date_trunc('hour', …) inside the period; windows over periods come later"
            yield Complaint(
                f"{name}() makes windows over time, and the SQL sees one period's rows", remedy, name=name
            )


def _unrepeatable(query: exp.Query) -> Iterator[Complaint]:
    for node in query.find_all(exp.Func):
        name = function_name(node)
        if name in UNREPEATABLE or (name == "unix_timestamp" and not node.expressions):
            yield Complaint(
                f"{name}() gives another answer each time", "use the rows' own columns", name=name
            )
        elif name in ORDER_DEPENDENT and not _is_ordered(node):
            remedy = "use max_by(value, time) or min_by, or give it OVER (… ORDER BY …)"
            yield Complaint(
                f"{name}() depends on the order in which rows happen to be read", remedy, name=name
            )


def _is_ordered(node: exp.Expr) -> bool:
    window = node.find_ancestor(exp.Window, exp.Select)
    return isinstance(window, exp.Window) and (
        window.args.get("order") is not None or window.args.get("alias") is not None
    )


def _frames(query: exp.Query) -> Iterator[Complaint]:
    for frame in query.find_all(exp.WindowSpec):
        if str(frame.args.get("kind")).upper() == "RANGE" and frame.find(exp.Interval) is not None:
            remedy = "use ROWS inside the period; windows over periods come later"
            yield Complaint(
                "a RANGE frame over an INTERVAL asks for rows of other periods", remedy, name="range"
            )


def _long_joins(query: exp.Query, cadence: Cadence | None) -> Iterator[Complaint]:
    conditions = [join.args.get("on") for join in query.find_all(exp.Join)]
    intervals = [found for on in conditions if on is not None for found in on.find_all(exp.Interval)]
    for interval in intervals:
        if cadence is not None and _length(interval) > _LENGTHS[cadence]:
            what = f"a join over {interval.sql(dialect='spark')} asks for rows of other periods"
            remedy = f"join inside the {cadence} period; windows over periods come later"
            yield Complaint(what, remedy, name="interval")


def _length(interval: exp.Interval) -> timedelta:
    unit = str(interval.args.get("unit") or "").lower().removesuffix("s")
    try:
        return timedelta(
            seconds=abs(float(interval.name)) * _UNITS.get(unit, 366 * 86_400 if unit == "year" else 0)
        )
    except (ValueError, OverflowError):
        return timedelta(0)


def _own_columns(query: exp.Query) -> Iterator[Complaint]:
    names = [node.name for node in query.find_all(exp.Column)] + [
        node.alias for node in query.find_all(exp.Alias)
    ]
    for name in names:
        if name.startswith("_"):
            yield Complaint(
                f"{name!r} is a column of the platform's own", "use the spec's columns", name=name
            )

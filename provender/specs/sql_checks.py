"""What the SQL of a derived table may say: parts and functions that are known to be safe and repeatable.

*Nothing else than a SELECT's parts* (:mod:`provender.specs.sql_grammar`): no programs, files, variables, other
versions of a table. *Only known functions* (:mod:`provender.specs.sql_functions`): none that changes by itself, runs
code or reads anything. *A fixed order* (:mod:`provender.specs.sql_order`). *No other tables*: a feature table depends
on its source alone. *No more than one period*: time windows, ``RANGE`` frames over an ``INTERVAL``, joins over an
interval longer than the period.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from sqlglot import exp

from provender.intervals import Cadence, Frequency
from provender.specs.problems import did_you_mean
from provender.specs.sql_functions import ALLOWED, REFUSED, TEXT_OPTIONS, TIME_WINDOWS, WITHOUT_PARENTHESES
from provender.specs.sql_grammar import HINTS, NODES, REFUSED_NODES, SPECIAL_TIMES
from provender.specs.sql_order import function_name, order_complaints

_JUDGED = (exp.Hint, exp.Table, exp.Dot)
_LENGTHS = {
    Frequency.HOURLY: timedelta(hours=1),
    Frequency.DAILY: timedelta(days=1),
    Frequency.WEEKLY: timedelta(days=7),
    Frequency.MONTHLY: timedelta(days=31),
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
        *row_complaints(query, source_name, sees_a_period=True),
        *_frames(query),
        *_long_joins(query, cadence),
    ]
    return list(dict.fromkeys(found))


def row_complaints(query: exp.Query, source_name: str, *, sees_a_period: bool = False) -> list[Complaint]:
    """What is refused also where the query sees all raw rows, not those of one period: a model's entity rows."""
    found = [
        *_tables(query, source_name),
        *_parts(query),
        *_functions(query, sees_a_period=sees_a_period),
        *_orders(query),
        *_times(query),
        *_own_columns(query),
    ]
    return list(dict.fromkeys(found))


def line_of(node: exp.Expr) -> int | None:
    """The line where ``node`` is written, or the first of its parts that knows; None where none does."""
    lines = (each.meta.get("line") for each in node.walk() if each.meta)
    return next((int(line) for line in lines if line), None)


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


def _parts(query: exp.Query) -> Iterator[Complaint]:
    """Parts that are no part of a plain SELECT, and functions of other catalogs."""
    for node in query.walk():
        kind = type(node)
        if node.find_ancestor(*REFUSED_NODES) is not None:
            continue  # a part of what is refused already
        if kind in REFUSED_NODES:
            what, remedy = REFUSED_NODES[kind]
            yield Complaint(what, remedy, name=node.key, line=line_of(node))
        elif isinstance(node, exp.Hint):
            for hint in node.expressions:
                if hint.name.lower() not in HINTS:
                    yield Complaint(f"the hint {hint.name} is not known", "remove it", name=hint.name)
        elif isinstance(node, exp.Dot) and isinstance(node.expression, exp.Func):
            name = node.sql(dialect="spark", comments=False).partition("(")[0]
            yield Complaint(
                f"{name}() is no function of Spark's own", "use a built-in function", line=line_of(node)
            )
        elif kind not in NODES and not isinstance(node, exp.Func):
            what = f"{kind.__name__} is no part of SQL that is known to be safe and repeatable"
            yield Complaint(what, "write it in another way", line=line_of(node) or 1)


def _functions(query: exp.Query, *, sees_a_period: bool) -> Iterator[Complaint]:
    for node in query.find_all(exp.Func):
        name = function_name(node)
        if type(node) in NODES or type(node) in REFUSED_NODES or isinstance(node.parent, _JUDGED):
            continue  # calls as tables, and functions of other catalogs, are refused as such
        if name in TIME_WINDOWS and not sees_a_period:
            continue
        if name in REFUSED:
            yield Complaint(
                f"{name}() {REFUSED[name].why}", REFUSED[name].remedy, name, node.meta.get("line")
            )
        elif name in ("unix_timestamp", "to_unix_timestamp") and not node.expressions:
            yield Complaint(
                f"{name}() gives another answer each time", "use the rows' own columns", name=name
            )
        elif name not in ALLOWED:
            remedy = did_you_mean(name, ALLOWED, "docs/sources.md says what is")
            what = f"{name}() is no function that is known to be safe and repeatable"
            yield Complaint(what, remedy, name, node.meta.get("line"))
        else:
            yield from _text_options(node, name)
    for column in query.find_all(exp.Column):
        name = column.name.lower()
        if name in WITHOUT_PARENTHESES - {"user"} and not column.table and not column.this.args.get("quoted"):
            yield Complaint(f"{name} {REFUSED[name].why}", REFUSED[name].remedy, name=name)


def _text_options(node: exp.Expr, name: str) -> Iterator[Complaint]:
    """Options of ``from_json`` and its kin: written out, and known."""
    if name not in ("from_json", "from_csv", "to_json", "to_csv", "schema_of_json", "schema_of_csv"):
        return
    position = 2 if name.startswith("from_") else 1
    for options in node.expressions[position:]:
        written = options.expressions if function_name(options) == "map" else [options]
        for option in written[::2]:
            text = option.name if isinstance(option, exp.Literal) and option.is_string else ""
            if text.lower() not in TEXT_OPTIONS:
                what = f"{name}(): the option {text or 'that is computed'} is not known to be safe"
                remedy = did_you_mean(text, TEXT_OPTIONS, "write map('option', 'value'), or leave it out")
                yield Complaint(what, remedy, name=name)


def _orders(query: exp.Query) -> Iterator[Complaint]:
    for node, what, remedy in order_complaints(query):
        yield Complaint(what, remedy, name=function_name(node) or node.key, line=line_of(node))


def _times(query: exp.Query) -> Iterator[Complaint]:
    """``TIMESTAMP 'now'`` and its kin, which are read as casts of a text."""
    for cast in query.find_all(exp.Cast, exp.TryCast):
        value = cast.this
        if not isinstance(value, exp.Literal) or not value.is_string:
            continue
        word = value.name.strip().lower()
        if word.startswith(SPECIAL_TIMES):
            yield Complaint(
                f"'{word}' is the time at which it runs", "use the rows' own columns", line=line_of(cast)
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
        if cadence is not None and _length(interval) > _LENGTHS[cadence.frequency]:
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

"""Does the SQL give what the spec declares? Said from the texts alone, with file and line, before any data is read.

``validate`` and ``apply`` both ask here, so that they cannot disagree. Problems are what an ingest would refuse;
warnings are what it would take, and what may surprise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sqlglot import exp

from provender.specs.problems import Problem, closest, did_you_mean
from provender.specs.source import EVENT_TIMESTAMP, FeatureTable, Source
from provender.specs.sql import entity_problems, parsed, problems
from provender.specs.sql_checks import Complaint, line_of
from provender.specs.sql_order import function_name
from provender.specs.sql_scope import Analysis, Output, Outputs
from provender.specs.sql_types import NULL, UNKNOWN, SqlType, type_of

_NUMBERS = frozenset({"INT32", "INT64", "FLOAT", "DOUBLE", "DECIMAL"})
_WHOLE = frozenset({"INT32", "INT64"})
_NESTED = frozenset({"ARRAY", "MAP", "STRUCT", "VARIANT"})
_FITS: dict[str, frozenset[str]] = {
    "BOOL": frozenset({"BOOL"}),
    "STRING": frozenset(),
    "BYTES": frozenset({"BYTES", "STRING"}),
    "TIMESTAMP": frozenset({"TIMESTAMP", "DATE", *_NUMBERS}),
    **dict.fromkeys(("INT32", "INT64", "FLOAT", "DOUBLE"), frozenset({*_NUMBERS, "BOOL", "TIMESTAMP"})),
}
"""Declared type to the types that become it by themselves; text takes every type that is not nested."""
_ROUNDED = frozenset({"round", "rint", "bround", "ceil", "ceiling", "floor", "trunc"})
_ENOUGH_DIGITS = 15
_CAST_NAMES = {"INT32": "INT", "INT64": "BIGINT", "BOOL": "BOOLEAN", "BYTES": "BINARY"}


@dataclass(slots=True)
class Found:
    """What is wrong, and what may surprise."""

    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)


def table_findings(sql: str, source: Source, table: FeatureTable, path: Path) -> Found:
    """Everything that can be said of the SQL of a derived table, in ``path``, without running it."""
    refused = problems(sql, source.name, path, source.cadence)
    if refused:
        return Found(refused)
    declared = {key.name: str(key.type) for key in source.keys_of(table)}
    declared |= {feature.name: str(feature.type) for feature in source.features_of(table)}
    return _findings(sql, source, path, declared, is_table=True)


def entity_findings(sql: str, source: Source, declared: Mapping[str, str], path: Path) -> Found:
    """The same for a model's entity rows. ``declared``: columns that have to be there, with types (``?``: any)."""
    refused = entity_problems(sql, source.name, path)
    if refused:
        return Found(refused)
    return _findings(sql, source, path, {EVENT_TIMESTAMP: "TIME", **declared}, is_table=False)


def _findings(sql: str, source: Source, path: Path, declared: Mapping[str, str], *, is_table: bool) -> Found:
    query = parsed(sql)
    assert query is not None  # it has no problems
    columns = {column.name: SqlType(str(column.type)) for column in source.columns}
    try:
        analysis = Analysis(query, source.name, columns)
        complaints = analysis.found or list(
            _output_complaints(query, analysis.outputs, declared, is_table=is_table)
        )
        warnings = [*_lost_digits(query, analysis), *_lost_fractions(analysis.outputs, declared)]
    except RecursionError:
        return Found([Problem(path, 1, "nested too deeply", "split it with WITH, or into several tables")])
    return Found(_at(complaints, path), _at(list(dict.fromkeys(warnings)), path))


def _at(complaints: list[Complaint], path: Path) -> list[Problem]:
    return [Problem(path, each.line or 1, each.what, each.remedy) for each in complaints]


def _output_complaints(
    query: exp.Query, outputs: Outputs, declared: Mapping[str, str], *, is_table: bool
) -> Iterator[Complaint]:
    if outputs is None:
        return
    given = {output.name: output for output in outputs if output.name is not None}
    missing = [name for name in declared if name not in given]
    for output in (each for each in outputs if each.name is None and is_table):
        name = missing.pop(0) if missing else "name"
        what = f"{_shown(output.node)} has no name"
        yield Complaint(what, f"write {_shown(output.node)} AS {name}", line=_line(output, query))
    undeclared = [name for name in given if name not in declared]
    is_one = len(missing) == len(undeclared) == 1 and given[undeclared[0]].node is not None
    for name in missing:
        match = undeclared[0] if is_one and is_table else closest(name, undeclared)
        if match is not None:
            undeclared.remove(match)
            what = f"the SQL gives {match!r}, and {name!r} is declared"
            remedy = f"write … AS {name}, or correct the spec"
            yield Complaint(what, remedy, line=_line(given[match], query))
        else:
            remedy = f"add … AS {name}" + (
                ", or remove it from keys and features in the spec" if is_table else ""
            )
            yield Complaint(f"the query does not return column {name!r}", remedy, line=line_of(query))
    for name in undeclared if is_table else ():
        if given[name].node is not None:  # what a star gives besides is left out
            what = f"the SQL gives {name!r}, which is not declared"
            remedy = did_you_mean(name, (), "add it under 'features' in the spec, or remove it here")
            yield Complaint(what, remedy, line=_line(given[name], query))
    yield from _repeated(query, outputs)
    for name, output in given.items():
        if name in declared:
            yield from _misfits(query, output, declared[name])


def _repeated(query: exp.Query, outputs: list[Output]) -> Iterator[Complaint]:
    seen: set[str] = set()
    for output in outputs:
        name = (output.name or "").lower()
        if name in seen:
            what = f"the SQL gives {output.name!r} twice"
            yield Complaint(what, "rename or remove one of them", line=_line(output, query))
        if name:
            seen.add(name)


def _misfits(query: exp.Query, output: Output, kind: str) -> Iterator[Complaint]:
    given = output.type
    if given in (UNKNOWN, NULL) or given.name == kind or kind not in (*_FITS, "TIME"):
        return
    if kind == "TIME":
        if given.name not in ("TIMESTAMP", "DATE", "STRING"):
            what = f"{output.name!r} is {given}, which is no time"
            yield Complaint(what, "give a TIMESTAMP", line=_line(output, query))
        return
    if given.name in _FITS[kind] or (kind == "STRING" and given.name not in _NESTED):
        return
    what = f"{output.name!r} is {given}, and {kind} is declared"
    remedy = f"declare it {given.name}" if given.name in _FITS else "give one value"
    if kind == "BOOL" and given.name in _NUMBERS:
        remedy = f"write a comparison ({output.name} > 0), or {remedy}"
    elif given.name == "STRING":
        remedy = f"write CAST(… AS {_CAST_NAMES.get(kind, kind)}), or {remedy}"
    yield Complaint(what, remedy, line=_line(output, query))


def _lost_digits(query: exp.Query, analysis: Analysis) -> Iterator[Complaint]:
    """Averages and quotients of decimals: Spark rounds them to a few digits, whatever they become afterwards."""
    for node in query.walk():
        kind = analysis.types.get(id(node), UNKNOWN)
        is_meant = any(_is_decimal(cast) for cast in node.find_all(exp.Cast, exp.TryCast))
        if kind.name == "DECIMAL" and kind.scale < _ENOUGH_DIGITS and not is_meant:
            what = f"{_shown(node)} is {kind}: digits after the {kind.scale}th are rounded away, also in a DOUBLE"
            remedy = "write 1D for 1.0, or CAST(… AS DOUBLE) inside"
            yield Complaint(what, remedy, line=line_of(node))


def _is_decimal(cast: exp.Expr) -> bool:
    return type_of(cast, lambda _: UNKNOWN).name == "DECIMAL"


def _lost_fractions(outputs: Outputs, declared: Mapping[str, str]) -> Iterator[Complaint]:
    for output in outputs or ():
        kind, given, node = declared.get(output.name or ""), output.type, output.node
        has_fraction = given.name in ("FLOAT", "DOUBLE") or (given.name == "DECIMAL" and given.scale > 0)
        inner = node.unalias() if node is not None else None
        if kind in _WHOLE and has_fraction and inner is not None and function_name(inner) not in _ROUNDED:
            what = (
                f"{output.name!r} is {given}, and {kind} is declared: a value that is not whole is no {kind}"
            )
            yield Complaint(what, f"declare it DOUBLE, or write round({output.name})", line=line_of(inner))


def _shown(node: exp.Expr | None) -> str:
    text = node.sql(dialect="spark", comments=False, normalize_functions=False) if node is not None else "it"
    return text if len(text) <= 40 else f"{text[:39]}…"


def _line(output: Output, query: exp.Query) -> int | None:
    return (line_of(output.node) if output.node is not None else None) or line_of(query)

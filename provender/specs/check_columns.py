"""What raw columns must hold: names that are free, bounds that mean something for their type."""

from __future__ import annotations

import math
import sys
from typing import Any

from provender.specs.document import Document
from provender.specs.plain import entries, mapping
from provender.specs.problems import Location, shown_location
from provender.specs.source import CREATED_TIMESTAMP, EVENT_TIMESTAMP, ColumnType

RESERVED = frozenset({EVENT_TIMESTAMP, CREATED_TIMESTAMP, "recorded_timestamp", "deleted", "period"})
"""Names of the feature tables' own columns; names that start with ``_`` are reserved too."""
_BOUNDS = {
    "INT32": (-(2**31), 2**31 - 1),
    "INT64": (-(2**63), 2**63 - 1),
    "FLOAT": (-math.inf, math.inf),
    "DOUBLE": (-math.inf, math.inf),
}
_LARGEST = sys.float_info.max  # bounds are kept as floating-point numbers
_TYPES = frozenset(ColumnType)


def check_columns(document: Document) -> None:
    own = {
        EVENT_TIMESTAMP: mapping(document.values, EVENT_TIMESTAMP).get("column"),
        CREATED_TIMESTAMP: mapping(document.values, CREATED_TIMESTAMP).get("column"),
    }
    listed = list(entries(document.values, "columns"))
    check_names(document, ("columns",), listed, allowed={k for k, column in own.items() if column == k})
    for position, column in listed:
        for each in (_check_bounds, _check_text_rules, _check_not_finite):
            each(document, ("columns", position), column)


def check_names(
    document: Document, place: Location, listed: list[tuple[int, dict[str, Any]]], allowed: set[str]
) -> None:
    """Names given twice (Spark does not tell upper from lower case) or reserved."""
    seen: dict[str, str] = {}
    for position, entry in listed:
        name = entry.get("name")
        if not isinstance(name, str):
            continue
        location = (*place, position, "name")
        if name.lower() in seen:
            what = f"{shown_location(location)}: {name!r} is there already (as {seen[name.lower()]!r})"
            document.report(location, what, "rename or remove one of them")
        seen.setdefault(name.lower(), name)
        if name.lower() in RESERVED and name not in allowed:
            what = f"{shown_location(location)}: {name!r} is reserved for the feature tables' own columns"
            document.report(location, what, "give it another name")


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_bounds(document: Document, place: Location, column: dict[str, Any]) -> None:
    kind = str(column.get("type"))
    given = [key for key in ("min", "max") if _number(column.get(key))]
    if not given or kind not in _TYPES:
        return
    if kind not in _BOUNDS:
        _report_misfit(document, (*place, given[0]), str(kind), "a number")
        return
    low, high = _BOUNDS[kind]
    for key in given:
        if not low <= column[key] <= high or abs(column[key]) > _LARGEST:
            what = f"{shown_location((*place, key))}: {str(column[key])[:40]} is no value of {kind}"
            document.report((*place, key), what, "leave it out for no bound")
    if len(given) == 2 and column["min"] > column["max"]:
        what = f"{shown_location(place)}: min {column['min']} is greater than max {column['max']}"
        document.report((*place, "min"), what, "swap them")


def _check_text_rules(document: Document, place: Location, column: dict[str, Any]) -> None:
    kind = str(column.get("type"))
    for key in ("allowed", "max_length"):
        if column.get(key) is not None and kind in _TYPES and kind != ColumnType.STRING:
            _report_misfit(document, (*place, key), str(kind), "STRING")
    if column.get("allowed") == []:
        what = f"{shown_location((*place, 'allowed'))}: empty, so no value would do"
        document.report((*place, "allowed"), what, "list the values or remove it")


def _check_not_finite(document: Document, place: Location, column: dict[str, Any]) -> None:
    kind = str(column.get("type"))
    if column.get("allow_not_finite") is True and kind in _TYPES and kind not in ("FLOAT", "DOUBLE"):
        _report_misfit(document, (*place, "allow_not_finite"), str(kind), "FLOAT or DOUBLE")


def _report_misfit(document: Document, location: Location, kind: str, wanted: str) -> None:
    what = f"{shown_location(location)}: means nothing for a column of type {kind}"
    document.report(location, what, f"remove it, or make the column {wanted}")

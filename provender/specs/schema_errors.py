"""Pydantic's findings about a spec's shape (keys, types, missing values) in this project's words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from provender.intervals import Frequency
from provender.specs.document import Document
from provender.specs.problems import Location, closest, did_you_mean, shown_location
from provender.specs.source import (
    Column,
    ColumnType,
    FeatureTable,
    OutputColumn,
    Raw,
    Source,
    Timestamp,
    Violations,
)


@dataclass(frozen=True, slots=True)
class Shape:
    """A kind of spec: the model of each place (list positions left out), and what to write where a key is missing."""

    models: Mapping[tuple[str, ...], type[BaseModel]]
    examples: Mapping[str, str]


_SOURCE_MODELS: dict[tuple[str, ...], type[BaseModel]] = {
    (): Source,
    ("raw",): Raw,
    ("event_timestamp",): Timestamp,
    ("created_timestamp",): Timestamp,
    ("violations",): Violations,
    ("columns",): Column,
    ("tables",): FeatureTable,
    ("tables", "features"): OutputColumn,
}
_SOURCE_EXAMPLES = {
    "name": "name: {stem}",
    "owner": "owner: <the team that answers for it>",
    "cadence": "cadence: daily",
    "start": "start: 2026-01-01",
    "raw": "raw: {{uri: ../raw/{stem}/{{partition}}.csv}}",
    "uri": "uri: ../raw/{stem}/{{partition}}.csv",
    "event_timestamp": "event_timestamp: {{column: <a column>}}",
    "columns": "columns: [{{name: <column>, type: INT64}}]",
    "tables": "tables: [{{name: {stem}, keys: [<column>]}}]",
    "keys": "keys: [<column>]",
    "type": "type: INT64",
    "column": "column: <a column>",
}
SOURCE = Shape(_SOURCE_MODELS, _SOURCE_EXAMPLES)
_WANTED = {
    "string_type": "text (quote it)",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "tuple_type": "a list",
    "model_type": "keys with values",
    "model_attributes_type": "keys with values",
    "dict_type": "keys with values",
    "time_delta_type": "a duration like 90s, 2h or 3d",
    "datetime_type": "a date",
    "too_short": "at least one entry",
}


def report_schema_errors(document: Document, error: ValidationError, shape: Shape = SOURCE) -> None:
    """Adds a problem for each finding of ``error``; one for each place."""
    findings = error.errors(include_url=False)
    misspelt = set(_misspelt(findings, shape))
    places: set[Location] = set()
    for finding in findings:
        location = _existing(document, finding)
        if location in places or (finding["type"] == "missing" and location in misspelt):
            continue
        places.add(location)
        document.report(location, *_wording(document, location, finding, shape))


def _misspelt(findings: list[Any], shape: Shape) -> Iterator[Location]:
    """Keys that are not missing but misspelt: the unknown key's line says so already."""
    for finding in findings:
        if finding["type"] == "extra_forbidden":
            match = closest(str(finding["loc"][-1]), _keys_at(shape, finding["loc"][:-1]))
            if match is not None:
                yield (*finding["loc"][:-1], match)


def _existing(document: Document, finding: Any) -> Location:
    """Where the finding is, without the steps that pydantic adds for the members of a union."""
    location: Location = tuple(finding["loc"])
    if finding["type"] == "missing":
        return location
    value: Any = document.values
    for depth, step in enumerate(location):
        is_there = isinstance(value, dict) and step in value
        is_item = isinstance(value, list) and isinstance(step, int) and step < len(value)
        if not is_there and not is_item:
            return location[:depth]
        value = value[step]
    return location


def _wording(document: Document, location: Location, finding: Any, shape: Shape) -> tuple[str, str]:
    kind, place, context = finding["type"], shown_location(location), finding.get("ctx", {})
    if kind == "extra_forbidden":
        where = f" in {shown_location(location[:-1])}" if len(location) > 1 else ""
        return f"unknown key {location[-1]!r}{where}", did_you_mean(
            str(location[-1]), _keys_at(shape, location[:-1])
        )
    if kind == "missing":
        example = shape.examples.get(str(location[-1]), f"{location[-1]}: …").format(stem=document.path.stem)
        return f"{place} is missing", f"add {example}"
    if kind == "value_error":
        what, _, remedy = str(context["error"]).partition("; ")
        return (f"{place}: {what}" if place else what), remedy or "change it"
    got = _shown(document, location)
    if kind in ("enum", "literal_error"):
        return f"{place}: {got} is not a choice", did_you_mean(
            str(got).strip("'"), _choices(location, context)
        )
    if kind in _WANTED:
        return f"{place}: got {got}", f"write {_WANTED[kind]}"
    return f"{place}: got {got}", str(finding["msg"]).replace("Input should be", "it should be")


def _keys_at(shape: Shape, location: Location) -> list[str]:
    model = shape.models.get(tuple(step for step in location if isinstance(step, str)))
    return list(model.model_fields) if model else []


def _choices(location: Location, context: dict[str, Any]) -> list[str]:
    if location[-1] == "type":
        return [str(each) for each in ColumnType]
    if location[-1] == "cadence":
        return [str(each) for each in Frequency]
    return [part.strip(" '") for part in str(context["expected"]).replace(" or ", ",").split(",")]


def _shown(document: Document, location: Location) -> str:
    text = document.text(location)
    if text is not None:
        return repr(text[:80]) if text else "nothing"
    value: Any = document.values
    for step in location:
        value = value[step]
    return "a list" if isinstance(value, list) else "keys with values"

"""Reads one source spec, ``feature_defs/sources/<name>.yaml``, and reports everything that is wrong with it.

file → :mod:`provender.specs.document` (YAML, lines) → :mod:`provender.specs.checks` (what must hold) and
:mod:`provender.specs.source` (shape and types) → a :class:`~provender.specs.source.Source`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from provender.intervals import as_utc, find_zone, is_zone, iso, parse_duration
from provender.specs.checks import check
from provender.specs.document import Document, read_document
from provender.specs.plain import entries
from provender.specs.problems import Location, shown_location, to_error
from provender.specs.schema_errors import report_schema_errors
from provender.specs.source import Source

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}.*")
_EARLIEST, _LATEST = datetime(1900, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
"""Bounds of ``start`` and ``end``, inclusive: partitions, schedules and timestamps of all systems hold them."""
_ANY_MOMENT, _ANY_DURATION = "2000-01-03T00:00:00.000000Z", "1s"


def load_source(path: Path) -> Source:
    """The source that ``path`` defines.

    Raises :class:`provender.errors.SpecError`: one line ``file:line: what; remedy`` for each problem.
    """
    return load_checked(path)[0]


def load_checked(path: Path) -> tuple[Source, str]:
    """As :func:`load_source`, with the normalized JSON document that :func:`source_of` takes."""
    document = read_document(path)
    if document.problems and not document.values:
        raise to_error(document.problems)
    _normalise(document)
    try:
        text = json.dumps(document.values)
        source = source_of(text)
    except ValidationError as error:
        report_schema_errors(document, error)
    check(document)
    if document.problems:
        raise to_error(document.problems)
    return source, text


def source_of(text: str) -> Source:
    """The source in a normalized JSON document (dates as UTC moments). Raises pydantic's ``ValidationError``.

    JSON in strict mode, because that takes lists and names of enum members but no ``"3"`` for a number.
    """
    return Source.model_validate_json(text, strict=True)


def _normalise(document: Document) -> None:
    """Dates of the source's time zone to UTC moments; what is no date or duration is reported, and replaced to report
    nothing twice."""
    values = document.values
    for key in ("start", "end"):
        if values.get(key) is not None:
            values[key] = _moment(document, key)
    places: list[tuple[Location, dict[str, Any]]] = [((), values)]
    places += [(("tables", i), table) for i, table in entries(values, "tables")]
    for place, mapping in places:
        normalize_durations(document, place, mapping, {"delay", "timeout", "lateness", "online_ttl"})


def normalize_durations(
    document: Document, place: Location, mapping: dict[str, Any], keys: Collection[str]
) -> None:
    """Reports what is no duration under ``keys`` of ``mapping``, and replaces it to report nothing twice."""
    for key in set(keys) & mapping.keys():
        mapping[key] = _duration(document, (*place, key), mapping[key])


def _moment(document: Document, key: str) -> str | None:
    text = (document.text((key,)) or "").strip()
    try:
        moment = as_utc(_parse_moment(text, _zone_of(document)))
        if _EARLIEST <= moment <= _LATEST:
            return iso(moment)
        remedy = "write a date from 1900-01-01 to 2200-01-01"
        if key == "end":
            remedy += ", or leave it out while the source is still running"
        document.report((key,), f"{key}: {text!r} is too far away", remedy)
        return _ANY_MOMENT if key == "start" else None
    except (ValueError, OverflowError):
        what = f"{key}: {text!r} is not a date or a UTC moment" if text else f"{key}: not a date"
        document.report((key,), what, "write it like 2026-01-01 or 2026-01-01T00:00:00Z")
        return _ANY_MOMENT if key == "start" else None


def _parse_moment(text: str, zone: tzinfo) -> datetime:
    if _DATE.fullmatch(text):
        return datetime.fromisoformat(text).replace(tzinfo=zone)
    if not _MOMENT.fullmatch(text):
        raise ValueError(text)
    return datetime.fromisoformat(text.upper())


def _zone_of(document: Document) -> tzinfo:
    """The source's time zone; UTC where it is none, which the model reports."""
    zone = document.values.get("timezone", "UTC")
    return find_zone(zone) if isinstance(zone, str) and is_zone(zone) else UTC


def _duration(document: Document, location: Location, value: Any) -> Any:
    if value in (None, 0) and not isinstance(value, bool):
        return None if value is None else "0"
    text = document.text(location)
    try:
        if not isinstance(value, str):
            raise ValueError(f"{text if text is not None else 'a list'!r} is not a duration")
        parse_duration(value)
        return value
    except (ValueError, OverflowError) as error:
        what = str(error).partition(";")[0] if isinstance(error, ValueError) else f"{text!r} is too long"
        document.report(
            location, f"{shown_location(location)}: {what}", "write it like 90s, 2h, 3d or 1d 12h"
        )
        return _ANY_DURATION

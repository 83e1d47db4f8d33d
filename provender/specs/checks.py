"""What a source spec must hold beyond its shape: names that exist, times on boundaries, URIs that differ.

Every check reads the plain document, so that it speaks even where another part of the spec is wrong, and says
nothing about what the shape check reports already (a value of the wrong type is passed over here).
"""

from __future__ import annotations

import re
from typing import Any
from zoneinfo import available_timezones

from provender.intervals import Cadence, Frequency, as_utc, is_zone, iso, parse_iso
from provender.specs.check_columns import check_columns
from provender.specs.check_tables import check_tables
from provender.specs.dialect import check_options
from provender.specs.document import Document
from provender.specs.plain import column_types, is_text, mapping, texts
from provender.specs.problems import Location, did_you_mean, shown_location
from provender.specs.raw_uri import complaints
from provender.specs.source import CREATED_TIMESTAMP, EVENT_TIMESTAMP, IDENTIFIER, ColumnType
from provender.specs.sql import is_one_query
from provender.specs.time_pattern import check_pattern

TIMESTAMP_FORMATS = ("iso", "epoch_s", "epoch_ms", "epoch_us")
_TYPES = frozenset(ColumnType)
_FREQUENCIES = frozenset(Frequency)
_TABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_$-]*(\.[A-Za-z_][A-Za-z0-9_$-]*){0,2}")
_QUERY = re.compile(r"\s*(select|with)\b", re.IGNORECASE)
_LONGEST_TAG = 100  # Airflow's limit


def check(document: Document) -> None:
    """Runs every check on ``document`` and adds what it finds to the document's problems."""
    for each in (check_name, check_people, _check_bounds_of_time, _check_raw, _check_times, check_columns):
        each(document)
    check_tables(document)


def check_name(document: Document) -> None:
    """The name is the file's."""
    name, stem = document.values.get("name"), document.path.stem
    if is_text(name) and name != stem:
        document.report(("name",), *_wrong_name(document, name, stem))
    if document.path.suffix != ".yaml":
        document.report((), f"specs end in .yaml, not {document.path.suffix}", f"rename it to {stem}.yaml")


def _wrong_name(document: Document, name: str, stem: str) -> tuple[str, str]:
    what = f"the name {name!r} is not the file's, {stem!r}"
    if not IDENTIFIER.fullmatch(name):
        return what, f"write name: {stem}"
    if (document.path.parent / f"{name}.yaml").is_file():
        return f"the name {name!r} is that of {name}.yaml", f"write name: {stem}"
    return what, f"rename the file to {name}.yaml"


def check_people(document: Document) -> None:
    """Owner and tags are one line each."""
    owner = document.values.get("owner")
    if isinstance(owner, str) and (not owner.strip() or not owner.isprintable()):
        document.report(
            ("owner",), "owner: empty, or with control characters in it", "name the team that answers"
        )
    for position, tag in texts(document.values, "tags"):
        if not tag.strip() or not tag.isprintable() or len(tag) > _LONGEST_TAG:
            location = ("tags", position)
            document.report(
                location, f"{shown_location(location)}: not a tag", "one line, 1 to 100 characters"
            )


def _check_bounds_of_time(document: Document) -> None:
    values = document.values
    cadence = _cadence(document)
    if cadence is None:
        return
    moments = {key: parse_iso(values[key]) for key in ("start", "end") if isinstance(values.get(key), str)}
    for key, moment in moments.items():
        floor = cadence.floor(moment)
        if floor != as_utc(moment):
            document.report(
                (key,),
                f"{key}: {iso(moment)} is not a boundary of {cadence.place} partitions",
                f"write {iso(floor)}",
            )
    if len(moments) == 2 and moments["end"] <= moments["start"]:
        document.report(("end",), "end: not after start", "end is exclusive: the end of the last partition")


def _cadence(document: Document) -> Cadence | None:
    """The cadence, where it is one, in its time zone."""
    frequency, zone = document.values.get("cadence"), document.values.get("timezone", "UTC")
    if not is_text(frequency) or frequency not in _FREQUENCIES or not is_text(zone) or not is_zone(zone):
        return None
    return Cadence(Frequency(frequency), zone)


def _check_raw(document: Document) -> None:
    raw = mapping(document.values, "raw")
    time_column = raw.get("time_column")
    if "sql" in raw:
        _check_sql(document, raw)
    elif "uri" in raw:
        _check_uri(document, raw)
    elif isinstance(document.values.get("raw"), dict):
        what = "raw: neither uri nor sql, so nothing says where the rows are"
        document.report(("raw",), what, "name the files (uri) or the database (sql)")
    if is_text(time_column):
        _check_time_column(document, ("raw", "time_column"), time_column)
    for option, what, remedy in check_options(raw):
        document.report(("raw", "options", option), what, remedy)


def _check_uri(document: Document, raw: dict[str, Any]) -> None:
    uri = raw["uri"]
    if not isinstance(uri, str):
        return
    for what, remedy in complaints(uri, _cadence(document)):
        document.report(("raw", "uri"), what, remedy)
    if "{" not in uri and "time_column" not in raw:
        what = "raw.uri: no placeholder, so nothing says which rows belong to a partition"
        document.report(("raw", "uri"), what, "put {partition} into it, or set raw.time_column")
    if "{" not in uri and raw.get("format") == "avro":
        what = "raw.uri: rows of Avro files cannot be selected by a time column"
        document.report(
            ("raw", "uri"), what, "deliver a file for each partition, and put {partition} into the uri"
        )
    if "{" in uri and raw.get("time_column") is not None:
        what = "raw.time_column: the uri's placeholder selects the rows already"
        document.report(("raw", "time_column"), what, "remove one of the two")


def _check_sql(document: Document, raw: dict[str, Any]) -> None:
    for key in ("uri", "format", "options"):
        if key in raw:
            what = f"raw.{key}: for files, and raw.sql names a database"
            document.report(("raw", key), what, "remove one of the two")
    if "time_column" not in raw:
        what = "raw.sql: nothing says which rows belong to a partition"
        document.report(("raw", "sql"), what, "set raw.time_column")
    sql = mapping(raw, "sql")
    if isinstance(raw["sql"], dict) and ("table" in sql) == ("query" in sql):
        what = "raw.sql: a table or a query, one of the two"
        document.report(("raw", "sql"), what, "write table: schema.name, or query: SELECT …")
    if isinstance(sql.get("table"), str) and not _TABLE.fullmatch(sql["table"]):
        what = f"raw.sql.table: {sql['table']!r} is not a table's name"
        document.report(("raw", "sql", "table"), what, "write name or schema.name")
    if isinstance(sql.get("query"), str) and not _QUERY.match(sql["query"]):
        what = "raw.sql.query: not a SELECT"
        document.report(("raw", "sql", "query"), what, "write one SELECT (WITH … before it is allowed)")
    elif isinstance(sql.get("query"), str) and not is_one_query(sql["query"]):
        what = "raw.sql.query: more than one query, or one that changes the database"
        document.report(
            ("raw", "sql", "query"), what, "write one SELECT, without ; and with its own parentheses"
        )


def _check_times(document: Document) -> None:
    columns = {}
    for key in (EVENT_TIMESTAMP, CREATED_TIMESTAMP):
        timestamp = mapping(document.values, key)
        if is_text(timestamp.get("column")):
            columns[key] = timestamp["column"]
            _check_time_column(document, (key, "column"), timestamp["column"], _raw_types(timestamp))
        if isinstance(timestamp.get("zone"), str):
            _check_zone(document, (key, "zone"), timestamp["zone"])
        if isinstance(timestamp.get("format"), str):
            _check_format(document, (key, "format"), timestamp["format"])
    if len(columns) == 2 and len(set(columns.values())) == 1:
        what = "created_timestamp.column: the same as the event timestamp's"
        document.report(
            (CREATED_TIMESTAMP, "column"), what, "remove created_timestamp, or name the other column"
        )


def _raw_types(timestamp: dict[str, Any]) -> tuple[str, ...]:
    """Types besides TIMESTAMP, which is what it is once read: what the raw value is, kept as it is."""
    is_epoch = str(timestamp.get("format")).startswith("epoch_")
    return (ColumnType.INT32, ColumnType.INT64, ColumnType.DOUBLE) if is_epoch else (ColumnType.STRING,)


def _check_time_column(
    document: Document, location: Location, name: str, raw_types: tuple[str, ...] = ()
) -> None:
    types = column_types(document)
    place = shown_location(location)
    if name not in types:
        document.report(location, f"{place}: {name!r} is not among the columns", did_you_mean(name, types))
    elif types[name] in _TYPES and types[name] not in (ColumnType.TIMESTAMP, *raw_types):
        what = f"{place}: the column {name!r} has type {types[name]}"
        document.report(location, what, "give it type TIMESTAMP: what it is once read by its format and zone")


def _check_zone(document: Document, location: Location, zone: str) -> None:
    if not is_zone(zone):
        remedy = did_you_mean(zone, available_timezones(), "write an IANA name like Europe/Berlin")
        document.report(location, f"{shown_location(location)}: no time zone {zone!r}", remedy)


def _check_format(document: Document, location: Location, pattern: str) -> None:
    if pattern in TIMESTAMP_FORMATS:
        return
    refusal = check_pattern(pattern)
    if refusal is None:
        return
    instead = f"write iso, epoch_s, epoch_ms, epoch_us or a Spark pattern ({refusal})"
    remedy = did_you_mean(pattern, TIMESTAMP_FORMATS, instead)
    document.report(location, f"{shown_location(location)}: {pattern!r} is not a format", remedy)

"""What feature tables must hold: keys and columns that exist, an SQL file that is there."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from provender.specs.check_columns import RESERVED, check_names
from provender.specs.document import Document
from provender.specs.plain import column_types, entries, is_text, mapping, texts
from provender.specs.problems import Location, did_you_mean, shown_location
from provender.specs.source import CREATED_TIMESTAMP, EVENT_TIMESTAMP, ColumnType

KEY_TYPES = (ColumnType.INT32, ColumnType.INT64, ColumnType.STRING)
_SQL_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\.sql")
_TYPES = frozenset(ColumnType)


def check_tables(document: Document) -> None:
    listed = list(entries(document.values, "tables"))
    check_names(document, ("tables",), listed, allowed=set(RESERVED))
    for position, table in listed:
        place: Location = ("tables", position)
        checks: list[Callable[[Document, Location, dict[str, Any]], None]] = [_check_keys, _check_online_ttl]
        checks += [_check_sql, _check_features] if table.get("sql") is not None else [_check_chosen]
        for each in checks:
            each(document, place, table)


def _check_keys(document: Document, place: Location, table: dict[str, Any]) -> None:
    types = column_types(document)
    types |= {f["name"]: str(f.get("type")) for _, f in entries(table, "features") if is_text(f.get("name"))}
    seen: set[str] = set()
    for position, key in texts(table, "keys"):
        location = (*place, "keys", position)
        shown = shown_location(location)
        if key not in types:
            derived = table.get("sql") is not None
            remedy = "give it a name and a type under this table's 'features'" if derived else None
            remedy = did_you_mean(key, types, remedy)
            document.report(location, f"{shown}: the entity key {key!r} is no column", remedy)
        elif types[key] in _TYPES and types[key] not in KEY_TYPES:
            what = f"{shown}: the entity key {key!r} has type {types[key]}"
            document.report(location, what, f"entity keys are {', '.join(KEY_TYPES)}")
        if key in seen:
            document.report(location, f"{shown}: {key!r} is there already", "remove one of them")
        seen.add(key)


def _check_online_ttl(document: Document, place: Location, table: dict[str, Any]) -> None:
    if table.get("online_ttl") in ("0", 0):
        what = f"{shown_location((*place, 'online_ttl'))}: nothing would live online"
        document.report((*place, "online_ttl"), what, "leave it out for no limit, or write a time like 30d")


def _check_chosen(document: Document, place: Location, table: dict[str, Any]) -> None:
    types = column_types(document)
    for position, name in texts(table, "columns"):
        if name not in types:
            location = (*place, "columns", position)
            what = f"{shown_location(location)}: {name!r} is no raw column"
            document.report(location, what, did_you_mean(name, types))
    times = {str(mapping(document.values, key).get("column")) for key in (EVENT_TIMESTAMP, CREATED_TIMESTAMP)}
    chosen = {name for _, name in texts(table, "columns")} if "columns" in table else set(types)
    if types and table.get("keys") and not chosen - {key for _, key in texts(table, "keys")} - times:
        what = f"{shown_location(place)}: no column is left to be a feature"
        document.report(place, what, "list a column that is neither key nor timestamp")


def _check_features(document: Document, place: Location, table: dict[str, Any]) -> None:
    listed = list(entries(table, "features"))
    check_names(document, (*place, "features"), listed, allowed=set())
    raw = column_types(document)
    keys = {key for _, key in texts(table, "keys")}
    for position, feature in listed:
        if is_text(feature.get("name")) and feature["name"] in keys & set(raw):
            location = (*place, "features", position, "name")
            what = (
                f"{shown_location(location)}: the key {feature['name']!r} is a raw column with a type already"
            )
            document.report(location, what, "remove it from 'features'")
    names = {str(feature.get("name")) for _, feature in listed}
    if listed and names <= keys:
        document.report((*place, "features"), f"{shown_location(place)}: nothing but keys", "add a feature")


def _check_sql(document: Document, place: Location, table: dict[str, Any]) -> None:
    name, location = table["sql"], (*place, "sql")
    if not isinstance(name, str):
        return
    shown = shown_location(location)
    if not _SQL_FILE.fullmatch(name):
        what = f"{shown}: {name[:80]!r} is not the plain name of a .sql file"
        document.report(location, what, f"put the file beside the spec: {document.path.stem}.sql")
        return
    path = document.path.parent / name
    if not path.is_file():
        others = [each.name for each in document.path.parent.glob("*.sql")]
        remedy = did_you_mean(name, others, f"write the query in {name} beside the spec")
        document.report(location, f"{shown}: there is no file {name} beside the spec", remedy)
        return
    try:
        if not path.read_text(encoding="utf-8-sig").strip():
            document.report(location, f"{shown}: {name} is empty", "write one SELECT there")
    except (OSError, UnicodeDecodeError) as error:
        document.report(location, f"{shown}: {name} cannot be read: {error}", "make it readable UTF-8 text")

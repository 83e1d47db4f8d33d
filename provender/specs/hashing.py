"""The spec hash, in two halves: what changes values, and what does not.

*Data half*: columns and their contract, timestamps, keys, SQL, how raw files are read, cadence, lateness. A
change makes the source's partitions **stale**: they have to be computed again. *Descriptive half*:
everything else (descriptions, owner, tags, where the files are, first and last partition, waiting times,
what a redelivery may take back, online time to live).

A hash is the SHA-256 (hex) of canonical JSON: keys sorted, no spaces, durations in microseconds, values
that equal the model's defaults left out, so that a new key in the model changes no hash of a spec that does
not use it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel

from provender.intervals import iso
from provender.specs.source import FeatureTable, Source

_DESCRIPTIVE = {"description", "owner", "tags", "start", "end", "timeout"}
_DESCRIPTIVE_RAW = {"uri", "sql", "settle", "max_unpacked_bytes"}
_DESCRIPTIVE_VIOLATIONS = {"max_withdrawn_share"}
_DESCRIPTIVE_TABLE = {"description", "online_ttl"}


def data_hash(source: Source, sql_texts: Mapping[str, str]) -> str:
    """Hash of the data half of the whole source. ``sql_texts``: table name to SQL, for its derived tables."""
    document = _source_data(source)
    document["tables"] = {t.name: _table_data(t, sql_texts.get(t.name)) for t in source.tables}
    return _sha256(document)


def table_hash(source: Source, table: FeatureTable, sql: str | None) -> str:
    """Hash of the data half that ``table`` alone depends on: another table's change leaves it as it is."""
    document = _source_data(source)
    document["tables"] = {table.name: _table_data(table, sql)}
    return _sha256(document)


def descriptive_hash(source: Source) -> str:
    """Hash of the descriptive half."""
    dumped = _plain(source.model_dump(exclude_defaults=True))
    tables = {t.name: _descriptive_table(t) for t in source.tables}
    columns = {column["name"]: column.get("description", "") for column in dumped["columns"]}
    document = {key: value for key, value in dumped.items() if key in _DESCRIPTIVE | _delay_half(source)}
    where = {"sql": source.raw.sql.model_dump()} if source.raw.sql else {"uri": source.raw.uri}
    guards = _given(source.raw, "settle") | _given(source.violations, "max_withdrawn_share")
    return _sha256(document | where | guards | {"columns": columns, "tables": tables})


def _given(part: BaseModel, name: str) -> dict[str, Any]:
    """The key ``name`` of ``part`` where the spec has it: one that does not keeps its hash."""
    return part.model_dump(include={name}, exclude_defaults=True)


def _delay_half(source: Source) -> set[str]:
    """A source without a created column takes created timestamps from the delay; only then is it data."""
    return {"delay"} if source.created_timestamp is not None else set()


def _source_data(source: Source) -> dict[str, Any]:
    left_out = _DESCRIPTIVE | {"tables"} | _delay_half(source)
    document = {k: v for k, v in source.model_dump(exclude_defaults=True).items() if k not in left_out}
    document["raw"] = {k: v for k, v in document["raw"].items() if k not in _DESCRIPTIVE_RAW}
    if source.raw.sql is not None and source.raw.sql.query is not None:
        document["raw"]["query"] = source.raw.sql.query  # which database it is put to does not matter
    if "violations" in document:
        kept = {k: v for k, v in document["violations"].items() if k not in _DESCRIPTIVE_VIOLATIONS}
        document.pop("violations")
        document |= {"violations": kept} if kept else {}
    document["columns"] = [_without_description(column) for column in document["columns"]]
    return document


def _table_data(table: FeatureTable, sql: str | None) -> dict[str, Any]:
    document = table.model_dump(exclude_defaults=True, exclude=_DESCRIPTIVE_TABLE)
    document["features"] = [_without_description(feature) for feature in document.get("features", ())]
    if table.sql is not None:
        document["sql"] = "\n".join((sql or "").strip().splitlines())  # the text counts, not the file's name
    return document


def _descriptive_table(table: FeatureTable) -> dict[str, Any]:
    described = table.model_dump(exclude_defaults=True, include=_DESCRIPTIVE_TABLE)
    return described | {"features": {feature.name: feature.description for feature in table.features}}


def _without_description(column: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in column.items() if key != "description"}


def _sha256(document: Any) -> str:
    text = json.dumps(_plain(document), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _plain(value: Any) -> Any:
    """Only dictionaries, lists, text, numbers, booleans and None."""
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, timedelta):
        return value // timedelta(microseconds=1)
    if isinstance(value, datetime):
        return iso(value)
    return str(value) if isinstance(value, str) else value

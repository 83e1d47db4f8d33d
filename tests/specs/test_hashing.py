"""The literal hashes are pinned: whoever changes them makes every partition of every user stale."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from provender.specs.hashing import data_hash, descriptive_hash, table_hash
from provender.specs.loader import load_source
from provender.specs.source import Source
from tests.specs.conftest import SQL

Write = Callable[..., Path]
SQLS = {"per_city": SQL}

PINNED_DATA = "6b68d7c9d627b4e0b2824078286f6362472378ef3b923fcb03f22e1948e96b9f"
PINNED_DESCRIPTIVE = "8efd450695366ab68b9f9f4a95381b0a1842691b43b700d458f2a1cdffdf1596"
PINNED_TABLES = {
    "rows": "7d3ebfc0ec46ac00fb35dd29aaef38e98dfbd71f045298358140f04d782cc71d",
    "per_city": "2a23f7c5f8665aca00d46e147b44089ec95ebc4f57667cfb8370d61501e8661c",
}


def _hashes(source: Source, sql: str = SQL) -> tuple[str, str]:
    return data_hash(source, {"per_city": sql}), descriptive_hash(source)


def test_the_hashes_of_a_known_spec_stay_what_they_are(write: Write) -> None:
    source = load_source(write())
    assert data_hash(source, SQLS) == PINNED_DATA
    assert descriptive_hash(source) == PINNED_DESCRIPTIVE
    assert {t.name: table_hash(source, t, SQLS.get(t.name)) for t in source.tables} == PINNED_TABLES


DATA_CHANGES = [
    ("fare, type: DOUBLE", "fare, type: FLOAT"),
    ("max: 1000", "max: 999"),
    ("allowed: [NYC, BOS]", "allowed: [NYC]"),
    ("lateness: 2d", "lateness: 3d"),
    ("{column: at}", "{column: at, zone: Europe/Berlin}"),
    ("format: epoch_ms", "format: epoch_s"),
    ("nullValue: NA", "nullValue: ''"),
    ("keys: [driver]", "keys: [city]"),
    ("keys: [driver]", "keys: [driver]\n    columns: [fare]"),
    ("{name: trips, type: INT64}", "{name: trips, type: INT32}"),
    ("lateness", "violations: {max_share: 0.1}\nlateness"),
    ("cadence: daily", "cadence: hourly"),
]


@pytest.mark.parametrize("change", DATA_CHANGES)
def test_what_changes_values_changes_the_data_half_alone(write: Write, change: tuple[str, str]) -> None:
    data, descriptive = _hashes(load_source(write()))
    changed_data, changed_descriptive = _hashes(load_source(write(*change)))
    assert changed_data != data
    assert changed_descriptive == descriptive


DESCRIPTIVE_CHANGES = [
    ("Trips of a day.", "Trips."),
    ("owner: travel", "owner: other"),
    ("tags: [demo]", "tags: [live]"),
    ("start: 2026-01-01", "start: 2025-01-01"),
    ("lateness", "end: 2027-01-01\nlateness"),
    ("lateness", "delay: 2h\nlateness"),
    ("lateness", "timeout: 2h\nlateness"),
    ("lateness", "violations: {max_withdrawn_share: 0.1}\nlateness"),
    ("{nullValue: NA}", "{nullValue: NA}\n  settle: 5s"),
    ("../raw/trips/", "gs://elsewhere/"),
    ("{name: city, type", "{name: city, description: where, type"),
    ("{name: trips, type", "{name: trips, description: how many, type"),
    ("keys: [driver]", "keys: [driver]\n    online_ttl: 3d"),
]


@pytest.mark.parametrize("change", DESCRIPTIVE_CHANGES)
def test_what_changes_no_value_changes_the_descriptive_half_alone(
    write: Write, change: tuple[str, str]
) -> None:
    data, descriptive = _hashes(load_source(write()))
    changed_data, changed_descriptive = _hashes(load_source(write(*change)))
    assert changed_data == data
    assert changed_descriptive != descriptive


def test_the_delay_is_data_where_created_timestamps_come_from_it(write: Write) -> None:
    without_created = ("created_timestamp: {column: made, format: epoch_ms}\n", "")
    data, descriptive = _hashes(load_source(write(*without_created)))
    delayed = _hashes(load_source(write(*without_created, "lateness", "delay: 2h\nlateness")))
    assert delayed[0] != data
    assert delayed[1] == descriptive


def test_writing_a_default_out_changes_nothing(write: Write) -> None:
    plain = _hashes(load_source(write()))
    written_out = write(
        "{column: at}", "{column: at, format: iso, zone: UTC}", "lateness", "delay: 0\nlateness"
    )
    assert _hashes(load_source(written_out)) == plain


def test_the_sql_counts_and_its_line_ends_do_not(write: Write) -> None:
    source = load_source(write())
    assert _hashes(source, SQL.replace("count(*)", "count(fare)")) != _hashes(source)
    assert _hashes(source, SQL.replace("\n", "\r\n") + "\n") == _hashes(source)


def test_a_tables_hash_does_not_depend_on_another_table(write: Write) -> None:
    source = load_source(write())
    changed = load_source(write("keys: [driver]", "keys: [driver]\n    columns: [fare]"))
    assert table_hash(source, source.table("per_city"), SQL) == table_hash(
        changed, changed.table("per_city"), SQL
    )
    assert table_hash(source, source.table("rows"), None) != table_hash(changed, changed.table("rows"), None)

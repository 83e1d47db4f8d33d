from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from provender.specs.hashing import data_hash, descriptive_hash
from provender.specs.loader import load_source

Write = Callable[..., Path]
Problems = Callable[..., list[str]]
RAW = "raw:\n  uri: ../raw/trips/{partition}.csv\n  options: {nullValue: NA}"


def sql_raw(inside: str, more: str = "\n  time_column: at") -> tuple[str, str]:
    return RAW, f"raw:\n  sql: {{{inside}}}{more}"


def test_a_source_may_be_a_table_or_a_query(write: Write) -> None:
    table = load_source(write(*sql_raw("connection: shop, table: public.trips"))).raw
    assert table.sql is not None and table.sql.table == "public.trips"
    assert not table.is_partitioned
    query = load_source(write(*sql_raw("connection: shop, query: SELECT * FROM trips WHERE ok"))).raw
    assert query.sql is not None and query.sql.query == "SELECT * FROM trips WHERE ok"


def test_a_changed_query_is_data_and_where_it_is_put_to_is_not(write: Write) -> None:
    def hashes(inside: str) -> tuple[str, str]:
        source = load_source(write(*sql_raw(inside)))
        return data_hash(source, {}), descriptive_hash(source)

    first = hashes("connection: shop, query: SELECT 1")
    moved = hashes("connection: other, query: SELECT 1")
    changed = hashes("connection: shop, query: SELECT 2")
    assert first[0] == moved[0] != changed[0]
    assert first[1] != moved[1]
    assert hashes("connection: shop, table: a")[0] == hashes("connection: shop, table: b")[0]


@pytest.mark.parametrize(
    ("inside", "more", "problem"),
    [
        (
            "connection: shop, table: t",
            "",
            "trips.yaml:8: raw.sql: nothing says which rows belong to a partition",
        ),
        (
            "connection: shop",
            "\n  time_column: at",
            "trips.yaml:8: raw.sql: a table or a query, one of the two",
        ),
        (
            "connection: shop, table: t, query: SELECT 1",
            "\n  time_column: at",
            "trips.yaml:8: raw.sql: a table or a query, one of the two",
        ),
        (
            "connection: shop, table: t; DROP TABLE x",
            "\n  time_column: at",
            "trips.yaml:8: raw.sql.table: 't; DROP TABLE x' is not a table's name",
        ),
        (
            "connection: shop, query: DELETE FROM t",
            "\n  time_column: at",
            "trips.yaml:8: raw.sql.query: not a SELECT",
        ),
        (
            "connection: shop, query: 'SELECT 1; DROP TABLE t'",
            "\n  time_column: at",
            "trips.yaml:8: raw.sql.query: more than one query, or one that changes the database",
        ),
        (
            "connection: shop, query: 'SELECT 1) x UNION SELECT * FROM (SELECT 2'",
            "\n  time_column: at",
            "trips.yaml:8: raw.sql.query: more than one query",
        ),
        (
            "connection: shop, query: 'WITH x AS (DELETE FROM t RETURNING *) SELECT * FROM x'",
            "\n  time_column: at",
            "trips.yaml:8: raw.sql.query: more than one query, or one that changes the database",
        ),
        (
            "connection: shop, table: t",
            "\n  time_column: at\n  format: csv",
            "trips.yaml:10: raw.format: for files, and raw.sql names a database",
        ),
    ],
)
def test_a_wrong_sql_source_is_told(problems: Problems, inside: str, more: str, problem: str) -> None:
    assert any(each.startswith(problem) for each in problems(*sql_raw(inside, more)))


def test_raw_rows_have_to_be_somewhere(problems: Problems) -> None:
    found = problems(RAW, "raw: {format: json}")
    assert any("raw: neither uri nor sql" in each for each in found)

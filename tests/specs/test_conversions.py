"""What the SQL of a derived table may give for a declared type: the whole table, as docs/sources.md shows it."""

from __future__ import annotations

from pathlib import Path

import pytest

from provender.specs.conversions import Conversion, conversion
from provender.specs.source import ColumnType

DOCS = Path(__file__).parents[2] / "docs" / "sources.md"
E, R, C, N = Conversion.EXACT, Conversion.ROUNDED, Conversion.CHECKED, Conversion.REFUSED

DECLARED = (
    ColumnType.INT32,
    ColumnType.INT64,
    ColumnType.FLOAT,
    ColumnType.DOUBLE,
    ColumnType.STRING,
    ColumnType.BOOL,
    ColumnType.BYTES,
    ColumnType.TIMESTAMP,
)
TABLE = {
    "tinyint": (E, E, E, E, E, N, N, N),
    "smallint": (E, E, E, E, E, N, N, N),
    "int": (E, E, C, E, E, N, N, N),
    "bigint": (C, E, C, C, E, N, N, N),
    "float": (C, C, E, E, E, N, N, N),
    "double": (C, C, C, E, E, N, N, N),
    "decimal(6,0)": (C, C, E, E, E, N, N, N),
    "decimal(15,0)": (C, C, C, E, E, N, N, N),
    "decimal(38,0)": (C, C, C, C, E, N, N, N),
    "decimal(6,5)": (C, C, R, R, E, N, N, N),
    "decimal(38,37)": (C, C, R, R, E, N, N, N),
    "string": (N, N, N, N, E, N, N, N),
    "string collate UTF8_LCASE": (N, N, N, N, E, N, N, N),
    "boolean": (N, N, N, N, E, E, N, N),
    "binary": (N, N, N, N, N, N, E, N),
    "date": (N, N, N, N, E, N, N, E),
    "timestamp": (N, N, N, N, E, N, N, E),
    "timestamp_ntz": (N, N, N, N, E, N, N, E),
    "time(6)": (N, N, N, N, N, N, N, N),
    "interval day to second": (N, N, N, N, N, N, N, N),
    "interval year to month": (N, N, N, N, N, N, N, N),
    "array<int>": (N, N, N, N, N, N, N, N),
    "map<string,int>": (N, N, N, N, N, N, N, N),
    "struct<a:int>": (N, N, N, N, N, N, N, N),
    "variant": (N, N, N, N, N, N, N, N),
    "void": (E, E, E, E, E, E, E, E),
}


def test_the_table_covers_every_declared_type() -> None:
    assert set(DECLARED) == set(ColumnType)
    assert all(len(row) == len(DECLARED) for row in TABLE.values())


@pytest.mark.parametrize("given", TABLE)
def test_each_type_of_spark_becomes_what_the_table_says(given: str) -> None:
    found = {declared: conversion(given, declared) for declared in DECLARED}
    assert found == dict(zip(DECLARED, TABLE[given], strict=True))


def test_the_docs_show_the_same_table() -> None:
    """A row of the docs: | `INT32`, … (what the SQL gives) | one cell for each declared type |."""
    lines = [line for line in DOCS.read_text().splitlines() if line.startswith("| gives `")]
    shown = {}
    for line in lines:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        for given in cells[0].removeprefix("gives ").replace("`", "").split(", "):
            shown[given.lower()] = tuple(cells[1:])
    words = {E: "yes", R: "rounded", C: "checked", N: "–"}
    assert shown
    for given, cells in shown.items():
        assert cells == tuple(words[each] for each in TABLE[given]), given

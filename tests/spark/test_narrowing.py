"""Values of derived tables in their declared types: none is changed on its way."""

from __future__ import annotations

import math
from typing import Any

import pytest

from provender.errors import SqlError
from provender.ledger import Job
from provender.specs.conversions import Conversion, conversion
from provender.specs.source import ColumnType
from tests.engine import Project
from tests.spark.readings import csv, day, deliver, key_of, log_of, spec
from tests.specs.test_conversions import TABLE

pytestmark = pytest.mark.spark

INT32, INT64, FLOAT, DOUBLE = ColumnType.INT32, ColumnType.INT64, ColumnType.FLOAT, ColumnType.DOUBLE
INFINITY, LOST = math.inf, None
VALUES: dict[tuple[str, ColumnType], list[tuple[str, Any]]] = {
    ("bigint", INT32): [("2147483647", 2147483647), ("2147483648", LOST), ("-2147483649", LOST)],
    ("int", FLOAT): [("16777216", 16777216.0), ("16777217", LOST), ("-16777217", LOST)],
    ("bigint", FLOAT): [("-16777216", -16777216.0), ("9223372036854775807", LOST)],
    ("bigint", DOUBLE): [
        ("9007199254740992", 9007199254740992.0),
        ("9007199254740993", LOST),
        ("1152921504606846976", float(1 << 60)),
        ("9223372036854775807", LOST),
    ],
    ("float", INT32): [("2.0", 2), ("2.5", LOST), ("'NaN'", LOST), ("'Infinity'", LOST), ("3e9", LOST)],
    ("float", INT64): [("-2.0", -2), ("0.5", LOST), ("'-Infinity'", LOST), ("9.3e18", LOST)],
    ("double", INT32): [("2.0", 2), ("2.95", LOST), ("2147483648", LOST), ("'NaN'", LOST)],
    ("double", INT64): [
        ("-0.0", 0),
        ("2.95", LOST),
        ("9223372036854775808", LOST),
        ("-9223372036854775808", -(1 << 63)),
        ("1e300", LOST),
        ("'NaN'", LOST),
        ("'Infinity'", LOST),
    ],
    ("double", FLOAT): [
        ("0.5", 0.5),
        ("1e38", pytest.approx(1e38)),
        ("1e39", LOST),
        ("-1e39", LOST),
        ("'Infinity'", INFINITY),
    ],
    ("decimal(6,0)", INT32): [("7", 7)],
    ("decimal(6,0)", INT64): [("-7", -7)],
    ("decimal(15,0)", INT32): [("2147483648", LOST)],
    ("decimal(15,0)", INT64): [("2147483648", 2147483648)],
    ("decimal(15,0)", FLOAT): [("16777217", LOST), ("16777218", 16777218.0)],
    ("decimal(38,0)", INT32): [("12345678901234567890", LOST)],
    ("decimal(38,0)", INT64): [("12345678901234567890", LOST), ("9223372036854775807", (1 << 63) - 1)],
    ("decimal(38,0)", FLOAT): [("1e20", LOST), ("3", 3.0)],
    ("decimal(38,0)", DOUBLE): [("9007199254740993", LOST), ("9007199254740992", 9007199254740992.0)],
    ("decimal(6,5)", INT32): [("2.00000", 2), ("2.95", LOST)],
    ("decimal(6,5)", INT64): [("-2.00000", -2), ("0.00001", LOST)],
    ("decimal(38,37)", INT32): [("2", 2), ("2.0000000000000000000000000000000000001", LOST)],
    ("decimal(38,37)", INT64): [("-2", -2), ("9.5", LOST)],
}
"""Per conversion that is checked, values (as Spark SQL) and what becomes of them."""


def test_every_checked_conversion_keeps_what_fits_and_notices_what_does_not(spark: Any) -> None:
    from provender.ingestion.narrowing import Declared

    checked = {(g, d) for g in TABLE for d in ColumnType if conversion(g, d) is Conversion.CHECKED}
    assert set(VALUES) == checked, "each has examples"
    cases = [(given, kind, *case) for (given, kind), several in VALUES.items() for case in several]
    columns = [Declared(f"x{i}", kind, given) for i, (given, kind, _, _) in enumerate(cases)]
    texts = [f"CAST({text} AS {given}) AS x{i}" for i, (given, _, text, _) in enumerate(cases)]
    fit = [value is not LOST for *_, value in cases]
    row = spark.sql(f"SELECT {', '.join(texts)}").select(
        *[column.converted([]) for column, fits in zip(columns, fit, strict=True) if fits],
        *[column.told_if_lost().alias(f"lost_{column.name}") for column in columns],
    )
    found = row.collect()[0]
    for (given, kind, text, value), column, fits in zip(cases, columns, fit, strict=True):
        assert (found[f"lost_{column.name}"] is None) is fits, (given, kind, text)
        if fits:
            assert found[column.name] == value, (given, kind, text)


def test_a_conversion_without_a_check_never_fails_and_nulls_stay_null(spark: Any) -> None:
    from provender.ingestion.narrowing import Declared

    text = {
        "string": "'x'",
        "boolean": "true",
        "binary": "X'00'",
        "date": "DATE '2026-11-20'",
        "timestamp": "TIMESTAMP '2026-11-20 10:00:00Z'",
        "timestamp_ntz": "TIMESTAMP_NTZ '2026-11-20 10:00:00'",
        "void": "NULL",
    }
    pairs = [
        (given, declared)
        for given in TABLE
        for declared in ColumnType
        if conversion(given, declared) is not Conversion.REFUSED and "collate" not in given
    ]
    results = [f"CAST({text.get(given, '2')} AS {given}) AS v{i}" for i, (given, _) in enumerate(pairs)]
    nulls = [f"CAST(NULL AS {given}) AS n{i}" for i, (given, _) in enumerate(pairs)]
    frame = spark.sql(f"SELECT {', '.join(results + nulls)}")
    row = frame.select(
        *[Declared(f"v{i}", declared, given).converted([]) for i, (given, declared) in enumerate(pairs)],
        *[Declared(f"n{i}", declared, given).converted([]) for i, (given, declared) in enumerate(pairs)],
    ).collect()[0]
    assert [pairs[i] for i in range(len(pairs)) if row[f"v{i}"] is None and pairs[i][0] != "void"] == []
    assert [pairs[i] for i in range(len(pairs)) if row[f"n{i}"] is not None] == []
    assert dict(frame.dtypes)["v0"] == pairs[0][0], "types are named as the table names them"


def typed(name: str, kind: str) -> dict[str, Any]:
    """A source whose derived table has one feature of that type."""
    tables = spec()["tables"]
    tables[1] = tables[1] | {"features": [{"name": name, "type": kind}]}
    return {"tables": tables}


def refused(project: Project, name: str, kind: str, expression: str, number: int) -> str:
    """The message of an ingest of day 1 with one feature of that type; nothing may be written."""
    sql = f"SELECT key, {expression} AS {name} FROM readings GROUP BY key"
    project.write_source(spec(**typed(name, kind)), daily=sql)
    with pytest.raises(SqlError) as caught:
        project.run("readings", key_of(1), attempt=f"{name} {number}")
    assert not project.ledger("readings").manifests(Job.INGEST)
    assert not project.storage.names("raw/readings/_delta_log") or not raw_rows(project)
    assert "daily.sql" in str(caught.value)
    return str(caught.value)


def raw_rows(project: Project) -> list[Any]:
    import deltalake

    return list(deltalake.DeltaTable(project.storage.uri("raw/readings")).to_pyarrow_table().to_pylist())


def test_a_value_that_does_not_fit_fails_the_ingest_naming_feature_value_and_keys(project: Project) -> None:
    rows = [("a", day(1), 2), ("a", day(1), 3), ("b", day(1), 5), ("b", day(1), 6), ("c", day(1), 4)]
    project.drop("readings", key_of(1), csv(rows))
    message = refused(project, "mean", "INT64", "avg(value)", 1)
    assert "readings.daily: 2 row(s)" in message
    assert 'mean: 2.5 is no INT64 value, for {"key":"a"} in period 2026-01-01' in message
    assert 'mean: 5.5 is no INT64 value, for {"key":"b"}' in message
    message = refused(project, "share", "BOOL", "avg(value) / 10", 2)
    assert "share is declared BOOL, and the SQL gives DOUBLE" in message
    # Whole means fit.
    sql = "SELECT key, avg(value) AS mean FROM readings GROUP BY key HAVING key = 'c'"
    project.write_source(spec(**typed("mean", "INT64")), daily=sql)
    project.run("readings", key_of(1), attempt="whole")
    assert [(row["key"], row["mean"]) for row in log_of(project, "daily")] == [("c", 4)]


def test_null_keys_and_periods_before_the_start_are_counted_and_not_stored(project: Project) -> None:
    sql = "SELECT nullif(key, 'b') AS key, count(*) AS total, 1 AS readings FROM readings GROUP BY 1"
    project.write_source(spec(start=day(2).date()), daily=sql)
    deliver(project, 2, [("a", day(2), 1), ("b", day(2), 2), ("a", day(1), 7)])
    manifest = project.ledger("readings").last(Job.INGEST)
    assert manifest is not None
    entry = manifest.partitions[key_of(2)]
    assert (entry.accepted, entry.before_start) == (3, 1)
    assert entry.features["daily"] == {
        "new": 1,
        "corrected": 0,
        "withdrawn": 0,
        "unchanged": 0,
        "null_keys": 1,
    }
    assert entry.features["latest"]["new"] == 2
    assert (manifest.counts["null_keys"], manifest.counts["before_start"]) == (1, 1)
    assert any("1 group(s) with a null key" in note for note in manifest.notes)
    assert any("before 2026-01-02, where readings starts" in note for note in manifest.notes)
    assert {row["period"].day for table in ("latest", "daily") for row in log_of(project, table)} == {2}
    # A late row: two slices, in one of which SQL written for one at a time finds another null key.
    deliver(project, 3, [("c", day(2), 1), ("b", day(3), 2)])
    entry = project.ledger("readings").last(Job.INGEST).partitions[key_of(3)]  # type: ignore[union-attr]
    assert entry.features["daily"] == {
        "new": 1,
        "corrected": 0,
        "withdrawn": 0,
        "unchanged": 1,
        "null_keys": 2,
    }
    assert all(row["key"] is not None for row in log_of(project, "daily"))
    # With an earlier start the period is computed from all its rows, those that came late included.
    project.write_source(spec(start=day(1).date()), daily=sql)
    deliver(project, 1, [("a", day(1), 3)])
    first = [row["total"] for row in log_of(project, "daily") if row["period"].day == 1]
    assert max(first) == 2

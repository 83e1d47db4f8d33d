"""Derived tables: what the SQL may give, and what becomes of it when the spec changes."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from provender.errors import ProvenderError, SchemaChangeError, SqlError
from provender.ledger import Draft, Job, Kind
from tests.engine import Project
from tests.spark.knowledge import Delivery, assert_log_knows, daily_sum
from tests.spark.readings import SUM_SQL, csv, day, deliver, key_of, log_of, make_readings, spec, state

pytestmark = pytest.mark.spark


def with_sql(project: Project, sql: str, **changes: Any) -> None:
    project.write_source(spec(**changes), daily=sql)


def refused(project: Project, kind: type[ProvenderError], attempt: str) -> str:
    """The message of an ingest of day 2 that must be refused and leave no trace."""
    before = {table: log_of(project, table) for table in ("latest", "daily")}
    committed = len(project.ledger("readings").manifests(Job.INGEST))
    with pytest.raises(kind) as caught:
        project.run("readings", key_of(2), attempt=attempt)
    assert {table: log_of(project, table) for table in ("latest", "daily")} == before
    assert len(project.ledger("readings").manifests(Job.INGEST)) == committed
    assert "Traceback" not in str(caught.value) and "\tat " not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def seeded(project: Project) -> Project:
    """Day 1 is ingested; the file of day 2 is there, with two rows of one key."""
    make_readings(project)
    deliver(project, 1, [("a", day(1), 1), ("a", day(1) + timedelta(hours=1), 2), ("b", day(1), 3)])
    project.drop("readings", key_of(2), csv([("a", day(2), 1), ("a", day(2) + timedelta(hours=1), 0)]))
    return project


def test_sql_that_fails_names_its_file_and_leaves_no_trace(seeded: Project) -> None:
    cases = {
        "SELECT key, no_such AS total, 1 AS readings FROM readings": "no_such",
        "SELECT key, sum(value) AS total FROM readings GROUP BY key": "does not return column readings",
        "SELECT key, value AS total, 1 AS readings FROM readings": "more than one row per key",
        "SELECT key, sum(1 / value) AS total, 1 AS readings FROM readings GROUP BY key": "zero",
        "SELECT key, sum(1) AS total, max(CAST(key AS INT)) AS readings FROM readings GROUP BY key": "'a'",
        "SELECT key, sum(value) AS total, 1 AS readings FROM elsewhere GROUP BY key": "elsewhere",
    }
    for at, (sql, words) in enumerate(cases.items()):
        with_sql(seeded, sql)
        message = refused(seeded, SqlError, f"case {at}")
        assert words in message, (sql, message)
        assert "daily.sql" in message, (sql, message)
    # The next partition is not held up by any of them.
    with_sql(seeded, SUM_SQL)
    assert seeded.run("readings", key_of(2), attempt="fixed").counts["new"] == 3


def test_keys_that_only_the_sql_knows_and_null_keys(project: Project) -> None:
    tables = spec()["tables"]
    tables[1] = tables[1] | {
        "keys": ["bucket"],
        "features": [{"name": "bucket", "type": "INT64"}, {"name": "total", "type": "INT64"}],
    }
    sql = "SELECT nullif(value % 3, 2) AS bucket, count(*) AS total FROM readings GROUP BY 1"
    with_sql(project, sql, tables=tables)
    project.drop("readings", key_of(1), csv([("a", day(1), 3), ("b", day(1), 4), ("c", day(1), 5)]))
    project.run("readings", key_of(1))
    assert {(row["bucket"], row["total"]) for row in log_of(project, "daily")} == {(0, 1), (1, 1)}


def test_changed_sql_makes_partitions_ingest_again_and_a_new_feature_is_added(seeded: Project) -> None:
    before = log_of(seeded, "daily")
    unchanged = state(seeded, "latest")
    features = [*spec()["tables"][1]["features"], {"name": "most", "type": "INT64"}]
    tables = [spec()["tables"][0], spec()["tables"][1] | {"features": features}]
    sql = "SELECT key, sum(value) + 100 AS total, count(*) AS readings, max(value) AS most FROM readings GROUP BY key"
    with_sql(seeded, sql, tables=tables)
    manifest = seeded.run("readings", key_of(1), attempt="changed")
    assert manifest.partitions[key_of(1)].features["daily"]["corrected"] == 2
    assert state(seeded, "latest") == unchanged
    log = log_of(seeded, "daily")
    fresh = [row for row in log if row["recorded_timestamp"] > before[0]["recorded_timestamp"]]
    assert {(row["key"], row["total"], row["most"]) for row in fresh} == {("a", 103, 2), ("b", 103, 3)}
    times = ("key", "event_timestamp", "created_timestamp")
    assert {tuple(row[t] for t in times) for row in fresh} == {tuple(row[t] for t in times) for row in before}
    assert seeded.run("readings", key_of(1), attempt="again").kind is Kind.RECEIPT

    features[-1] = {"name": "most", "type": "STRING"}
    with_sql(seeded, sql, tables=[tables[0], tables[1] | {"features": features}])
    message = refused(seeded, SchemaChangeError, "other type")
    assert "most: bigint → string" in message


def test_sql_that_runs_slice_by_slice_says_the_same(project: Project) -> None:
    """DISTINCT and a LIMIT within cannot run on many slices at once; a comment and a semicolon end the text."""
    sql = (
        "WITH rows AS (SELECT DISTINCT key, value, at FROM readings ORDER BY key LIMIT 1000)\n"
        "SELECT key, sum(value) AS total, count(*) AS readings FROM rows GROUP BY key -- the end\n;"
    )
    with_sql(project, sql)
    files = {
        1: [("a", day(1), 1), ("b", day(1), 2)],
        2: [("a", day(2), 4), ("a", day(1) + timedelta(hours=5), 8)],
        4: [("b", day(2), 16), ("a", day(1) + timedelta(hours=6), 32)],
    }
    for number, rows in files.items():
        project.drop("readings", key_of(number), csv(rows))
    project.run("readings", *map(key_of, files))
    deliveries = [Delivery(day(n), day(n + 1) + timedelta(hours=1), tuple(rows)) for n, rows in files.items()]
    assert_log_knows(log_of(project, "daily"), deliveries, daily_sum, "total")


def test_a_row_that_late_rows_make_disappear_becomes_a_deleted_version(project: Project) -> None:
    with_sql(project, SUM_SQL + " HAVING sum(value) < 10")
    deliver(project, 1, [("a", day(1), 1), ("b", day(1), 1)])
    deliver(project, 3, [("a", day(1), 50)])
    versions = sorted(log_of(project, "daily"), key=lambda row: (row["key"], row["created_timestamp"]))
    assert [(row["key"], row["deleted"]) for row in versions] == [("a", False), ("a", True), ("b", False)]
    # A whole range at once says the same.
    other = project.folder / "storage"
    other.rename(Path(f"{other}.sequence"))
    project.run("readings", key_of(1), key_of(3), attempt="range")
    again = sorted(log_of(project, "daily"), key=lambda row: (row["key"], row["created_timestamp"]))
    names = ("key", "event_timestamp", "created_timestamp", "deleted", "total")
    assert [[row[n] for n in names] for row in again] == [[row[n] for n in names] for row in versions]


def test_created_timestamps_of_ones_own_never_go_back(project: Project) -> None:
    """A late row may say that it was created before the rows that were delivered in time."""
    columns = [*spec()["columns"], {"name": "made", "type": "TIMESTAMP"}]
    with_sql(project, SUM_SQL, columns=columns, created_timestamp={"column": "made"})
    header = "key,value,at,made\n"
    project.drop("readings", key_of(1), header + "a,1,2026-01-01T01:00:00Z,2026-01-01T10:00:00Z\n")
    project.drop("readings", key_of(2), header + "a,2,2026-01-01T02:00:00Z,2026-01-01T09:00:00Z\n")
    project.run("readings", key_of(1), key_of(2), attempt="range")
    for attempt in ("again", "and again"):
        sql = SUM_SQL + f" -- {attempt}"
        with_sql(project, sql, columns=columns, created_timestamp={"column": "made"})
        manifest = project.run("readings", key_of(1), key_of(2), attempt=attempt)
        assert manifest.counts["corrected"] == 0
    newest = max(
        log_of(project, "daily"), key=lambda row: (row["created_timestamp"], row["recorded_timestamp"])
    )
    assert (newest["total"], newest["created_timestamp"]) == (3, day(1) + timedelta(hours=10))


def test_admitted_rows_count_from_the_next_ingest_on(project: Project) -> None:
    make_readings(project)
    deliver(project, 1, [("a", day(1), 1)])
    project.drop(
        "readings", key_of(8), csv([("a", day(8), 5), ("a", day(1), 7), ("b", day(8), 2000)]) + ",1,\n"
    )
    manifest = project.run("readings", key_of(8))
    reasons = {"above_max:value": 1, "null:at": 1, "null:key": 1, "too_late": 1}
    assert manifest.partitions[key_of(8)].reasons == reasons

    admit(project, "too_late", "above_max:value", "null")
    admitted = project.run("readings", key_of(8), attempt="admitted")
    entry = admitted.partitions[key_of(8)]
    assert (entry.accepted, entry.quarantined) == (3, 1), "a row without a key or time has no place"
    assert set(entry.reasons) == {"null:at", "null:key"}
    totals = {(row["key"], row["event_timestamp"].day, row["total"]) for row in log_of(project, "daily")}
    assert totals == {("a", 2, 1), ("a", 9, 5), ("a", 2, 8), ("b", 9, 2000)}
    # A later correction of day 1 does not lose them.
    deliver(project, 1, [("a", day(1) + timedelta(hours=1), 2)])
    newest = max(
        (row for row in log_of(project, "daily") if row["event_timestamp"] == day(2)),
        key=lambda row: (row["created_timestamp"], row["recorded_timestamp"]),
    )
    assert newest["total"] == 9


def admit(project: Project, *reasons: str) -> None:
    """What ``provender quarantine admit`` commits for day 8."""
    draft = Draft(Job.ADMIT, "admit", Kind.MANIFEST, {key_of(8): {"reasons": [*reasons]}}, started=day(9))
    project.ledger("readings").commit(draft)

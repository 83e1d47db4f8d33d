"""Raw rows from a SQL database: a real Postgres, and SQLite where the database does not matter."""

from __future__ import annotations

import sqlite3
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from provender.errors import ContractError, SettingsError, SetupError, SourceNotReadyError
from provender.intervals import Partition
from provender.ledger import Kind, Manifest
from provender.settings import load_settings
from provender.specs.source import Source
from provender.staging import arrived, stage
from tests.engine import Project, make_project
from tests.postgres import PASSWORD, PostgresServer
from tests.proxy import BreakingProxy
from tests.servers import free_port
from tests.spark.readings import day, key_of, spec

POSTGRES = "postgresql+psycopg://reader:${{SHOP_PASSWORD}}@127.0.0.1:{port}/{database}"
TABLE = "CREATE TABLE readings (key text, value bigint, at timestamptz, note text, id serial)"


def with_connection(project: Project, url: str) -> Project:
    path = project.settings.repo / "feature_store.yaml"
    document = yaml.safe_load(path.read_text())
    document["provender"]["connections"] = {"shop": url}
    path.write_text(yaml.safe_dump(document))
    return Project(project.folder, load_settings(project.settings.repo))


def write_source(project: Project, sql: dict[str, str] | None = None, **changes: Any) -> Source:
    raw = {"sql": {"connection": "shop", **(sql or {"table": "public.readings"})}, "time_column": "at"}
    return project.write_source(
        spec(raw=raw, **changes), daily="SELECT key, 1 AS total, 1 AS readings FROM readings"
    )


def run(project: Project, source: Source, *numbers: int, attempt: str = "a") -> Manifest:
    return stage(
        project.settings, source, [Partition.parse(source.cadence, key_of(n)) for n in numbers], attempt
    )


def rows(project: Project, manifest: Manifest, number: int) -> list[dict[str, Any]]:
    entry = manifest.partitions[key_of(number)]
    [file] = entry.files
    with project.storage.open(f"{entry.folder}/{file.name}") as staged:
        return list(pq.read_table(staged).to_pylist())


@pytest.fixture
def database(postgres: PostgresServer) -> Any:
    """A connection to a new database with the table ``readings``."""
    with postgres.admin(postgres.new_database()) as connection:
        connection.execute(TABLE)
        yield connection


@pytest.fixture
def project(
    tmp_path: Path, postgres: PostgresServer, database: Any, monkeypatch: pytest.MonkeyPatch
) -> Project:
    monkeypatch.setenv("SHOP_PASSWORD", PASSWORD)
    url = POSTGRES.format(port=postgres.port, database=database.info.dbname)
    return with_connection(make_project(tmp_path, spark={}), url)


def insert(database: Any, *given: tuple[str | None, int | None, str | None]) -> None:
    with database.cursor() as cursor:
        cursor.executemany("INSERT INTO readings (key, value, at) VALUES (%s, %s, %s)", given)


@pytest.mark.postgres
def test_a_days_rows_are_cut_half_open_and_sorted(project: Project, database: Any) -> None:
    source = write_source(project)
    insert(
        database,
        ("b", 2, "2026-01-01T23:59:59.999999Z"),
        ("a", 1, "2026-01-01T00:00:00Z"),
        ("c", 3, "2026-01-02T00:00:00Z"),
        ("d", 4, "2026-01-02T01:00:00+02:00"),
    )
    assert arrived(project.settings, source, Partition.parse(source.cadence, key_of(1)))
    staged = run(project, source, 1, 2)
    assert [(row["key"], row["value"]) for row in rows(project, staged, 1)] == [("a", 1), ("d", 4), ("b", 2)]
    assert rows(project, staged, 2) == [{"key": "c", "value": 3, "at": datetime(2026, 1, 2, tzinfo=UTC)}]


@pytest.mark.postgres
def test_the_same_rows_give_the_same_bytes_and_changed_ones_a_new_delivery(
    project: Project, database: Any
) -> None:
    source = write_source(project)
    insert(database, *[(f"k{n % 7}", n, "2026-01-01T01:00:00Z") for n in range(1000)])
    first = run(project, source, 1)
    database.execute("CREATE TABLE other AS SELECT * FROM readings ORDER BY id DESC")
    database.execute("DROP TABLE readings")
    database.execute("ALTER TABLE other RENAME TO readings")
    assert run(project, source, 1, attempt="b").kind is Kind.RECEIPT
    database.execute("DELETE FROM readings WHERE value = 3")
    again = run(project, source, 1, attempt="c").partitions[key_of(1)]
    assert (again.delivery, first.partitions[key_of(1)].delivery) == (2, 1)


@pytest.mark.postgres
def test_a_query_may_hold_what_looks_like_a_parameter(project: Project, database: Any) -> None:
    query = "SELECT key || ' :x 100%' AS key, value::bigint AS value, at FROM readings WHERE key <> 'a :b'"
    source = write_source(project, {"query": query})
    insert(database, ("a :b", 1, "2026-01-01T00:00:00Z"), ("c", 2, "2026-01-01T00:00:00Z"))
    assert [row["key"] for row in rows(project, run(project, source, 1), 1)] == ["c :x 100%"]


@pytest.mark.postgres
def test_a_partition_without_rows_is_staged_without_rows(project: Project, database: Any) -> None:
    source = write_source(project)
    assert rows(project, run(project, source, 1), 1) == []
    insert(database, ("a", 1, "2026-01-05T00:00:00Z"))
    assert run(project, source, 1, attempt="b").kind is Kind.RECEIPT


@pytest.mark.postgres
def test_rows_without_a_time_are_told(project: Project, database: Any) -> None:
    source = write_source(project)
    insert(database, ("a", 1, None), ("b", 2, "2026-01-01T00:00:00Z"))
    staged = run(project, source, 1)
    assert [row["key"] for row in rows(project, staged, 1)] == ["b"]
    assert any("1 raw rows have no 'at'" in note for note in staged.notes)


@pytest.mark.postgres
def test_a_column_of_another_type_is_staged_as_text_for_the_contract(project: Project, database: Any) -> None:
    source = write_source(project)
    database.execute("ALTER TABLE readings ALTER COLUMN value TYPE text")
    insert(database, *[("a", None, "2026-01-01T00:00:00Z")] * 20_000)
    database.execute("INSERT INTO readings VALUES ('b', 'many', '2026-01-01T05:00:00Z')")
    found = rows(project, run(project, source, 1), 1)
    assert len(found) == 20_001
    assert found[-1]["value"] == "many"


@pytest.mark.postgres
def test_a_column_that_came_is_passed_over_and_one_that_went_is_the_contracts(
    project: Project, database: Any
) -> None:
    source = write_source(project)
    insert(database, ("a", 1, "2026-01-01T00:00:00Z"))
    before = run(project, source, 1)
    database.execute("ALTER TABLE readings ADD COLUMN secret text DEFAULT 'x'")
    assert run(project, source, 1, attempt="b").kind is Kind.RECEIPT
    database.execute("ALTER TABLE readings DROP COLUMN value")
    assert list(rows(project, run(project, source, 1, attempt="c"), 1)[0]) == ["key", "at"]
    assert list(rows(project, before, 1)[0]) == ["key", "value", "at"]


@pytest.mark.postgres
def test_one_snapshot_is_read_although_others_write(
    project: Project, database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from provender.staging import sql

    source = write_source(project)
    insert(database, *[("a", n, "2026-01-01T00:00:00Z") for n in range(30_000)])
    read = sql._Export._window

    def read_while_others_write(self: Any, time_column: str) -> Any:
        found = read(self, time_column)
        database.execute("UPDATE readings SET value = -1")
        return found

    monkeypatch.setattr(sql._Export, "_window", read_while_others_write)
    found = rows(project, run(project, source, 1), 1)
    assert sorted(row["value"] for row in found) == list(range(30_000))


@pytest.mark.postgres
def test_a_connection_lost_half_way_stages_nothing_and_the_next_run_all(
    tmp_path: Path, postgres: PostgresServer, database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_PASSWORD", PASSWORD)
    port = free_port()
    proxy = BreakingProxy(postgres.port, port)
    url = POSTGRES.format(port=port, database=database.info.dbname)
    project = with_connection(make_project(tmp_path, spark={}), url)
    source = write_source(project)
    insert(database, *[("a" * 100, n, "2026-01-01T00:00:00Z") for n in range(30_000)])
    proxy.break_download_after(1 << 20)
    with pytest.raises(SourceNotReadyError, match="does not answer"):
        run(project, source, 1)
    assert proxy.breaks == 1
    assert project.storage.names("staging/readings") == []
    assert len(rows(project, run(project, source, 1, attempt="b"), 1)) == 30_000
    proxy.close()


@pytest.mark.postgres
@pytest.mark.parametrize(
    ("column", "zone", "inside", "outside"),
    [
        ("timestamp", "UTC", "2026-01-01T23:00:00", "2026-01-02T00:00:00"),
        ("timestamp", "Europe/Zurich", "2026-01-02T00:30:00", "2026-01-01T00:30:00"),
        ("date", "UTC", "2026-01-01", "2026-01-02"),
        ("text", "UTC", "2026-01-02T00:30:00+01:00", "2026-01-01T00:30:00+01:00"),
    ],
)
def test_times_without_a_zone_days_and_text_are_read_as_the_spec_says(
    project: Project, database: Any, column: str, zone: str, inside: str, outside: str
) -> None:
    source = write_source(project, event_timestamp={"column": "at", "zone": zone})
    database.execute(f"ALTER TABLE readings ALTER COLUMN at TYPE {column} USING NULL")
    insert(database, ("in", 1, inside), ("out", 2, outside))
    assert [row["key"] for row in rows(project, run(project, source, 1), 1)] == ["in"]


def test_numbers_of_seconds_are_times(tmp_path: Path) -> None:
    base = sqlite3.connect(tmp_path / "shop.db")
    base.execute("CREATE TABLE readings (key, value, at INTEGER)")
    start = int(day(1).timestamp())
    base.executemany("INSERT INTO readings VALUES (?, ?, ?)", [("a", 1, start), ("b", 2, start + 86_400)])
    base.commit()
    project = with_connection(make_project(tmp_path, spark={}), f"sqlite:///{tmp_path}/shop.db")
    source = write_source(
        project, {"table": "readings"}, event_timestamp={"column": "at", "format": "epoch_s"}
    )
    assert [row["key"] for row in rows(project, run(project, source, 1), 1)] == ["a"]


def test_a_missing_table_or_time_column_is_no_matter_of_trying_again(tmp_path: Path) -> None:
    base = sqlite3.connect(tmp_path / "shop.db")
    base.execute("CREATE TABLE readings (key, value)")
    project = with_connection(make_project(tmp_path, spark={}), f"sqlite:///{tmp_path}/shop.db")
    with pytest.raises(ContractError, match="no time column 'at'"):
        run(project, write_source(project, {"table": "readings"}), 1)
    with pytest.raises(
        SourceNotReadyError, match="no such table"
    ):  # SQLite says no more than that it did not work
        run(project, write_source(project, {"table": "no_readings"}), 1)


@pytest.mark.postgres
def test_a_wrong_password_is_not_told(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_PASSWORD", "wr0ng")
    with pytest.raises(SourceNotReadyError, match="password authentication failed") as caught:
        run(project, write_source(project), 1)
    assert "wr0ng" not in str(caught.value) + repr(project.settings)


def test_a_url_that_cannot_be_read_and_a_missing_secret_are_told_without_the_url(tmp_path: Path) -> None:
    project = make_project(tmp_path, spark={})
    for url, error, message in [
        ("postgresql+psycopg://u:${NOT_SET_ANYWHERE}@h/d", SettingsError, r"\$\{NOT_SET_ANYWHERE\}"),
        ("pass-in-here", SettingsError, "cannot be read"),
        ("nosuchdriver://u:pass-in-here@h/d", SetupError, "no driver"),
    ]:
        project = with_connection(project, url)
        with pytest.raises(error, match=message) as caught:
            run(project, write_source(project), 1)
        assert "pass-in-here" not in str(caught.value)
    with pytest.raises(SettingsError, match="no connection is called 'other'"):
        run(project, write_source(project, {"connection": "other", "table": "t"}), 1)


def test_values_of_drivers_become_the_declared_types() -> None:
    from provender.specs.source import ColumnType
    from provender.staging.sql_values import MisfitError, as_text, to_arrow

    assert to_arrow("c", [Decimal("3"), 4, None], ColumnType.INT64).to_pylist() == [3, 4, None]
    assert to_arrow("c", [Decimal("1.5"), 2], ColumnType.DOUBLE).to_pylist() == [1.5, 2.0]
    assert to_arrow("c", [True, 0], ColumnType.BOOL).to_pylist() == [True, False]
    assert to_arrow("c", [memoryview(b"x")], ColumnType.BYTES).to_pylist() == [b"x"]
    for kind, value in [
        (ColumnType.INT64, Decimal("1.5")),
        (ColumnType.INT64, 2**70),
        (ColumnType.INT32, "7"),
        (ColumnType.BOOL, 2),
        (ColumnType.DOUBLE, "x"),
        (ColumnType.TIMESTAMP, datetime(2026, 1, 1)),
    ]:
        with pytest.raises(MisfitError):
            to_arrow("c", [value], kind)
    texts = [as_text(value) for value in ({"b": 1, "a": [2]}, Decimal("1E+2"), date(2026, 1, 1), b"\x01")]
    assert texts == ['{"a": [2], "b": 1}', "100", "2026-01-01", "01"]


def text_times(tmp_path: Path, *times: Any) -> Project:
    base = sqlite3.connect(tmp_path / "shop.db")
    base.execute("CREATE TABLE readings (key, value, at)")
    base.executemany("INSERT INTO readings VALUES (?, 1, ?)", [(f"k{n}", at) for n, at in enumerate(times)])
    base.commit()
    return with_connection(make_project(tmp_path, spark={}), f"sqlite:///{tmp_path}/shop.db")


def test_text_times_by_a_pattern_find_their_day(tmp_path: Path) -> None:
    project = text_times(tmp_path, "02/01/2026 00:30", "01/01/2026 12:00", "01/02/2026 12:00", "soon", None)
    event = {"column": "at", "format": "dd/MM/yyyy HH:mm", "zone": "Europe/Oslo"}
    source = write_source(
        project, {"table": "readings"}, event_timestamp=event, violations={"max_share": 0.25}
    )
    staged = run(project, source, 1, 2)
    assert [row["key"] for row in rows(project, staged, 1)] == ["k1", "k0"]
    assert rows(project, staged, 2) == []
    assert any(note.startswith("1 raw rows have a 'at' that is no time") for note in staged.notes)
    source = write_source(
        project, {"table": "readings"}, event_timestamp=event, violations={"max_share": 0.2}
    )
    with pytest.raises(ContractError, match="1 of 4 raw rows have a 'at' that is no time"):
        run(project, source, 1, attempt="b")


def test_text_times_that_are_not_iso_fail_the_run_and_are_counted(tmp_path: Path) -> None:
    project = text_times(
        tmp_path, "01/01/2026", " 2026-01-01", "2026-01-01 10:00:00 UTC", "2026-01-01 25:00", "2026-02-30"
    )
    sql = {"table": "readings"}
    with pytest.raises(ContractError, match="3 of 5 raw rows have a 'at' that is no time"):
        run(project, write_source(project, sql, violations={"max_share": 0.5}), 1)
    staged = run(project, write_source(project, sql, violations={"max_share": 0.6}), 1)
    # What begins with the day is staged with it, and is the contract's matter.
    assert [row["key"] for row in rows(project, staged, 1)] == ["k2", "k3"]


def test_numbers_that_are_no_moments_are_counted(tmp_path: Path) -> None:
    project = text_times(tmp_path, int(day(1).timestamp()), 10**15, -(10**15))
    event = {"column": "at", "format": "epoch_s"}
    with pytest.raises(ContractError, match="2 of 3 raw rows"):
        run(project, write_source(project, {"table": "readings"}, event_timestamp=event, violations={}), 1)


def test_numbers_by_a_pattern_and_columns_of_mixed_types_are_read(tmp_path: Path) -> None:
    project = text_times(tmp_path, 20260101, "20260101", 20260102, None)
    event = {"column": "at", "format": "yyyyMMdd"}
    staged = run(project, write_source(project, {"table": "readings"}, event_timestamp=event), 1)
    assert {row["key"] for row in rows(project, staged, 1)} == {"k0", "k1"}

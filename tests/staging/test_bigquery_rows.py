"""What is asked of BigQuery, and by which connection: no server is needed for these."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from provender.errors import ContractError, SettingsError
from provender.intervals import Cadence, Partition
from provender.specs.source import Source, SqlRaw
from provender.staging.bigquery_rows import Bounds, bounds, relation, selected
from provender.staging.connections import BigQueryConnection, bigquery_connection
from provender.staging.fingerprint import fingerprint
from provender.staging.raw_file import local_file
from tests.engine import make_project
from tests.spark.readings import spec


def source(**changes: object) -> Source:
    raw = {"sql": {"connection": "shop", "table": "shop.readings"}, "time_column": "at"}
    return Source.model_validate({**spec(raw=raw, start=datetime(2026, 1, 1, tzinfo=UTC)), **changes})


def test_a_table_is_quoted_and_is_in_the_connections_project_unless_it_says_another() -> None:
    def of(**raw: str) -> str:
        return relation(SqlRaw(connection="shop", **raw), "mine")

    assert of(table="shop.readings") == "`mine.shop.readings`"
    assert of(table="their-project.shop.readings") == "`their-project.shop.readings`"
    assert of(query="SELECT 1 -- last\n;") == "(\nSELECT 1 -- last\n)"


def test_values_get_their_declared_type_or_become_text() -> None:
    columns = [
        {"name": "key", "type": "STRING"},
        {"name": "value", "type": "DOUBLE"},
        {"name": "count", "type": "INT64"},
        {"name": "at", "type": "TIMESTAMP"},
    ]
    schema = {"KEY": "INTEGER", "value": "NUMERIC", "count": "FLOAT", "at": "DATETIME", "other": "STRING"}
    assert selected(source(columns=columns, tables=[{"name": "t", "keys": ["key"]}]), schema) == (
        "CAST(`KEY` AS STRING) AS `key`, CAST(`value` AS FLOAT64) AS `value`, "
        "CAST(`count` AS STRING) AS `count`, CAST(`at` AS STRING) AS `at`"
    )


@pytest.mark.parametrize(
    ("kind", "how", "low", "high"),
    [
        ("TIMESTAMP", {}, datetime(2026, 1, 1, 7, tzinfo=UTC), datetime(2026, 1, 1, 8, tzinfo=UTC)),
        ("TIMESTAMP", {"zone": "Asia/Tokyo"}, datetime(2026, 1, 1, 7, tzinfo=UTC), datetime(2026, 1, 1, 8, tzinfo=UTC)),
        ("DATETIME", {}, datetime(2026, 1, 1, 7), datetime(2026, 1, 1, 8)),
        ("DATE", {}, date(2026, 1, 2), date(2026, 1, 2)),
        ("INTEGER", {"format": "epoch_ms"}, 1767250800000, 1767254400000),
    ],
)  # fmt: skip
def test_the_bounds_are_values_of_the_columns_type(
    kind: str, how: dict[str, str], low: object, high: object
) -> None:
    hourly = source(cadence="hourly", event_timestamp={"column": "at", **how})
    found = bounds(hourly, Partition.parse(Cadence.HOURLY, "2026-01-01T07"), {"at": kind}, "here")
    assert (found.low, found.high) == (low, high)


def test_bounds_are_written_as_literals_of_that_type() -> None:
    assert Bounds("at", "DATE", date(2026, 1, 1), date(2026, 1, 2)).condition == (
        "`at` >= DATE '2026-01-01' AND `at` < DATE '2026-01-02'"
    )
    assert Bounds("at", "INT64", 1, 2).condition == "`at` >= 1 AND `at` < 2"


@pytest.mark.parametrize(
    ("kind", "how"), [("DATETIME", {"zone": "Europe/Zurich"}), ("STRING", {}), ("INTEGER", {}), ("JSON", {})]
)
def test_times_that_cannot_be_compared_exactly_are_refused_with_what_to_write(
    kind: str, how: dict[str, str]
) -> None:
    with pytest.raises(ContractError, match=f"is a {kind}") as caught:
        bounds(
            source(event_timestamp={"column": "at", **how}),
            Partition.parse(Cadence.DAILY, "2026-01-01"),
            {"at": kind},
            "here",
        )
    assert "TIMESTAMP(`at`, '" in caught.value.remedy


def test_a_connection_names_project_location_and_bucket(tmp_path: Path) -> None:
    settings = make_project(tmp_path, spark={}).settings

    def of(url: str, root: str = "gs://bucket/root/") -> BigQueryConnection | None:
        changed = settings.model_copy(update={"storage_root": root.rstrip("/")})
        return bigquery_connection(
            type(settings).model_validate({**changed.model_dump(), "connections": {"shop": url}}), "shop"
        )

    assert of("bigquery://my-project") == BigQueryConnection("my-project", None, "gs://bucket/root")
    assert of("bigquery://my-project?location=EU&staging=gs://other/way", "file:///x") == BigQueryConnection(
        "my-project", "EU", "gs://other/way"
    )
    assert of("postgresql+psycopg://u@h/d") is None
    for url, message in [
        ("bigquery://my-project/shop", "does not name a Google project"),
        ("bigquery://", "does not name a Google project"),
        ("bigquery://my-project?locaton=EU", "unknown option 'locaton'"),
    ]:
        with pytest.raises(SettingsError, match=message):
            of(url)
    with pytest.raises(SettingsError, match="cannot write files to this machine"):
        of("bigquery://my-project", "file:///x")


def test_a_fingerprint_depends_on_rows_and_columns_alone(tmp_path: Path) -> None:
    big = 2**60
    table = pa.table({"a": [big, big + 1, None], "b": ["x", None, ""], "c": pa.array([1.5, None, 0.0])})

    def of(*tables: pa.Table) -> tuple[int, str]:
        files = []
        for each in tables:
            path = tmp_path / f"{len(list(tmp_path.iterdir()))}.parquet"
            pq.write_table(each, path)
            files.append(local_file(path))
        return fingerprint(files)

    same = of(table)
    assert same[0] == 3
    assert of(table.take([2, 0, 1])) == same == of(table.slice(1), table.slice(0, 1))
    assert of(table.set_column(0, "a", pa.array([big, big + 2, None]))) != same
    assert of(table.set_column(1, "b", pa.array(["x", "", None]))) != same
    assert of(table.rename_columns(["a", "b", "d"])) != same
    assert of(table, table.slice(0, 1)) != same
    assert of(table.slice(0, 0)) == of(table.slice(0, 0), table.slice(0, 0))

"""Published from the files that Spark writes: the whole way from raw rows."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import yaml

from provender.point_in_time.duckdb_join import connection, current_rows
from provender.settings import load_settings
from provender.tables.feature_log import FeatureLog
from tests.bigquery.emulator import PROJECT, Cloud
from tests.bigquery.wire import Wire
from tests.engine import Project

pytestmark = [pytest.mark.slow, pytest.mark.spark, pytest.mark.bigquery, pytest.mark.gcs]

SPEC = {
    "name": "trips",
    "owner": "data",
    "cadence": "daily",
    "start": "2026-11-01",
    "lateness": "3d",
    "raw": {"uri": "../raw/trips/{partition}.csv"},
    "event_timestamp": {"column": "at"},
    "columns": [
        {"name": "driver_id", "type": "INT64"},
        {"name": "at", "type": "TIMESTAMP"},
        {"name": "fare", "type": "FLOAT"},
        {"name": "paid", "type": "BOOL"},
        {"name": "city", "type": "STRING"},
        {"name": "since", "type": "TIMESTAMP"},
    ],
    "tables": [
        {"name": "trips", "keys": ["driver_id"], "columns": ["fare", "paid", "city", "since"]},
        {
            "name": "daily",
            "keys": ["city"],
            "sql": "daily.sql",
            "features": [{"name": "trips", "type": "INT64"}, {"name": "mean_fare", "type": "DOUBLE"}],
        },
    ],
}
SQL = "SELECT city, count(*) AS trips, avg(fare) AS mean_fare FROM trips GROUP BY city"
HEAD = "driver_id,at,fare,paid,city,since\n"
FIRST = f"{HEAD}1,2026-11-22T01:00:00.123456Z,1.5,true,Bern,2020-02-29T00:00:00Z\n2,2026-11-22T02:00:00Z,,false,Chur,\n"
SECOND = f"{HEAD}1,2026-11-23T01:00:00Z,2.5,true,Bern,\n3,2026-11-22T05:00:00Z,9.5,true,Bern,\n"


def test_what_spark_ingested_is_what_bigquery_holds(project: Project, cloud: Cloud, wire: Wire) -> None:
    from provender.publishing.publish import publish

    file = project.settings.repo / "feature_store.yaml"
    document = yaml.safe_load(file.read_text())
    staging = f"gs://{cloud.gcs.new_bucket()}/staging"
    cloud.bigquery.client().create_dataset("from_spark")
    document["provender"]["bigquery"] = {"project": PROJECT, "dataset": "from_spark", "staging": staging}
    file.write_text(yaml.safe_dump(document))
    project.settings = load_settings(project.settings.repo)
    project.write_source(SPEC, daily=SQL)
    for number, (key, text) in enumerate(
        [("2026-11-22", FIRST), ("2026-11-23", SECOND), ("2026-11-22", HEAD)]
    ):
        project.drop("trips", key, text)  # the third takes the first one's rows back
        project.run("trips", key, attempt=f"ingest-{number}")
        manifest = publish(project.settings, "trips", f"publish-{number}")
        assert manifest.counts["days"] > 0
        for table, name in (("trips", "trips"), ("daily", "trips__daily")):
            assert published(cloud, name) == current(project, table)
    assert len(published(cloud, "trips")) == 2


def published(cloud: Cloud, name: str) -> list[tuple[object, ...]]:
    """The current rows, in order."""
    keys = "city" if name.endswith("daily") else "driver_id"
    sql = f"""SELECT * EXCEPT (recorded_timestamp) FROM `{PROJECT}.from_spark.{name}`
        QUALIFY ROW_NUMBER() OVER (PARTITION BY {keys}, event_timestamp ORDER BY created_timestamp DESC) = 1"""
    return sorted((tuple(row) for row in cloud.bigquery.client().query(sql).result()), key=str)


def current(project: Project, table: str) -> list[tuple[object, ...]]:
    """The same from the log."""
    spec = project.source("trips").table(table)
    names = [*spec.keys, *(feature.name for feature in project.source("trips").features_of(spec))]
    log = FeatureLog(project.storage.uri(f"tables/trips/{table}"))
    with connection() as duck:
        found = duck.sql(current_rows(duck, log, spec.keys, names, datetime.now(UTC))).to_arrow_table()
    return sorted((tuple(row.values()) for row in found.to_pylist()), key=str)

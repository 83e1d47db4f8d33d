"""A model's training set on real tables: rows by Spark SQL, late data, compaction and vacuum."""

from __future__ import annotations

import secrets
from datetime import timedelta

import pytest
from deltalake import DeltaTable

from provender.engine_settings import Engine, EngineChoice
from provender.errors import SpecError, SqlError, TrainingSetError
from provender.feast.apply import apply
from provender.feast.training_set import build
from provender.ingestion.features import in_periods
from provender.spark.session import spark_session
from provender.tables.tables import feature_table, raw_table
from provender.training_sets.diff import Cause, diff
from provender.training_sets.folder import TrainingSet
from provender.training_sets.join import joined
from provender.training_sets.request import request_of_model
from provender.training_sets.verify import verify
from provender.upkeep.run import compact, small_files
from tests.engine import Project
from tests.spark.readings import csv, day, deliver, key_of, make_readings

pytestmark = pytest.mark.spark

VIEWS = """
from datetime import timedelta
from feast import Entity, FeatureView, ValueType
import provender

key = Entity(name="key", join_keys=["key"], value_type=ValueType.STRING)
daily = FeatureView(
    name="daily", entities=[key], ttl=timedelta(days=7),
    schema=provender.schema("readings", "daily"), source=provender.source("readings", "daily"),
)
"""
MODEL = """
name: high
owner: tests
entities: {source: readings, sql: high.sql}
label: is_high
features: [daily:total, daily:readings]
request: [{name: hour, type: INT32}]
as_known: false
window: 3d
"""
SQL = (
    """SELECT key, at AS event_timestamp, hour(at) AS hour, value > 5 AS is_high FROM readings -- a comment"""
)


@pytest.fixture
def model(project: Project) -> Project:
    """Days 1 to 4 ingested, each with a row of a and one of b; a model over three days."""
    make_readings(project)
    for folder, name, text in (
        ("views", "views.py", VIEWS),
        ("models", "high.yaml", MODEL),
        ("models", "high.sql", SQL),
    ):
        path = project.settings.repo / folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    apply(project.settings.repo)
    for number in range(1, 5):
        rows = [("a", day(number) + timedelta(hours=8), number), ("b", day(number), 9)]
        project.drop("readings", key_of(number), csv(rows))
    project.run("readings", *map(key_of, (1, 2, 3)))
    project.run("readings", key_of(4))
    return project


def built(project: Project, key: str) -> TrainingSet:
    request = request_of_model(project.settings, "high", key)
    return build(project.settings, request, f"test-{secrets.token_hex(4)}")


def test_rows_are_those_of_the_windows_periods_with_the_sqls_columns(model: Project) -> None:
    rows = built(model, key_of(4)).data().to_pylist()
    assert [(row["key"], row["event_timestamp"], row["is_high"]) for row in rows] == [
        (key, at, key == "b")
        for number in (2, 3, 4)
        for key, at in (("b", day(number)), ("a", day(number) + timedelta(hours=8)))
    ]
    # The sum of the day before: that of the same day is stamped with its end.
    assert [row["daily__total"] for row in rows] == [9, 1, 9, 2, 9, 3]


def test_raw_files_outside_the_window_are_not_read(model: Project) -> None:
    raw = raw_table(model.storage, model.source("readings"))
    with spark_session(model.settings, f"test-{secrets.token_hex(4)}") as spark:
        every = raw.read(spark)
        within = every.where(in_periods("_period", [("2026-01-04T00:00:00Z", "2026-01-05T00:00:00Z")]))
        assert len(within.inputFiles()) == 1 < len(every.inputFiles())


def test_verify_agrees_after_late_data_compaction_and_vacuum_and_diff_names_the_late_rows(
    model: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = built(model, key_of(4))
    assert not built(model, key_of(4)).is_new
    late = [("a", day(4) + timedelta(hours=8), 4), ("b", day(4), 9), ("a", day(3) + timedelta(hours=9), 100)]
    deliver(model, 4, late)
    _compact_and_vacuum(model, monkeypatch)
    assert str(verify(model.settings, first)).startswith(f"high {first.lockfile.id} agrees")
    second = built(model, key_of(4))
    assert verify(model.settings, second).agrees
    found = diff(model.settings, first, second)
    assert found.causes == {Cause.DATA, Cause.ENTITIES}
    assert found.pairs.only_after.column("event_timestamp").to_pylist() == [day(3) + timedelta(hours=9)]
    (row,) = found.changed(10)
    assert (row.entity["key"], row.features["daily__total"]) == ("a", (3, 103))
    assert [(v.kind, v.keys, v.event) for v in row.versions] == [("corrected", {"key": "a"}, day(4))]
    assert "same place, whose rows changed" in found.text()


def test_spark_joins_to_the_same_checksum(model: Project) -> None:
    training_set = built(model, key_of(4))
    entities, inputs = training_set.entities(), training_set.lockfile.inputs
    by_spark = joined(model.settings, entities, inputs, EngineChoice(engine=Engine.SPARK))
    by_duckdb = joined(model.settings, entities, inputs, EngineChoice(engine=Engine.DUCKDB))
    assert by_spark.equals(by_duckdb)


def test_what_is_wrong_with_the_sql_is_said_with_its_file(model: Project) -> None:
    sql = model.settings.repo / "models" / "high.sql"
    cases: dict[str, tuple[type[Exception], str]] = {
        "SELECT nothing FROM readings": (SpecError, "high.sql:1: there is no column 'nothing'"),
        "SELECT key, at, 1 AS hour, true AS is_high FROM readings": (
            SpecError,
            "does not return column 'event_timestamp'",
        ),
        "SELECT key, at AS event_timestamp, 1 AS hour FROM readings": (
            SpecError,
            "does not return column 'is_high'",
        ),
        "SELECT key, at AS event_timestamp, 1 DIV 0 AS hour, true AS is_high FROM readings": (
            SqlError,
            "high.sql",
        ),
        "SELECT key, at AS event_timestamp, 'x' AS hour, true AS is_high FROM readings": (
            TrainingSetError,
            "'hour'",
        ),
        "SELECT key, CAST(null AS TIMESTAMP) AS event_timestamp, 1 AS hour, true AS is_high FROM readings": (
            TrainingSetError,
            "6 of 6 entity rows have no event_timestamp",
        ),
        "SELECT key, at AS event_timestamp, 1 AS hour, true AS is_high FROM readings WHERE false": (
            TrainingSetError,
            "no entity rows",
        ),
    }
    for text, (kind, words) in cases.items():
        sql.write_text(text)
        with pytest.raises(kind) as caught:
            built(model, key_of(4))
        assert words in str(caught.value), text


def _compact_and_vacuum(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Upkeep's compaction, and files off the disk that its retention would keep for a week."""
    table = feature_table(
        project.storage, project.source("readings"), project.source("readings").table("daily")
    )
    assert small_files(table) > 1
    with spark_session(project.settings, f"test-{secrets.token_hex(4)}") as spark:
        compact(spark, table)
    assert small_files(table) == 1
    removed = DeltaTable(table.uri).vacuum(0, dry_run=False, enforce_retention_duration=False)
    assert removed

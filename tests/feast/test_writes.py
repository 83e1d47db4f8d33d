"""Rows that Feast is given for the offline store: additions to the source, through its contract."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from feast import FeatureStore

import provender
from provender.errors import SpecError
from provender.feast.apply import apply
from provender.ledger import Job, Kind
from tests.engine import Project, make_project
from tests.spark.readings import csv, day, deliver, key_of, log_of, make_readings

pytestmark = pytest.mark.spark

VIEWS = """
from feast import Entity, FeatureView, ValueType
import provender

key = Entity(name="key", join_keys=["key"], value_type=ValueType.STRING)
newest_value, totals = (
    FeatureView(
        name=name, entities=[key], schema=provender.schema("readings", table),
        source=provender.source("readings", table),
    )
    for name, table in (("newest_value", "latest"), ("totals", "daily"))
)
"""


@pytest.fixture
def project(tmp_path: Path, engine_url: str) -> Project:
    """The readings, applied."""
    project = make_project(tmp_path / "home", spark={"remote": engine_url})
    make_readings(project)
    (project.settings.repo / "views").mkdir()
    (project.settings.repo / "views" / "readings.py").write_text(VIEWS)
    apply(project.settings.repo)
    return project


def write(project: Project, view: str, *rows: tuple[str, datetime, int]) -> None:
    frame = pd.DataFrame(rows, columns=["key", "event_timestamp", "value"])
    frame["created_timestamp"] = frame["event_timestamp"]
    FeatureStore(str(project.settings.repo)).write_to_offline_store(view, frame)


def values(project: Project, at: datetime) -> list[Any]:
    rows = pd.DataFrame({"key": ["a", "b", "c"], "event_timestamp": pd.to_datetime([at] * 3)})
    found = FeatureStore(str(project.settings.repo)).get_historical_features(rows, ["newest_value:value"])
    return list(found.to_arrow().column("value").to_pylist())


def test_rows_that_feast_writes_stand_beside_what_was_and_will_be_delivered(project: Project) -> None:
    noon = day(1) + timedelta(hours=12)
    deliver(project, 1, [("a", day(1), 1)])
    write(project, "newest_value", ("b", noon, 2), ("c", noon, 5000))
    assert values(project, day(2)) == [1, 2, None]
    manifest = project.ledger("readings").last(Job.INGEST)
    assert manifest is not None
    assert (manifest.counts["accepted"], manifest.counts["quarantined"]) == (2, 1)  # the contract holds
    assert {(row["key"], row["total"]) for row in log_of(project, "daily")} == {("a", 1), ("b", 2)}

    write(project, "newest_value", ("b", noon, 2), ("c", noon, 5000))
    again = project.ledger("readings").manifests(Job.INGEST)[-1]
    assert again.kind is Kind.RECEIPT

    deliver(project, 1, [("a", day(1), 7)])  # a corrected file replaces the file
    assert values(project, day(2)) == [7, 2, None]

    frame = pd.DataFrame({"key": ["a"], "value": [3], "at": [day(1)]})
    provender.ingest("readings", frame, repo=project.settings.repo)  # and a frame all of the partition
    assert values(project, day(2)) == [3, None, None]


def test_rows_may_be_the_first_of_their_partition_and_files_join_them(project: Project) -> None:
    write(project, "newest_value", ("b", day(1), 2))
    project.drop("readings", key_of(1), csv([("a", day(1), 1)]))
    project.run("readings", key_of(1))
    assert values(project, day(2)) == [1, 2, None]


def test_a_table_that_sql_makes_cannot_be_written_into(project: Project) -> None:
    frame = pd.DataFrame({"key": ["a"], "total": [1], "readings": [1]})
    frame["event_timestamp"] = frame["created_timestamp"] = pd.Timestamp(day(1))
    with pytest.raises(SpecError, match=r"readings\.daily is made by SQL"):
        FeatureStore(str(project.settings.repo)).write_to_offline_store("totals", frame)

"""A clock that was ahead, or is set back: what a manifest says was written is in the tables."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from provender.ingestion.ingest import ingest
from provender.intervals import Partition
from provender.ledger import Manifest
from provender.staging import stage
from tests.engine import Project
from tests.spark.killed import run_killed
from tests.spark.readings import csv, day, key_of, log_of, make_readings

pytestmark = pytest.mark.spark

COMMIT = "provender.ledger.ledger:Ledger.commit"
HOUR = timedelta(hours=1)


def _stage(project: Project, number: int, value: int) -> None:
    project.drop("readings", key_of(number), csv([("a", day(number), value)]))
    source = project.source("readings")
    stage(
        project.settings, source, [Partition.parse(source.cadence, key_of(number))], f"stage-{number}-{value}"
    )


def _ingest(project: Project, number: int, attempt: str, ahead: timedelta = timedelta()) -> Manifest:
    partition = Partition.parse(project.source("readings").cadence, key_of(number))
    clock = lambda: datetime.now(UTC) + ahead  # noqa: E731
    return ingest(project.settings, "readings", [partition], attempt, clock=clock)


def _values(project: Project) -> dict[datetime, int]:
    """What readers see: per event the newest version that a manifest covers."""
    up_to = project.ledger("readings").state().recorded_up_to
    log = sorted(
        log_of(project, "latest"), key=lambda row: (row["created_timestamp"], row["recorded_timestamp"])
    )
    return {
        row["event_timestamp"]: row["value"] for row in log if up_to and row["recorded_timestamp"] <= up_to
    }


def test_what_an_ingest_says_it_wrote_is_there_after_one_died_under_a_clock_that_was_ahead(
    project: Project,
) -> None:
    make_readings(project)
    _stage(project, 1, 10)
    run_killed(project, "ingest", [key_of(1)], COMMIT, before=1, attempt="dead", ahead_seconds=3600)
    first = _ingest(project, 1, "first")
    assert _values(project) == {day(1): 10}
    assert first.recorded_up_to is not None
    assert first.recorded_up_to > datetime.now(UTC) + HOUR / 2, "later than what the dead attempt recorded"
    # The same clock, an hour behind: nothing of it may decide what comes after what.
    _stage(project, 2, 20)
    second = _ingest(project, 2, "second", -HOUR)
    assert {entry.rows for entry in second.wrote} == {1}, "its raw row, its version, its sum"
    assert _values(project) == {day(1): 10, day(2): 20}
    recorded = sorted({row["recorded_timestamp"] for row in log_of(project, "latest")})
    assert recorded[-1] == second.recorded_up_to == project.ledger("readings").state().recorded_up_to
    assert second.recorded_up_to > first.recorded_up_to

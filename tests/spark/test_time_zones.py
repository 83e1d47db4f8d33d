"""Sources whose days begin at midnight of a time zone: nothing is lost where a day has 23 or 25 hours."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from provender.intervals import Cadence, Frequency, Partition
from tests.engine import Project
from tests.spark.readings import csv, log_of, make_readings, state

pytestmark = pytest.mark.spark
NEW_YORK = ZoneInfo("America/New_York")
DAYS = {"2026-03-07": 24, "2026-03-08": 23, "2026-03-09": 24}
"""Length in hours: summer time began on the 8th."""


def hours_of(key: str) -> list[tuple[str, datetime, int]]:
    """A row in the first second of the local day, one in its last, and one in each hour in between."""
    start = datetime.fromisoformat(key).replace(tzinfo=NEW_YORK).astimezone(UTC)
    end = start + timedelta(hours=DAYS[key])
    moments = [start + timedelta(hours=hour) for hour in range(DAYS[key])]
    return [("k", moment, 1) for moment in (*moments, end - timedelta(microseconds=1))]


def test_a_file_cut_at_local_midnight_is_one_partition_whatever_the_clocks_do(project: Project) -> None:
    zone, start = "America/New_York", datetime(2026, 3, 7, tzinfo=UTC).date()
    make_readings(project, timezone=zone, start=start)
    for key in DAYS:
        project.drop("readings", key, csv(hours_of(key)))
    manifests = [project.run("readings", key) for key in DAYS]
    assert [manifest.counts["quarantined"] for manifest in manifests] == [0, 0, 0]
    daily = sorted((row["event_timestamp"], row["readings"]) for row in log_of(project, "daily"))
    cadence = Cadence(Frequency.DAILY, zone)
    assert daily == [(Partition.parse(cadence, key).end, hours + 1) for key, hours in DAYS.items()]


def test_a_late_row_of_a_local_day_corrects_that_day_and_a_range_gives_what_days_give(
    project: Project, tmp_path_factory: pytest.TempPathFactory
) -> None:
    late = ("k", datetime(2026, 3, 8, 23, 59, 59, tzinfo=NEW_YORK), 7)
    make_readings(project, timezone="America/New_York", start=datetime(2026, 3, 7, tzinfo=UTC).date())
    for key in DAYS:
        project.drop("readings", key, csv([*hours_of(key), *([late] if key == "2026-03-09" else [])]))
    project.run("readings", *DAYS)
    at_once = state(project, "daily")
    current = {event: total for _, event, _, _, total, _ in sorted(at_once, key=lambda row: row[2])}
    day_end = Partition.parse(Cadence(Frequency.DAILY, "America/New_York"), "2026-03-08").end
    assert current[day_end] == DAYS["2026-03-08"] + 1 + 7
    for key in DAYS:
        project.run("readings", key, attempt=f"again-{key}")
    assert state(project, "daily") == at_once

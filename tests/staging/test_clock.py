from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from provender.intervals import Partition
from provender.staging import stage
from tests.engine import make_project
from tests.spark.readings import csv, day, key_of, make_readings

NOON = datetime(2026, 2, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def test_a_delivery_is_known_later_than_the_one_it_replaces_whatever_the_clock_says(tmp_path: Path) -> None:
    project = make_project(tmp_path, spark={})
    make_readings(project)
    source = project.source("readings")
    delivered = []
    for value, now in enumerate((NOON, NOON + HOUR, NOON - HOUR, day(3), NOON)):
        project.drop("readings", key_of(1), csv([("a", day(1), value)]))
        partition = Partition.parse(source.cadence, key_of(1))
        staged = stage(project.settings, source, [partition], f"stage-{value}", clock=lambda now=now: now)
        delivered.append(staged.partitions[key_of(1)].delivered)
    first = day(2) + HOUR
    tick = timedelta(microseconds=1)
    ahead = NOON + HOUR
    other = Partition.parse(source.cadence, key_of(2))
    for value in (1, 2):
        project.drop("readings", key_of(2), csv([("a", day(2), value)]))
        staged = stage(project.settings, source, [other], f"other-{value}", clock=lambda: NOON)
    delivered.append(staged.partitions[key_of(2)].delivered)
    assert delivered == [first, ahead, ahead + tick, ahead + 2 * tick, ahead + 3 * tick, ahead + 4 * tick]

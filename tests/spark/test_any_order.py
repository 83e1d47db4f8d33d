"""Any interval can be run again, in any order, with the same result."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

import pytest

from provender.ledger import Kind
from tests.engine import Project
from tests.spark.knowledge import Delivery, as_it_is, assert_log_knows, daily_sum
from tests.spark.readings import csv, day, deliver, key_of, log_of, make_readings, state

pytestmark = pytest.mark.spark

Rows = list[tuple[str, datetime, int]]


def random_days(seed: int, days: int = 5, late: bool = True) -> dict[int, Rows]:
    """Rows by day number: some belong to up to three days before; keys and times collide often."""
    rng = random.Random(seed)
    files: dict[int, Rows] = {}
    for number in range(1, days + 1):
        rows: Rows = []
        for _ in range(rng.randint(0, 6)):
            lag = rng.choice([0, 0, 0, 1, 2, 3]) if late else 0
            event = day(max(1, number - lag)) + timedelta(hours=rng.choice([0, 1, 23]))
            rows.append((rng.choice("ab"), event, rng.randint(0, 3)))
        # One delivery says one thing about one (key, time).
        files[number] = list({(key, at): (key, at, value) for key, at, value in rows}.values())
    return files


def assert_logs_are_right(project: Project, deliveries: list[Delivery]) -> None:
    assert_log_knows(log_of(project, "latest"), deliveries, as_it_is, "value")
    assert_log_knows(log_of(project, "daily"), deliveries, daily_sum, "total")


@pytest.mark.parametrize("seed", [1, 2])
def test_partitions_in_random_order_say_what_each_day_knew(project: Project, seed: int) -> None:
    make_readings(project)
    files = random_days(seed)
    order = list(files)
    random.Random(seed).shuffle(order)
    deliveries = [deliver(project, number, files[number]) for number in order]
    assert_logs_are_right(project, deliveries)


@pytest.mark.parametrize("seed", [3])
def test_a_range_in_one_application_knows_what_the_daily_schedule_knew(project: Project, seed: int) -> None:
    make_readings(project)
    files = random_days(seed)
    for number, rows in files.items():
        project.drop("readings", key_of(number), csv(rows))
    project.run("readings", *[key_of(number) for number in files])
    delivered = [Delivery(day(n), day(n + 1) + timedelta(hours=1), tuple(rows)) for n, rows in files.items()]
    assert_logs_are_right(project, delivered)


@pytest.mark.parametrize("seed", [4, 5])
def test_redelivered_partitions_change_what_is_known_from_then_on_and_nothing_before(
    project: Project, seed: int
) -> None:
    make_readings(project)
    first, second = random_days(seed, days=4), random_days(seed + 100, days=4)
    deliveries = [deliver(project, number, rows) for number, rows in first.items()]
    for number in (2, 4, 1):
        deliveries.append(deliver(project, number, second[number]))
        assert_logs_are_right(project, deliveries)


def test_a_second_run_changes_nothing_and_says_so(project: Project) -> None:
    make_readings(project)
    project.drop("readings", key_of(1), csv([("a", day(1), 1), ("b", day(1), 2)]))
    project.run("readings", key_of(1), attempt="first")
    before = {table: log_of(project, table) for table in ("latest", "daily")}
    again = project.run("readings", key_of(1), attempt="second")
    assert again.kind is Kind.RECEIPT
    assert {table: log_of(project, table) for table in ("latest", "daily")} == before


def test_late_rows_correct_their_day_and_nothing_else(project: Project) -> None:
    make_readings(project)
    deliver(project, 1, [("a", day(1), 1), ("b", day(1), 5)])
    deliver(project, 2, [("a", day(2), 2)])
    before = state(project, "daily")
    deliver(project, 4, [("a", day(1) + timedelta(hours=5), 10)])
    added = state(project, "daily") - before
    assert {(row[0], row[1], row[4]) for row in added} == {("a", day(2), 11)}


def test_rows_later_than_the_limit_are_quarantined(project: Project) -> None:
    make_readings(project)
    project.drop("readings", key_of(5), csv([("a", day(5), 1), ("a", day(2), 2), ("a", day(1), 3)]))
    manifest = project.run("readings", key_of(5))
    assert manifest.partitions[key_of(5)].reasons == {"too_late": 1}
    assert manifest.counts["accepted"] == 2


def test_a_redelivery_with_fewer_rows_takes_its_rows_back(project: Project) -> None:
    make_readings(project)
    deliver(project, 1, [("a", day(1), 1), ("b", day(1), 2)])
    project.drop("readings", key_of(1), csv([("a", day(1), 1)]))
    manifest = project.run("readings", key_of(1), attempt="fewer rows")
    features = manifest.partitions[key_of(1)].features
    assert features["latest"] == {"new": 0, "corrected": 0, "withdrawn": 1, "unchanged": 1}
    assert features["daily"] == {"new": 0, "corrected": 0, "withdrawn": 1, "unchanged": 1}

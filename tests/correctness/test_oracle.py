"""The oracle itself: what it says follows from what had been delivered, in whatever order it was ingested."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.correctness import oracle
from tests.correctness.oracle import DAY, Delivery, RawRow, State
from tests.correctness.world import HOUR, Case, Schedule, cases, day
from tests.engine import CHECKOUT

ORDERED = Schedule("plain", ((1,), (2,), (3,), (4,)), has_created=False)


def deliveries(case: Case) -> list[Delivery]:
    """Each day's first delivery."""
    return [
        Delivery(
            day(number),
            day(number + 1) + HOUR,
            day(number + 1) + HOUR,
            tuple(placed.row for placed in case if placed.delivery == at),
        )
        for at, number in enumerate(ORDERED.days)
    ]


def known(of: Sequence[Delivery], moment: datetime, key: str, start: datetime) -> list[RawRow]:
    rows = [row for d in of if d.delivered <= moment for row in d.accepted]
    return [row for row in rows if row.key == key and start <= row.event < start + DAY]


@settings(max_examples=30, deadline=None)
@given(cases(ORDERED), st.permutations(range(4)), st.integers(1, 4))
def test_a_log_knows_of_a_day_what_had_been_delivered(case: Case, order: list[int], cut: int) -> None:
    of = deliveries(case)
    ingests = [[of[at] for at in order[:cut]], *[[of[at]] for at in order[cut:]]]
    log = oracle.log_of(ingests, oracle.per_day)
    for key in "ab":
        for number in range(-1, 5):
            for moment in [d.delivered for d in of]:
                truth: State = oracle.summed(known(of, moment, key, day(number)))
                assert oracle.word(log.get((key, day(number) + DAY), []), moment) == truth


@settings(max_examples=30, deadline=None)
@given(cases(ORDERED), st.permutations(range(4)))
def test_the_order_of_ingests_changes_nothing_that_is_said(case: Case, order: list[int]) -> None:
    of = deliveries(case)
    for desire in (oracle.as_it_is, oracle.per_day):
        one = oracle.log_of([[d] for d in of], desire)
        other = oracle.log_of([[of[at]] for at in order], desire)
        for group in {*one, *other}:
            for moment in [d.delivered for d in of]:
                assert oracle.word(one.get(group, []), moment) == oracle.word(other.get(group, []), moment)


def test_a_row_taken_back_is_known_until_it_was() -> None:
    row = RawRow("a", day(1), 7)
    first, again = day(2) + HOUR, day(9)
    of = [Delivery(day(1), first, first, (row,)), Delivery(day(1), first, again, ())]
    log = oracle.log_of([[d] for d in of], oracle.as_it_is)["a", day(1)]
    assert [oracle.word(log, t) for t in (day(2), first, day(8), again)] == [None, (7,), (7,), None]


@pytest.mark.slow
@pytest.mark.parametrize(
    "zone",
    [
        "America/St_Johns",  # half an hour off, with daylight saving; `make test` is in Kolkata and New York
        pytest.param("Asia/Kathmandu", marks=pytest.mark.exhaustive),
        pytest.param("Pacific/Apia", marks=pytest.mark.exhaustive),
    ],
)
def test_the_machines_time_zone_changes_nothing(zone: str) -> None:
    """Everything in this folder that needs no Spark, and the point-in-time join's own tests."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    command += ["-m", "not slow and not spark and not exhaustive"]
    command += ["tests/correctness", "tests/point_in_time", "tests/online"]
    done = subprocess.run(
        command, cwd=CHECKOUT, env=os.environ | {"TZ": zone}, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stdout[-4000:]

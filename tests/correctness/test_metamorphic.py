"""Changes to the raw rows that may change nothing, or may change only certain answers: without asking the oracle.

Variants of a case have keys of their own in the same run, so that a case and its variant are compared at equal times.
"""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import pytest

from provender.ledger import Kind
from tests.correctness.oracle import DAY
from tests.correctness.variants import FUTURE, LATE, OLD, VALUE, VARIANTS, Variant, twins
from tests.correctness.world import TABLES, EntityRows, Reading, World, day

pytestmark = pytest.mark.spark
READINGS = [Reading(table, ttl) for table in TABLES for ttl in (timedelta(0), DAY)]
AS_KNOWN = pytest.mark.parametrize("as_known", [False, True], ids=["as known now", "as known then"])


def changed(world: World, place: int, as_known: bool) -> dict[Any, tuple[Any, Any]]:
    """(Without, with) by (key, t, reading) of the case, where a case and its variant have different answers."""
    pairs = [(f"{one}:{key}", f"{other}:{key}") for one, other in twins(world, place) for key in "ab"]
    times = {pair: sorted({*world.moments_of(pair[0]), *world.moments_of(pair[1])}) for pair in pairs}
    rows: EntityRows = [(key, t) for pair in pairs for key in pair for t in times[pair]]
    found = world.found_values(rows, READINGS, "duckdb", as_known)
    compared = {
        (one, t, reading): (found[one, t, reading], found[other, t, reading])
        for one, other in pairs
        for t in times[one, other]
        for reading in READINGS
    }
    return {name: pair for name, pair in compared.items() if pair[0] != pair[1]}


@AS_KNOWN
def test_the_order_of_rows_and_their_files_change_nothing(worlds: list[World], as_known: bool) -> None:
    for world in worlds:
        assert not changed(world, 0, as_known)


@AS_KNOWN
@pytest.mark.parametrize("variant", [OLD, LATE, FUTURE], ids=lambda variant: variant.name)
def test_a_row_changes_no_answer_that_it_is_too_old_or_too_new_for(
    worlds: list[World], variant: Variant, as_known: bool
) -> None:
    for world in worlds:
        found = changed(world, 1 + VARIANTS.index(variant), as_known)
        wrong = {name: pair for name, pair in found.items() if not variant.may_change(name[2], name[1])}
        assert not wrong
        assert found, "it changes something, where it may"
        assert all(key.endswith(":a") for key, _, _ in found), "the other key has the row's answers"


@AS_KNOWN
def test_a_late_row_changes_exactly_the_answers_that_were_older(worlds: list[World], as_known: bool) -> None:
    """In the table that takes rows as they are: from its event (and its delivery) on, until a newer row."""
    for world in worlds:
        if world.schedule.has_created:
            continue
        (known,) = [d.delivered for ingest in world.ingests for d in ingest if d.partition == day(4)][-1:]
        found = changed(world, 1 + VARIANTS.index(LATE), as_known)
        of_table = {n: pair for n, pair in found.items() if n[2].table == "latest"}
        assert of_table
        for (key, t, _), (_, with_row) in of_table.items():
            assert with_row == (VALUE,)
            assert not as_known or t >= known, key
        for one, other in twins(world, 1 + VARIANTS.index(LATE)):
            events = [row.row.event for row in world.cases[one] if row.row.key == "a"]
            newer = min((e for e in events if e > LATE.event), default=day(31))
            moments = [t for t in world.moments_of(f"{other}:a") if max(LATE.event, known) <= t < newer]
            rows: EntityRows = [(f"{other}:a", t) for t in [*moments, max(LATE.event, known)] if t < newer]
            if rows:
                answers = world.found_values(rows, [Reading("latest")], "duckdb", as_known)
                assert set(answers.values()) == {(VALUE,)}


def test_running_every_partition_again_in_any_order_changes_nothing(worlds: list[World]) -> None:
    for world in worlds:
        before = {table: world.found_versions(table) for table in ("latest", "daily")}
        days = sorted(set(world.schedule.days))
        random.Random(1).shuffle(days)
        for number in days:
            key = f"{day(number):%Y-%m-%d}"
            manifest = world.project.run(world.name, key, attempt=f"{world.name}-again-{number}")
            assert manifest.kind is Kind.RECEIPT
        assert {table: world.found_versions(table) for table in ("latest", "daily")} == before

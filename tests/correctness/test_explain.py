"""An explanation says the value that the oracle says, and computes it again from the raw rows.

The histories are those of ``test_platform``: late, corrected, withdrawn, copied, quarantined and null rows, in tables
with and without SQL, delivered once and again.
"""

from __future__ import annotations

import random
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest

from provender.explain import Explanation, Question, explain
from provender.explain.online_row import Decision
from provender.explain.recomputed import Outcome
from provender.explain.versions import NullRule
from provender.point_in_time.rule import lookup
from tests.correctness.conftest import SHORT, Profile
from tests.correctness.world import TABLES, World

pytestmark = pytest.mark.spark

Probe = tuple[str, str, datetime, bool]
"""Table, key, t, and whether only what was known then counts."""


def explained(world: World, probe: Probe, **options: Any) -> Explanation:
    table, key, at, known_then = probe
    feature = TABLES[table][0]
    question = Question(f"{world.name}_{table}", feature, {"key": key}, at, known_then, **options)
    return explain(world.project.settings, question, f"explain-{random.getrandbits(64):x}")


def probes(world: World, table: str, count: int) -> list[Probe]:
    """Moments that matter to keys of the world's cases, any two of them different."""
    draw = random.Random(f"{world.name} {table}")
    every = [
        (table, key, at, known)
        for key in world.keys
        for at in world.moments_of(key)
        for known in (True, False)
    ]
    return draw.sample(every, count)


def expected(world: World, probe: Probe) -> Any:
    """The oracle's word."""
    table, key, at, known_then = probe
    versions = world.logs_by_key[table].get(key, [])
    found = lookup(versions, {"key": key}, at, filter_by_created_timestamp=known_then)
    return None if found is None else found["state"][0]


@pytest.fixture(scope="session")
def counts(profile: Profile) -> dict[str, int]:
    """How many values of each source are explained, by table: SQL is run for each of the second."""
    return {"latest": 40, "daily": 4} if profile is SHORT else {"latest": 200, "daily": 50}


def test_every_value_is_the_oracles_and_is_computed_again(
    worlds: list[World], counts: dict[str, int], profile: Profile
) -> None:
    outcomes: Counter[str] = Counter()
    for world in worlds:
        for table, count in counts.items():
            for probe in probes(world, table, count):
                found = explained(world, probe)
                assert found.value == expected(world, probe), probe
                assert (found.rule is None) == (found.value is not None), probe
                again = found.recomputed
                if again is not None:
                    assert again.outcome is Outcome.EQUAL, (probe, again.why, found.as_document())
                outcomes[found.rule or "value"] += 1
                outcomes["recomputed"] += again is not None
    assert outcomes["recomputed"] > sum(counts.values())
    # A null sum is rare: the few values of the short run need not have one.
    rare = {NullRule.AGGREGATE_OF_NOTHING} if profile is SHORT else set()
    elsewhere = {NullRule.TOO_OLD, NullRule.COLUMN_ADDED_LATER}
    assert {*NullRule} - elsewhere - rare <= {*outcomes}, outcomes


def test_raw_rows_are_found_in_their_files(worlds: list[World]) -> None:
    for world in worlds:
        located = [row for probe in probes(world, "latest", 12) for row in explained(world, probe).raw_rows]
        assert located
        for row in located:
            assert row.record is not None
            path = row.file.removeprefix("file://")
            with open(path) as file:
                line = file.read().splitlines()[row.record]  # after the header
            value = row.values["value"]
            assert line.startswith(f"{row.values['key']},{'' if value is None else value},")


def test_a_value_past_the_views_ttl_is_too_old(worlds: list[World]) -> None:
    from dataclasses import replace

    from provender.online.views import load_applied_views, save_applied_views

    world = worlds[0]
    storage, project = world.project.storage, world.project.settings.project
    kept = load_applied_views(storage, project)
    save_applied_views(storage, project, [replace(view, ttl_seconds=3600) for view in kept])
    try:
        key, event = next(
            (key, versions[-1]["event_timestamp"])
            for key, versions in world.logs_by_key["latest"].items()
            if not any(v["state"] is None for v in versions) and key != "beacon"
        )
        late = explained(world, ("latest", key, event + timedelta(days=40), False))
    finally:
        save_applied_views(storage, project, kept)
    assert late.rule is NullRule.TOO_OLD
    assert late.nearest is not None


def test_what_is_online_is_told_beside_the_log(worlds: list[World]) -> None:
    decisions: Counter[Decision] = Counter()
    for world in worlds:
        for table in TABLES:
            for key in world.keys[:40]:
                probe = (table, key, world.recorded[-1], False)
                found = explained(world, probe, online=True, recompute=False).online
                assert found is not None
                decisions[found.decision] += 1
                state = world.online[len(world.recorded) - 1][table][key]
                assert found.value == (None if state is None else state[0])
    assert {*decisions} == {Decision.SAME, Decision.NOTHING, Decision.EXPIRED}, decisions

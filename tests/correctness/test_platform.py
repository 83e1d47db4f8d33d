"""From raw files to training rows and online values: what the platform says is what the oracle says.

Two sources, dozens of generated cases in each, are ingested together; every test looks at the same run. A failure
prints the smallest case that still fails, and what differs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest

from tests.correctness.cases import differing, smallest, without_parts
from tests.correctness.conftest import MakeWorlds, Profile
from tests.correctness.world import (
    ALL_READINGS,
    TABLES,
    Case,
    Reading,
    World,
    cases_in,
    with_nulls,
)

pytestmark = pytest.mark.spark


Compare = Callable[[World], dict[Any, Any]]
"""What differs: (expected, found) by (key, …)."""


def versions(world: World) -> dict[Any, Any]:
    return {
        (*name, table): pair
        for table in TABLES
        for name, pair in differing(world.expected_versions(table), world.found_versions(table)).items()
    }


def values(world: World, readings: Sequence[Reading], engine: str, as_known: bool) -> dict[Any, Any]:
    expected = with_nulls(world.expected_values(readings, as_known))
    return differing(expected, world.found_values(world.probes, readings, engine, as_known))


def online_values(world: World) -> dict[Any, Any]:
    return {
        (key, step, table): pair
        for step, tables in world.online.items()
        for table, found in tables.items()
        for key, pair in differing(world.expected_online(table, step), found).items()
    }


def assert_right(world: World, compare: Compare, make_worlds: MakeWorlds) -> None:
    """Fails with the smallest case that differs."""
    wrong = compare(world)
    if not wrong:
        return
    numbers = cases_in(wrong)
    if not numbers:
        pytest.fail(f"(expected, found): {wrong}")

    def remade(candidates: list[Case]) -> tuple[World, dict[Any, Any]]:
        (again,) = make_worlds({world.schedule: candidates})
        return again, compare(again)

    first = min((world.cases[number] for number in numbers), key=len)
    least = smallest(first, without_parts, lambda candidates: sorted(cases_in(remade(candidates)[1])))
    _, difference = remade([least])
    lines = [f"  {placed}" for placed in least]
    lines += [f"  {name}: expected {e}, found {f}" for name, (e, f) in list(difference.items())[:10]]
    lines = [f"{len(numbers)} of {len(world.cases)} cases differ; the smallest:", *lines]
    pytest.fail("\n".join([*lines, f"  days by step: {world.schedule.steps}"]), pytrace=False)


def test_the_logs_hold_the_versions_of_the_oracle(worlds: list[World], make_worlds: MakeWorlds) -> None:
    for world in worlds:
        assert_right(world, versions, make_worlds)


@pytest.mark.parametrize("as_known", [False, True], ids=["as known now", "as known then"])
@pytest.mark.parametrize("engine", ["duckdb", "spark"])
def test_training_rows_hold_the_values_of_the_oracle(
    worlds: list[World], make_worlds: MakeWorlds, profile: Profile, engine: str, as_known: bool
) -> None:
    readings = profile.spark_readings if engine == "spark" else ALL_READINGS
    for world in worlds:
        compare = partial(values, readings=readings, engine=engine, as_known=as_known)
        assert_right(world, compare, make_worlds)


def test_what_is_online_is_what_the_oracle_says_is_current(
    worlds: list[World], make_worlds: MakeWorlds
) -> None:
    for world in worlds:
        assert_right(world, online_values, make_worlds)

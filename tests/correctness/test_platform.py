"""From raw files to training rows and online values: what the platform says is what the oracle says.

Two sources, dozens of generated cases in each, are ingested together; every test looks at the same run. A failure
prints the smallest case that still fails, and what differs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from provender.online.views import save_applied_views
from tests.correctness.cases import differing, examples, smallest, without_parts
from tests.correctness.engines import ENGINES
from tests.correctness.world import (
    ALL_READINGS,
    FEW_READINGS,
    TABLES,
    Case,
    Reading,
    Schedule,
    World,
    cases,
    cases_in,
    with_nulls,
)
from tests.engine import make_project
from tests.servers import RedisServer

pytestmark = pytest.mark.spark


@dataclass(frozen=True)
class Profile:
    """How much is generated. Every schedule is a source of its own, ingested beside the others."""

    schedules: tuple[Schedule, ...]
    cases: int
    spark_readings: Sequence[Reading]


SHORT = Profile(
    (
        Schedule("plain", ((2,), (1, 3), (2, 4, 1)), has_created=False, materialized=(1,)),
        Schedule("stamped", ((1, 2, 3), (1, 4), (2,)), has_created=True, materialized=(1,)),
    ),
    cases=40,
    spark_readings=FEW_READINGS,
)
LONG = Profile(
    (
        Schedule("plain", ((4,), (2, 3), (2,), (1,), (4, 1)), has_created=False, materialized=(0, 1, 2, 3)),
        Schedule("stamped", ((3,), (1, 3), (3,), (2, 4), (1,)), has_created=True, materialized=(0, 1, 2, 3)),
        Schedule("ordered", ((1,), (2,), (3,), (4,), (2,), (1, 3)), has_created=False, materialized=(1, 3)),
        Schedule("at_once", ((1, 2, 3, 4), (2, 4), (4, 2)), has_created=True, materialized=(1,)),
    ),
    cases=200,
    spark_readings=ALL_READINGS,
)
MakeWorlds = Callable[[dict[Schedule, list[Case]]], list[World]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    own = RedisServer(tmp_path_factory.mktemp("redis"))
    own.start()
    yield own
    own.stop()


@pytest.fixture(scope="module")
def make_worlds(tmp_path_factory: pytest.TempPathFactory, engine_url: str, server: RedisServer) -> MakeWorlds:
    """Runs sources side by side in a new project."""

    def make(of_source: dict[Schedule, list[Case]]) -> list[World]:
        folder = tmp_path_factory.mktemp("world")
        project = make_project(folder, spark={"remote": engine_url}, redis=server.address, name=folder.name)
        worlds = [World(project, schedule, found) for schedule, found in of_source.items()]
        for world in worlds:
            world.write_source()
        save_applied_views(project.storage, project.settings.project, [v for w in worlds for v in w.views])
        with ThreadPoolExecutor(len(worlds)) as pool:
            list(pool.map(World.run, worlds))
        return worlds

    return make


@pytest.fixture(
    scope="module", params=[SHORT, pytest.param(LONG, marks=pytest.mark.slow)], ids=["short", "long"]
)
def profile(request: pytest.FixtureRequest) -> Profile:
    found: Profile = request.param
    return found


@pytest.fixture(scope="module")
def worlds(make_worlds: MakeWorlds, profile: Profile) -> list[World]:
    return make_worlds({s: examples(cases(s), profile.cases) for s in profile.schedules})


Compare = Callable[[World], dict[Any, Any]]
"""What differs: (expected, found) by (key, …)."""


def versions(world: World) -> dict[Any, Any]:
    return {
        (*name, table): pair
        for table in TABLES
        for name, pair in differing(world.expected_versions(table), world.found_versions(table)).items()
    }


def values(world: World, readings: Sequence[Reading], engine: str, as_known: bool) -> dict[Any, Any]:
    lookups = [world.lookup(*numbered) for numbered in enumerate(readings)]
    joined = ENGINES[engine](world.project.settings, world.entities, lookups, as_known)
    expected = with_nulls(world.expected_values(readings, as_known))
    return differing(expected, world.values_in(joined, readings))


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

"""Worlds for the tests of this folder: run once, looked at by many tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from provender.online.views import save_applied_views
from tests.correctness.cases import examples
from tests.correctness.variants import with_variants
from tests.correctness.world import ALL_READINGS, FEW_READINGS, Case, Reading, Schedule, World, cases
from tests.engine import make_project
from tests.servers import RedisServer


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


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    own = RedisServer(tmp_path_factory.mktemp("redis"))
    own.start()
    yield own
    own.stop()


@pytest.fixture(scope="session")
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
    scope="session", params=[SHORT, pytest.param(LONG, marks=pytest.mark.exhaustive)], ids=["short", "long"]
)
def profile(request: pytest.FixtureRequest) -> Profile:
    found: Profile = request.param
    return found


@pytest.fixture(scope="session")
def worlds(make_worlds: MakeWorlds, profile: Profile) -> list[World]:
    return make_worlds({s: with_variants(s, examples(cases(s), profile.cases)) for s in profile.schedules})

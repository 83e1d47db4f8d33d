"""Fixtures: one Redis and one predictor for all tests that do not break them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from artifacts import write_artifact
from servers import CARRIER_DAY, WEATHER, PredictorProcess, RedisServer, wait_until


@pytest.fixture(scope="session")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A good artifact."""
    return write_artifact(tmp_path_factory.mktemp("artifact"))


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """Redis with three carriers and two airports, true an hour before NOW and known then."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    server.write(
        CARRIER_DAY,
        [
            {"carrier": "UA", "mean_delay": 12.5, "flights": 30},
            {"carrier": "AA", "mean_delay": None, "flights": 10},
            {"carrier": "OLD", "mean_delay": 1.0, "flights": 5, "event": 7 * 24 + 0.001, "created": 1},
            {"carrier": "EDGE", "mean_delay": 1.0, "flights": 5, "event": 7 * 24, "created": 1},
            {"carrier": "LATE", "mean_delay": 1.0, "flights": 5, "event": 2, "created": -1},
        ],
    )
    server.write(WEATHER, [{"origin": "JFK", "wind": 3.1}, {"origin": "LGA", "wind": 8.0}])
    yield server
    server.stop()


@pytest.fixture(scope="session")
def predictor(
    tmp_path_factory: pytest.TempPathFactory, artifact: str, redis: RedisServer
) -> Iterator[PredictorProcess]:
    """A predictor that serves ``late`` with every policy as_null."""
    process = PredictorProcess(tmp_path_factory.mktemp("predictor"))
    process.point("late", artifact, redis.address)
    process.start()
    assert process.process is not None
    wait_until(lambda: process.get("/v2/models/late/ready")[0] == 200, process.process)
    yield process
    process.stop()

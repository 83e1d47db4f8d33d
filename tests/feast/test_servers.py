"""Feast's own servers over our repo, as the cluster starts them: registry on Postgres, values in Redis."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

import pyarrow as pa
import pytest
import yaml
from feast import FeatureStore, RepoConfig

from provender.feast.apply import apply
from provender.online.writer import OnlineWriter
from tests.engine import CHECKOUT
from tests.feast.conftest import SETTINGS, SPEC, VIEWS, Shop
from tests.point_in_time.logs import STAMP, at
from tests.postgres import PASSWORD, PostgresServer
from tests.servers import RedisServer, free_port

pytestmark = [pytest.mark.postgres, pytest.mark.redis, pytest.mark.slow]
FEATURES = ["driver_trips:trips", "driver_trips:rate", "driver_trips:city"]
_START_SECONDS = 120


def deployed_command(deployment: str, port: int, repo: Path) -> list[str]:
    """The command of ``deploy/kubernetes/feast.yaml``, on this machine's port and this repo."""
    documents = yaml.safe_load_all((CHECKOUT / "deploy/kubernetes/feast.yaml").read_text())
    (found,) = [
        each for each in documents if (each["kind"], each["metadata"]["name"]) == ("Deployment", deployment)
    ]
    command = list(found["spec"]["template"]["spec"]["containers"][0]["command"])
    command[command.index("--chdir") + 1] = str(repo)
    command[command.index("--port") + 1] = str(port)
    if "--host" in command:
        command[command.index("--host") + 1] = "127.0.0.1"
    return [str(Path(sys.executable).with_name(command[0])), *command[1:]]


@contextmanager
def serving(command: list[str], log: Path, answers: Callable[[], bool]) -> Iterator[None]:
    """The server during the block; its children, which it may fork, are in a group of its own."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, start_new_session=True, env={**os.environ}
        )
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not answers():
            ended = process.poll()
            assert ended is None and time.monotonic() < deadline, log.read_text()[-3000:]
            time.sleep(0.1)  # nothing to wait on but the port itself
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def listens(port: int) -> Callable[[], bool]:
    def answers() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    return answers


def is_healthy(port: int) -> Callable[[], bool]:
    def answers() -> bool:
        try:
            with urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False

    return answers


@pytest.fixture
def shop(
    tmp_path: Path, postgres: PostgresServer, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> Shop:
    """Applied, with two drivers online; registry and Redis named by variables of the environment."""
    place = f"127.0.0.1:{postgres.port}/{postgres.new_database()}"
    monkeypatch.setenv(
        "PROVENDER_REGISTRY", f"postgresql+psycopg://reader:{quote(PASSWORD, safe='')}@{place}"
    )
    monkeypatch.setenv("PROVENDER_REDIS", redis_server.address)
    shop = Shop(tmp_path)
    settings = SETTINGS.replace("sqlite:///../state/registry.db", "${PROVENDER_REGISTRY}")
    shop.write("feature_store.yaml", settings.replace("127.0.0.1:1", "${PROVENDER_REDIS}"))
    shop.write("sources/trips.yaml", SPEC)
    shop.write("views/trips_views.py", VIEWS)
    (view,) = apply(shop.repo).views
    values = {
        "driver_id": [1, 2],
        "trips": pa.array([10, None], pa.int32()),
        "rate": pa.array([0.5, -1.25], pa.float32()),
        "city": ["Århus", None],
    }
    times = ("event_timestamp", "created_timestamp", "guard_event", "guard_created")
    stamps = {name: pa.array([at(0), at(1)], STAMP) for name in times}
    OnlineWriter(redis_server.address, "shop").write(view.layout, [pa.record_batch(values | stamps)])
    return shop


def over_http(port: int, body: dict[str, Any]) -> dict[str, list[Any]]:
    """Column by column, as ``OnlineResponse.to_dict`` has it."""
    request = Request(
        f"http://127.0.0.1:{port}/get-online-features",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urlopen(request, timeout=30) as answer:
        found = json.load(answer)
    names = found["metadata"]["feature_names"]
    return {name: column["values"] for name, column in zip(names, found["results"], strict=True)}


def test_values_over_http_are_the_sdks(shop: Shop, tmp_path: Path) -> None:
    port = free_port()
    drivers = [1, 2, 3]
    store = shop.store()
    rows = [{"driver_id": driver, "extra": 5} for driver in drivers]
    expected = store.get_online_features(FEATURES, rows).to_dict()
    assert expected["trips"] == [10, None, None] and expected["city"] == ["Århus", None, None]
    service = store.get_online_features(store.get_feature_service("everything"), rows[:1]).to_dict()
    with serving(deployed_command("feast-features", port, shop.repo), tmp_path / "log", is_healthy(port)):
        asked = {"features": FEATURES, "entities": {"driver_id": drivers, "extra": [5, 5, 5]}}
        assert {n: c for n, c in over_http(port, asked).items() if n in expected} == {
            n: c for n, c in expected.items() if n != "extra"
        }
        by_service = over_http(
            port, {"feature_service": "everything", "entities": {"driver_id": [1], "extra": [5]}}
        )
        assert {n: by_service[n] for n in ("trips", "rate", "city", "total")} == {
            n: service[n] for n in ("trips", "rate", "city", "total")
        }
    assert PASSWORD not in (tmp_path / "log").read_text()


def test_a_client_of_the_registry_server_sees_the_views_and_reads_values(shop: Shop, tmp_path: Path) -> None:
    port = free_port()
    expected = shop.store().get_online_features(FEATURES, [{"driver_id": 1}, {"driver_id": 2}]).to_dict()
    with serving(deployed_command("feast-registry", port, shop.repo), tmp_path / "log", listens(port)):
        client = FeatureStore(
            config=RepoConfig(
                project="shop",
                provider="local",
                registry={"registry_type": "remote", "path": f"127.0.0.1:{port}"},
                online_store={"type": "redis", "connection_string": os.environ["PROVENDER_REDIS"]},
                offline_store="file",
                entity_key_serialization_version=3,
            )
        )
        assert [view.name for view in client.list_feature_views()] == ["driver_trips"]
        assert [service.name for service in client.list_feature_services()] == ["everything"]
        found = client.get_online_features(FEATURES, [{"driver_id": 1}, {"driver_id": 2}]).to_dict()
        assert found == expected
    assert PASSWORD not in (tmp_path / "log").read_text()

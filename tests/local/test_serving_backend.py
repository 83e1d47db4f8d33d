"""Deployments to this machine's real model server: whatever is wrong with a version, the old one serves on."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from provender.errors import DeployError, OnlineStoreError, ProvenderError
from provender.local import predictor
from provender.model_registry.artifact import Example
from provender.rollout.rollback import roll_back
from provender.serving_backends.client import PredictorClient
from provender.serving_backends.local import LocalServingBackend
from provender.settings import ServingSettings
from provender.specs.models.spec import Serving
from tests.engine import CHECKOUT
from tests.models.world import EXAMPLES, World, make_world, run
from tests.servers import RedisServer, free_port

PYTHON = CHECKOUT / "serving" / ".venv" / "bin" / "python"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.redis,
    pytest.mark.skipif(not PYTHON.exists(), reason="the serving environment is not installed"),
]


@dataclass
class Machine:
    """A world whose models are real, a model server, and a Redis of their own."""

    world: World
    backend: LocalServingBackend
    redis: RedisServer
    models: dict[str, bytes]
    predictions: dict[str, list[float]]

    def version(self, seed: int, *, shift: float = 0.0, model: bytes | None = None) -> str:
        """A version with the model of ``seed``; ``shift`` makes its golden rows' predictions wrong."""
        found = self.predictions[str(seed)]
        examples = [Example(row.inputs, value + shift) for row, value in zip(EXAMPLES, found, strict=True)]
        content = self.models[str(seed)] if model is None else model
        return self.world.write_version(content, examples=tuple(examples))

    def deploy(self, version: str, attempt: str) -> None:
        run(self.world.rollout(self.backend, version, attempt=attempt))

    def fails(self, version: str, attempt: str) -> ProvenderError:
        with pytest.raises(ProvenderError) as raised:
            self.deploy(version, attempt)
        return raised.value

    def serves(self) -> dict[str, str]:
        found = predictor.models(self.world.project.settings)
        return {each["name"]: each["version"] for each in found if each["version"]}

    def ask(self, **more: Any) -> Any:
        settings = self.world.project.settings
        instance = {"carrier": "UA", "hour": 7, "event_timestamp": "2026-03-10T03:00:00Z", **more}
        return PredictorClient(predictor.url(settings), "late").predict([instance])


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    folder = tmp_path_factory.mktemp("machine")
    redis = RedisServer(folder)
    redis.start()
    world = make_world(folder / "project", redis.address)
    settings = world.project.settings.model_copy(update={"serving": ServingSettings(port=free_port())})
    world.project.settings = settings
    models, predictions = fitted(folder, 2)
    yield Machine(world, LocalServingBackend(settings), redis, models, predictions)
    predictor.stop(settings)
    redis.stop()


@pytest.fixture
def old(machine: Machine) -> str:
    """A version that serves."""
    version = machine.version(0)
    start(machine.redis)
    machine.world.write_online({"UA": 10.0, "AA": 20.0})
    machine.deploy(version, "first")
    return version


def start(redis: RedisServer) -> None:
    """Unless it runs."""
    redis.stop()
    redis.start()


def fitted(folder: Path, columns: int) -> tuple[dict[str, bytes], dict[str, list[float]]]:
    rows = (
        [[row.inputs["hour"], row.inputs["carrier_day__delay"]] for row in EXAMPLES] if columns == 2 else []
    )
    command = [str(PYTHON), str(CHECKOUT / "tests" / "local" / "fitted.py"), str(folder), str(columns)]
    done = subprocess.run(command, input=json.dumps(rows), capture_output=True, text=True, check=True)
    models = {path.stem: path.read_bytes() for path in folder.glob("*.skops")}
    return models, json.loads(done.stdout)


def test_a_version_is_tried_beside_the_one_that_serves_and_takes_its_place(
    machine: Machine, old: str
) -> None:
    new = machine.version(1)
    machine.deploy(new, "swap")
    assert machine.serves() == {"late": new}
    assert machine.ask().version == new
    done = roll_back(
        machine.world.project.settings, machine.backend, "late", Serving(), to=old, attempt="cli"
    )
    assert done.version == old
    assert machine.serves() == {"late": old}


def test_no_request_fails_while_a_version_takes_the_others_place(machine: Machine, old: str) -> None:
    versions, done = [], threading.Event()

    def ask() -> None:
        while not done.is_set():
            versions.append(machine.ask().version)

    new = machine.version(2)
    with_requests = threading.Thread(target=ask)
    with_requests.start()
    try:
        machine.deploy(new, "under load")
    finally:
        done.set()
        with_requests.join()
    assert set(versions) <= {old, new}
    assert versions == sorted(versions, key=[old, new].index)
    assert len(versions) > 5


@pytest.mark.parametrize("model", [b"garbage", b""])
def test_a_model_that_does_not_load(machine: Machine, old: str, model: bytes) -> None:
    error = machine.fails(machine.version(1, model=model), f"broken {model!r}")
    assert "was not loaded" in error.what
    assert f"version {old}: it has all the traffic" in error.not_affected
    assert machine.serves() == {"late": old}


def test_a_model_that_raises_when_it_predicts(machine: Machine, old: str, tmp_path: Path) -> None:
    models, _ = fitted(tmp_path, 3)
    error = machine.fails(machine.version(1, model=models["0"]), "raises")
    assert isinstance(error, DeployError)
    assert "3 features" in error.what
    assert machine.serves() == {"late": old}
    assert machine.ask().version == old


def test_a_model_that_answers_otherwise_than_offline(machine: Machine, old: str) -> None:
    error = machine.fails(machine.version(1, shift=0.01), "shifted")
    assert "golden row 0 gives" in error.what and "instead of" in error.what
    assert machine.serves() == {"late": old}


def test_online_features_that_differ_from_offline_ones(machine: Machine, old: str) -> None:
    machine.world.write_online({"UA": 11.0})
    error = machine.fails(machine.version(1), "differs")
    assert "carrier=UA, hour=9: carrier_day__delay online 11.0, offline 10.0" in error.what
    assert machine.serves() == {"late": old}


def test_a_redis_that_is_down_before(machine: Machine, old: str) -> None:
    machine.redis.stop()
    error = machine.fails(machine.version(1), "no redis")
    assert isinstance(error, OnlineStoreError)
    assert machine.redis.address in str(error)
    assert machine.serves() == {"late": old}
    assert machine.world.store.state().version == old


def test_a_redis_that_goes_down_during_a_deployment(machine: Machine, old: str) -> None:
    rollout = machine.world.rollout(machine.backend, machine.version(1), attempt="redis goes")
    percent = rollout.start()
    assert percent == 0
    rollout.begin(percent)
    machine.redis.stop()
    with pytest.raises(OnlineStoreError) as raised:
        rollout.finish(percent)
    assert machine.redis.address in str(raised.value)
    assert f"version {old}: it has all the traffic" in str(raised.value)
    assert machine.serves() == {"late": old}
    state = machine.world.store.state()
    assert (state.version, state.trying) == (old, None)


def test_a_deployment_whose_task_was_killed_is_taken_up(machine: Machine, old: str) -> None:
    new = machine.version(1)
    rollout = machine.world.rollout(machine.backend, new, attempt="killed")
    percent = rollout.start()
    assert percent == 0
    rollout.begin(percent)
    assert machine.serves() == {"late": old, "late-candidate": new}
    machine.deploy(new, "killed")
    assert machine.serves() == {"late": new}


def test_a_predictor_that_was_ended_serves_the_same_again(machine: Machine, old: str) -> None:
    predictor.stop(machine.world.project.settings)
    predictor.ensure(machine.world.project.settings)
    assert machine.serves() == {"late": old}

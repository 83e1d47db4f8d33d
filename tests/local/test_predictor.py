"""The predictor of this machine: started once, models loaded and swapped, and what is left when that fails."""

from __future__ import annotations

import json
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from provender.errors import DeployError, PredictorError, SetupError
from provender.local import predictor, services
from provender.processes.process import ProcessRecord, free_port
from provender.settings import ServingSettings, Settings
from tests.logged import logged
from tests.servers import RedisServer

pytestmark = [pytest.mark.redis, pytest.mark.slow]

SERVING = Path(__file__).parents[2] / "serving"


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Two good artifacts and one whose golden rows do not hold."""
    folder = tmp_path_factory.mktemp("artifacts")
    wanted = {"first": ["0"], "second": ["1"], "bad": ["2", "0.001"]}
    return {name: _train(folder / name, arguments) for name, arguments in wanted.items()}


def _train(folder: Path, arguments: list[str]) -> str:
    command = [str(SERVING / ".venv/bin/python"), "tests/artifacts.py", str(folder), *arguments]
    done = subprocess.run(
        command, cwd=SERVING, check=True, capture_output=True, text=True, env={"PYTHONPATH": "."}
    )
    return done.stdout.strip()


@pytest.fixture
def settings(tmp_path: Path, redis_server: RedisServer) -> Iterator[Settings]:
    made = Settings(
        repo=tmp_path / "feature_defs",
        project="shop",
        storage_root=(tmp_path / "storage").as_uri(),
        state_dir=tmp_path / "state",
        redis=redis_server.address,
        serving=ServingSettings(port=free_port()),
    )
    yield made
    predictor.stop(made)


def pointer(artifact: str, settings: Settings) -> dict[str, Any]:
    online = {"connection_string": settings.redis, "project": settings.project}
    return {"artifact": artifact, "policy": {}, "online": online}


def predict(settings: Settings, model: str = "late") -> dict[str, Any]:
    body = json.dumps({"instances": [{"carrier": "UA", "origin": "JFK", "hour": 7}]}).encode()
    request = urllib.request.Request(f"{predictor.url(settings)}/v1/models/{model}:predict", body)
    with urllib.request.urlopen(request, timeout=20) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


def version(uri: str) -> str:
    return uri.rsplit("/", 1)[1]


def test_models_are_loaded_swapped_kept_over_a_restart_and_unloaded(
    settings: Settings, artifacts: dict[str, str]
) -> None:
    with logged() as told:
        _load_swap_restart(settings, artifacts)
    assert [line.split(" at ")[0] for line in told] == ["predictor: starting", "predictor: running"] * 2


def _load_swap_restart(settings: Settings, artifacts: dict[str, str]) -> None:
    predictor.ensure(settings)
    predictor.load(settings, "late", pointer(artifacts["first"], settings))
    assert predict(settings)["model_version"] == version(artifacts["first"])
    predictor.load(settings, "late", pointer(artifacts["second"], settings))
    assert predict(settings)["model_version"] == version(artifacts["second"])

    with pytest.raises(DeployError, match="does not answer as it did when it was trained"):
        predictor.load(settings, "late", pointer(artifacts["bad"], settings))
    assert predict(settings)["model_version"] == version(artifacts["second"])

    assert predictor.stop(settings)
    assert not predictor.stop(settings)
    predictor.ensure(settings)  # and not what had failed to load
    assert predict(settings)["model_version"] == version(artifacts["second"])
    assert [(m["name"], m["version"]) for m in predictor.models(settings)] == [
        ("late", version(artifacts["second"]))
    ]
    predictor.unload(settings, "late")
    predictor.unload(settings, "late")
    assert predictor.models(settings) == []
    assert predictor.pointers(settings) == []


def test_many_may_want_it_at_once_and_one_is_started(settings: Settings) -> None:
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda _: predictor.ensure(settings), range(3)))
    record = ProcessRecord.read(predictor.pid_file(settings))
    assert record is not None and record.is_alive
    (status,) = [one for one in services.status(settings) if one.name == "predictor"]
    assert (status.state, status.address) == ("running", predictor.url(settings))


def test_redis_away_is_worth_another_try_and_leaves_no_pointer(
    settings: Settings, artifacts: dict[str, str]
) -> None:
    predictor.ensure(settings)
    away = settings.model_copy(update={"redis": f"127.0.0.1:{free_port()}"})
    with pytest.raises(PredictorError, match=f"the online store at {away.redis}"):
        predictor.load(settings, "late", pointer(artifacts["first"], away))
    assert predictor.pointers(settings) == []


def test_a_predictor_that_does_not_run_is_said_with_its_address(
    settings: Settings, artifacts: dict[str, str]
) -> None:
    with pytest.raises(PredictorError, match="does not answer") as caught:
        predictor.load(settings, "late", pointer(artifacts["first"], settings))
    assert predictor.url(settings) in str(caught.value)
    assert predictor.pointers(settings) == []
    predictor.unload(settings, "late")


def test_a_pointer_is_for_its_owners_eyes_only(settings: Settings, artifacts: dict[str, str]) -> None:
    predictor.ensure(settings)
    predictor.load(settings, "late", pointer(artifacts["first"], settings))
    (path,) = (settings.state_dir / "predictor" / "models").glob("*.json")
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_taken_port_names_the_setting(settings: Settings) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", settings.serving.port))
        holder.listen()
        with pytest.raises(SetupError, match=r"port \d+ is in use") as caught:
            predictor.ensure(settings)
    assert "provender.serving.port" in str(caught.value)


def test_an_environment_that_is_not_installed_is_one_command_away(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(predictor.SERVING_VARIABLE, str(tmp_path))
    with pytest.raises(SetupError, match="serving environment is not installed") as caught:
        predictor.ensure(settings)
    assert "uv sync" in str(caught.value)


def test_a_predictor_that_dies_at_its_start_is_an_error_with_its_last_words(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / ".venv" / "bin" / "python"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\necho no such module; exit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv(predictor.SERVING_VARIABLE, str(tmp_path))
    with pytest.raises(PredictorError, match="no such module"):
        predictor.ensure(settings)

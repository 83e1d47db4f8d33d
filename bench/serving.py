"""The predictor under load, beside one that reads Redis by hand and beside itself without features.

The three servers run at once and are loaded in turns, so that all see the same machine; nobody else is loaded
meanwhile. The client is a process of this machine too: its share of the two cores is in every figure.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.load import Load, generate, generate_async, http_post
from bench.reading import PROJECT, VIEWS, entity_rows, fill
from bench.repos import CHECKOUT
from bench.results import Result
from bench.servers import redis_process, server_process
from provender.processes.process import free_port, replace_text

SERVING = CHECKOUT / "serving"
CONNECTIONS = (1, 8, 32)
ENTITIES = (1, 100)
LIMIT = 1.3
_ROUNDS = 3
_SECONDS = 1.0
_BODIES = 50
_SWAPS = 6
_START_SECONDS = 60.0


@dataclass(frozen=True)
class _Servers:
    ours: int
    by_hand: int
    models: Path


def run(folder: Path) -> list[Result]:
    """Requests per second, p50 and p99 for each number of connections and entities; then a hot swap under load."""
    with redis_process(folder) as address, ExitStack() as stack:
        fill(address)
        first, second = (_artifact(folder, seed, _views()) for seed in (0, 1))
        bare = _artifact(folder, 2, {})
        models = folder / "models"
        models.mkdir()
        _point(models, "bench", first, address)
        _point(models, "bare", bare, address)
        ours = stack.enter_context(_ours(folder, models))
        by_hand = stack.enter_context(_by_hand(folder, first, address))
        servers = _Servers(ours, by_hand, models)
        results = [found for entities in ENTITIES for found in _measure(servers, entities)]
        return [*results, _hot_swap(servers, address, (second, first))]


def _measure(servers: _Servers, entities: int) -> Iterator[Result]:
    bodies = [_body(entities, seed, keys=True) for seed in range(_BODIES)]
    plain = [_body(entities, seed, keys=False) for seed in range(_BODIES)]
    targets = {
        "ours": (
            servers.ours,
            [http_post(servers.ours, "/v1/models/bench:predict", body) for body in bodies],
        ),
        "hand": (
            servers.by_hand,
            [http_post(servers.by_hand, "/v1/models/bench:predict", b) for b in bodies],
        ),
        "bare": (servers.ours, [http_post(servers.ours, "/v1/models/bare:predict", body) for body in plain]),
    }
    for connections in CONNECTIONS:
        loads = {name: Load() for name in targets}
        for number in range(_ROUNDS + 1):
            for name, (port, requests) in targets.items():
                seen = generate(port, requests, connections, _SECONDS)
                loads[name] += seen if number else Load()  # the first round warms up
        failed = sum((load.failures for load in loads.values()), start=type(loads["ours"].failures)())
        if failed:
            raise RuntimeError(f"requests failed: {dict(failed)}")
        yield from _results(loads, entities, connections)


def _results(loads: dict[str, Load], entities: int, connections: int) -> Iterator[Result]:
    ours, hand, bare = loads["ours"], loads["hand"], loads["bare"]
    name = f"predict {entities} entities, {connections} connections"
    ratio, runs, peer = ours.p50 / hand.p50, len(ours.milliseconds), "Redis by hand"
    yield Result(
        f"{name}: p50", "ms", ours.p50, hand.p50, peer, ratio, f"at most {LIMIT:g}", ratio <= LIMIT, runs
    )
    yield Result(f"{name}: p99", "ms", ours.p99, hand.p99, peer, ours.p99 / hand.p99, "", True, runs)
    rate = ours.per_second / hand.per_second
    yield Result(f"{name}: rate", "1/s", ours.per_second, hand.per_second, peer, rate, "", True, runs)
    yield Result(f"{name}: p50", "ms", ours.p50, bare.p50, "no features", ours.p50 / bare.p50, "", True, runs)


def _hot_swap(servers: _Servers, address: str, artifacts: tuple[str, str]) -> Result:
    """Versions change while eight connections ask; nothing may fail."""
    bodies = [_body(1, seed, keys=True) for seed in range(_BODIES)]
    requests = [http_post(servers.ours, "/v1/models/bench:predict", body) for body in bodies]

    def swap() -> None:
        for number in range(_SWAPS):
            _point(servers.models, "bench", artifacts[number % 2], address)
            _load(servers.ours, "bench")

    async def both() -> Load:
        swapping = asyncio.create_task(asyncio.to_thread(swap))
        load = Load()
        while not swapping.done():
            load += await generate_async(servers.ours, requests, 8, 0.5)
        await swapping
        return load

    load = asyncio.run(both())
    failed = sum(load.failures.values())
    name = f"failed of {len(load.milliseconds) + failed} requests during {_SWAPS} swaps"
    return Result(name, "requests", failed, None, "", None, "none", failed == 0, 1)


def _body(entities: int, seed: int, *, keys: bool) -> bytes:
    chance = random.Random(seed)
    rows: list[dict[str, Any]] = []
    for row in entity_rows(entities, seed):
        request = {"hour": chance.randrange(24), "distance": chance.randrange(100, 3000)}
        rows.append(request | (row if keys else {"carrier": row["carrier"]}))
    return json.dumps({"instances": rows}).encode()


def _views() -> dict[str, Any]:
    return {
        view.view: {"join_keys": [n for n, _ in view.join_keys], "features": [n for n, _ in view.features]}
        for view in VIEWS
    }


def _python() -> str:
    return str(SERVING / ".venv" / "bin" / "python")


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def _artifact(folder: Path, seed: int, views: dict[str, Any]) -> str:
    command = [_python(), "-m", "bench.artifact", str(folder / "artifacts"), str(seed), json.dumps(views)]
    done = subprocess.run(
        command, cwd=SERVING, env=_environment(), check=True, stdout=subprocess.PIPE, text=True
    )
    return done.stdout.strip()


def _point(models: Path, name: str, artifact: str, address: str) -> None:
    online = {"connection_string": address, "project": PROJECT}
    replace_text(models / f"{name}.json", json.dumps({"artifact": artifact, "online": online}))


def _load(port: int, name: str) -> None:
    url = f"http://127.0.0.1:{port}/v2/repository/models/{name}/load"
    with urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=60) as answer:
        answer.read()


@contextmanager
def _ours(folder: Path, models: Path) -> Iterator[int]:
    port = free_port()
    command = [_python(), "-m", "provender_serving", "--host", "127.0.0.1", "--http_port", str(port)]
    command += ["--models-dir", str(models)]
    with server_process(command, port, folder / "ours.log", cwd=SERVING, env=_environment()):
        _await_ready(port, "bench", "bare")
        yield port


@contextmanager
def _by_hand(folder: Path, artifact: str, address: str) -> Iterator[int]:
    port = free_port()
    command = [_python(), "-m", "bench.by_hand", str(port), artifact, address, PROJECT]
    with server_process(command, port, folder / "by_hand.log", cwd=SERVING, env=_environment()):
        _await_ready(port, "bench")
        yield port


def _await_ready(port: int, *models: str) -> None:
    """Raises :class:`RuntimeError` if a model is not ready in time."""
    deadline = time.monotonic() + _START_SECONDS
    for model in models:
        while not _is_ready(port, model):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{model} is not ready on port {port}")
            time.sleep(0.05)


def _is_ready(port: int, model: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/models/{model}/ready", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False

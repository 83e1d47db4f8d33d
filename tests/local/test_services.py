"""``down`` ends everything of its state directory, also what nobody has a pid file of, and nothing else."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from provender.local import redis_server, services
from provender.processes.process import ProcessRecord, free_port, start_detached, stop_tree
from provender.settings import Settings
from tests.logged import logged

SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)"]


def settings_at(folder: Path, redis: str = "elsewhere:6379") -> Settings:
    return Settings(
        repo=folder / "feature_defs",
        project="test",
        storage_root=(folder / "storage").as_uri(),
        state_dir=folder / "state",
        redis=redis,
    )


def test_down_ends_what_killed_processes_left_and_nothing_of_another_checkout(tmp_path: Path) -> None:
    ours, theirs = settings_at(tmp_path / "ours"), settings_at(tmp_path / "theirs")
    started = {}
    for name, settings in (("ours", ours), ("theirs", theirs)):
        for place in ("jobs/day/1", "predictor", "spark"):
            pid_file = settings.state_dir / place / "pid.json"
            started[name, place] = start_detached(SLEEPER, log=tmp_path / "log", pid_file=pid_file)
            pid_file.unlink()
    with logged() as told:
        services.down(ours)
    alive = {key for key, record in started.items() if record.is_alive}
    for record in started.values():
        stop_tree(record, 1)
    assert alive == {("theirs", "jobs/day/1"), ("theirs", "predictor"), ("theirs", "spark")}
    assert "processes that something killed had left behind: ended" in told
    with logged() as told:
        services.down(ours)
    assert told[-1] == "airflow: was not running"


@pytest.fixture
def with_redis(tmp_path: Path) -> Iterator[Settings]:
    made = settings_at(tmp_path, f"127.0.0.1:{free_port()}")
    yield made
    redis_server.stop(made)


@pytest.mark.redis
def test_a_redis_whose_pid_file_is_lost_is_known_and_stopped(with_redis: Settings) -> None:
    redis_server.start(with_redis)
    first = ProcessRecord.read(redis_server.pid_file(with_redis))
    redis_server.pid_file(with_redis).unlink()
    redis_server.start(with_redis)
    assert first is not None and not first.is_alive
    redis_server.pid_file(with_redis).write_text("{")
    assert redis_server.stop(with_redis)
    assert not redis_server.answers(*redis_server.address(with_redis))

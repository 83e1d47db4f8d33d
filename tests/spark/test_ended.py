"""What is said of an engine that ended: what happened, and which setting to change."""

from __future__ import annotations

import signal
from copy import copy
from pathlib import Path

import grpc  # type: ignore[import-untyped]
import pytest

from provender.errors import SparkUnavailableError
from provender.processes.process import free_port
from provender.settings import Settings
from provender.spark import server
from provender.spark.ended import Ended, oom_kills, read_ended, write_ended
from provender.spark.watch import EngineWatch

KILLED = Ended(keeper_pid=7, code=-signal.SIGKILL, is_heap_full=False, is_memory_full=False)


@pytest.mark.parametrize(
    ("ended", "what", "remedy"),
    [
        (KILLED, "killed by SIGKILL (exit code 137)", "for lack of memory"),
        (Ended(7, 137, False, True), "the machine's memory was full", "driver_memory (now 4g)"),
        (Ended(7, 3, True, False), "ran out of memory", "raise provender.spark.driver_memory (now 4g)"),
        (Ended(7, -signal.SIGSEGV, False, False), "killed by SIGSEGV", "read the end of the log"),
        (Ended(7, 1, False, False), "exit code 1", "read the end of the log"),
        (Ended(7, None, False, False), "was stopped", "run the same command again"),
    ],
)
def test_the_end_of_an_engine_is_a_sentence_with_its_remedy(ended: Ended, what: str, remedy: str) -> None:
    assert what in ended.what
    assert remedy in ended.remedy("4g")


def test_how_an_engine_ended_is_read_by_who_used_that_one_only(tmp_path: Path) -> None:
    path = tmp_path / "ended.json"
    assert read_ended(path, 7) is None
    write_ended(path, KILLED)
    assert read_ended(path, 7) == KILLED
    assert read_ended(path, 8) is None
    path.write_text("{")
    assert read_ended(path, 7) is None
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_kernels_count_of_kills_for_lack_of_memory_is_a_number() -> None:
    assert oom_kills() >= 0


@pytest.fixture
def refused() -> grpc.RpcError:
    """What gRPC raises where nobody listens."""
    with grpc.insecure_channel(f"127.0.0.1:{free_port()}") as channel, pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary("/nobody/listens")(b"")
    return caught.value


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        repo=tmp_path / "feature_defs",
        project="test",
        storage_root=(tmp_path / "storage").as_uri(),
        state_dir=tmp_path / "state",
        redis="127.0.0.1:1",
    )


def test_an_engine_that_is_gone_is_not_asked_again(settings: Settings, refused: grpc.RpcError) -> None:
    watch = EngineWatch(settings, server.Address(port=1, token="t", keeper_pid=7))
    assert watch.is_gone
    assert not watch.policy().to_state().can_retry(refused)
    write_ended(server.Files.of(settings).ended, KILLED)
    with pytest.raises(SparkUnavailableError, match="killed by SIGKILL"), watch.explaining():
        raise refused
    with pytest.raises(KeyError), watch.explaining():
        raise KeyError("no business of the engine's")


def test_an_engine_elsewhere_is_asked_again_for_seconds_only(
    settings: Settings, refused: grpc.RpcError
) -> None:
    watch = EngineWatch(settings, None)
    asked = watch.policy().to_state()
    waits = []
    while asked.can_retry(error := copy(refused)):  # PySpark asks twice about each
        waits.append(asked.next_attempt(error))
    assert 1000 < sum(wait or 0 for wait in waits) < 10_000
    with pytest.raises(SparkUnavailableError, match="provender.spark.remote"), watch.explaining():
        raise refused

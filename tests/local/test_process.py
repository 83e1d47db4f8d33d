from __future__ import annotations

import json
import os
import socket
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from provender.errors import SetupError
from provender.processes.process import (
    ProcessRecord,
    free_port,
    replace_text,
    require_free_port,
    start_detached,
    stop_recorded,
    stop_tree,
)

SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)"]
STUBBORN_PARENT = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(child.pid, flush=True)
time.sleep(60)
"""


def wait_for_text(path: Path) -> str:
    process = psutil.Process()
    while not (text := path.read_text()).endswith("\n"):
        process.cpu_times()
    return text


def test_a_record_recognises_its_process(tmp_path: Path) -> None:
    record = start_detached(SLEEPER, log=tmp_path / "log")
    assert record.is_alive
    assert stop_tree(record, 5)
    assert not record.is_alive


def test_a_record_is_not_taken_in_by_another_process_with_the_same_pid() -> None:
    mine = ProcessRecord.of(os.getpid())
    assert mine.is_alive
    assert not ProcessRecord(mine.pid, mine.started - 100).is_alive


def test_a_half_written_record_is_no_record(tmp_path: Path) -> None:
    (tmp_path / "pid.json").write_text('{"pid": 12')
    assert ProcessRecord.read(tmp_path / "pid.json") is None
    assert ProcessRecord.read(tmp_path / "absent.json") is None


def test_stopping_ends_a_process_that_ignores_the_polite_signal_and_its_children(tmp_path: Path) -> None:
    log = tmp_path / "log"
    record = start_detached([sys.executable, "-c", STUBBORN_PARENT], log=log)
    child = ProcessRecord.of(int(wait_for_text(log)))
    assert stop_tree(record, 0.5)
    assert not record.is_alive
    assert not child.is_alive


@pytest.mark.slow
def test_stopping_finds_the_members_of_a_session_whose_leader_died(tmp_path: Path) -> None:
    log = tmp_path / "log"
    record = start_detached([sys.executable, "-c", STUBBORN_PARENT], log=log)
    child = ProcessRecord.of(int(wait_for_text(log)))
    leader = record.process()
    assert leader is not None
    leader.kill()
    leader.wait(5)
    assert child.is_alive
    assert stop_tree(record, 2)
    assert not child.is_alive


def test_stopping_what_does_not_run_is_no_error() -> None:
    assert not stop_tree(ProcessRecord(2**22 - 1, 1.0), 1)


def test_a_taken_port_is_one_sentence_with_its_holder_and_the_remedy() -> None:
    port = free_port()
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", port))
        holder.listen()
        with pytest.raises(SetupError) as caught:
            require_free_port("127.0.0.1", port, "redis", "change the port")
    assert f"port {port} is in use by process {os.getpid()}" in str(caught.value)
    assert "change the port" in str(caught.value)


def test_a_free_port_is_free() -> None:
    require_free_port("127.0.0.1", free_port(), "redis", "")


def test_a_program_that_is_not_there_is_a_set_up_error(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="no-such-program is not there"):
        start_detached(["no-such-program"], log=tmp_path / "log")


def test_replacing_a_text_keeps_its_mode(tmp_path: Path) -> None:
    replace_text(tmp_path / "secret", "s", mode=0o600)
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["secret"]


def test_a_record_does_not_depend_on_the_clock() -> None:
    mine = ProcessRecord.of(os.getpid())
    assert replace(mine, started=mine.started + 3600).is_alive
    assert not replace(mine, ticks=(mine.ticks or 0) + 1).is_alive
    assert not replace(mine, boot="another start of the machine").is_alive


def test_a_record_without_ticks_is_read(tmp_path: Path) -> None:
    mine = ProcessRecord.of(os.getpid())
    (tmp_path / "pid.json").write_text(json.dumps({"pid": mine.pid, "started": mine.started}))
    assert ProcessRecord.read(tmp_path / "pid.json") == ProcessRecord(mine.pid, mine.started)


def test_another_program_that_got_the_pid_is_left_alone_and_so_is_its_session(tmp_path: Path) -> None:
    other = start_detached([sys.executable, "-c", STUBBORN_PARENT], log=tmp_path / "log")
    child = ProcessRecord.of(int(wait_for_text(tmp_path / "log")))
    pid_file = tmp_path / "redis.pid.json"
    for stale in (replace(other, ticks=1), ProcessRecord(other.pid, other.started - 100)):
        stale.write(pid_file)
        assert not stop_recorded(pid_file, 1)
        assert other.is_alive and child.is_alive
    leader = other.process()
    assert leader is not None
    leader.kill()
    leader.wait(5)
    replace(other, ticks=1).write(pid_file)
    assert not stop_recorded(pid_file, 1)
    assert child.is_alive
    assert stop_tree(other, 1)


def test_what_was_started_is_found_without_its_pid_file(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid.json"
    record = start_detached([sys.executable, "-c", STUBBORN_PARENT], log=tmp_path / "log", pid_file=pid_file)
    child = ProcessRecord.of(int(wait_for_text(tmp_path / "log")))
    assert ProcessRecord.read(pid_file) == record
    pid_file.write_text("{")
    assert stop_recorded(pid_file, 0.5)
    assert not record.is_alive and not child.is_alive and not pid_file.exists()


def test_stopping_leaves_alone_what_was_started_for_something_else(tmp_path: Path) -> None:
    start = (
        "import sys, time; from pathlib import Path; from provender.processes.process import start_detached as start;"
        f"there = Path({str(tmp_path)!r});"
        "sleep = [sys.executable, '-c', 'import time; time.sleep(60)'];"
        "print(start(sleep, log=there / 'inner', pid_file=there / 'inner.json').pid, flush=True);"
        "time.sleep(60)"
    )
    start_detached([sys.executable, "-c", start], log=tmp_path / "log", pid_file=tmp_path / "outer.json")
    wait_for_text(tmp_path / "log")
    inner = ProcessRecord.read(tmp_path / "inner.json")
    assert stop_recorded(tmp_path / "outer.json", 1)
    assert inner is not None and inner.is_alive
    assert stop_recorded(tmp_path / "inner.json", 1)


def test_logs_are_this_users_only(tmp_path: Path) -> None:
    (tmp_path / "log").touch(0o644)
    stop_tree(start_detached(SLEEPER, log=tmp_path / "log"), 1)
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o600

"""A guard is a fork, so each test's owner is a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from provender.processes.guard import TITLE
from provender.processes.marks import MARK, mark_of, marked

OWNER = """
import os, subprocess, sys, time
from pathlib import Path
from provender.processes.guard import Guard
mark, note = sys.argv[1:3]
guard = Guard(mark, at_end=lambda: Path(note).write_text("the owner ended"))
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
print("started", flush=True)
"""


def start_owner(folder: Path, then: str) -> subprocess.Popen[str]:
    mark = mark_of(folder / "pid.json")
    return subprocess.Popen(
        [sys.executable, "-c", OWNER + then, mark, str(folder / "note")],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, MARK: mark},
    )


def test_a_guard_ends_what_its_killed_owner_started_and_says_so_first(tmp_path: Path) -> None:
    owner = start_owner(tmp_path, "time.sleep(60)")
    assert owner.stdout is not None and owner.stdout.readline() == "started\n"
    found = marked(mark_of(tmp_path / "pid.json"))
    assert len(found) == 3
    assert [TITLE in process.cmdline() for process in found].count(True) == 1
    owner.send_signal(signal.SIGKILL)
    assert owner.stdout.read() == "", "the guard and the rest have closed what they inherited"
    owner.wait()
    assert marked(mark_of(tmp_path / "pid.json")) == []
    assert (tmp_path / "note").read_text() == "the owner ended"


@pytest.mark.parametrize("before", ["", "os.kill(guard.pid, 9);"])
def test_a_guard_that_is_released_leaves_its_owner_alone(tmp_path: Path, before: str) -> None:
    end = (
        ""
        if not before
        else "from provender.processes.marks import end, marked; end(lambda: marked(mark), 0);"
    )
    owner = start_owner(tmp_path, f"{before}{end}guard.release(); print('still here'); sys.exit(7)")
    said, _ = owner.communicate(timeout=60)
    assert "still here" in said and owner.returncode == 7
    assert marked(mark_of(tmp_path / "pid.json")) == []

"""Jobs of one machine: each a process with a folder, which a later process finds again.

``<state_dir>/jobs/<name>/<number>/`` is one **submission** of the job ``name``:

    job.json    what runs: command, folder, what to run when it is cancelled; the environment is kept nowhere
    pid.json    the runner's process (``provender.local.job_runner``), which started the command
    lease       touched by whoever awaits the job; one nobody touches for ``LEASE_SECONDS`` is ended
    log         what the command said
    cancel      somebody asked for its end
    exit.json   it ended: ``code`` and ``reason`` (``exited``, ``cancelled``, ``abandoned``)
    taken       somebody saw how it ended, so that a later run of the same name starts a new submission

The name makes it findable. The attempt's id is the name, the number and a random part.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path

from provender.processes.marks import end, mark_of, marked
from provender.processes.process import ProcessRecord, replace_text, start_detached

LEASE_SECONDS = 60.0
_STARTING_SECONDS = 30.0
"""How long a submission may be without a runner before it counts as lost."""
_STOP_SECONDS = 75.0
_POLL_SECONDS = 0.1


class JobState(StrEnum):
    """Where a submission stands. ``LOST``: its runner was killed, how the command ended is unknown."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"

    @property
    def is_final(self) -> bool:
        return self is not JobState.RUNNING


@dataclass(frozen=True, slots=True)
class JobStatus:
    """State and, once the command ended, its exit code (negative: the signal that ended it)."""

    state: JobState
    exit_code: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Submission:
    """One submission's folder, and the files in it."""

    folder: Path

    @property
    def name(self) -> str:
        return self.folder.parent.name

    @property
    def number(self) -> int:
        return int(self.folder.name)

    @property
    def attempt(self) -> str:
        """The id of this submission, different from all others, also after their folders were removed."""
        return str(json.loads(self.job_file.read_text(encoding="utf-8"))["attempt"])

    @property
    def log_file(self) -> Path:
        return self.folder / "log"

    @property
    def pid_file(self) -> Path:
        return self.folder / "pid.json"

    @property
    def job_file(self) -> Path:
        return self.folder / "job.json"

    @property
    def lease_file(self) -> Path:
        return self.folder / "lease"

    @property
    def exit_file(self) -> Path:
        return self.folder / "exit.json"

    @property
    def is_taken(self) -> bool:
        return (self.folder / "taken").exists()

    @property
    def is_cancelled(self) -> bool:
        return (self.folder / "cancel").exists()

    def renew(self) -> None:
        """Says that somebody still awaits the job."""
        self.lease_file.touch()

    def renewed_ns(self) -> int:
        """Another number than before: it was renewed since."""
        return self.lease_file.stat().st_mtime_ns

    def lease_age_seconds(self) -> float:
        return time.time() - self.lease_file.stat().st_mtime

    def take(self) -> None:
        """Says that the end was seen: :func:`find` no longer offers this submission."""
        (self.folder / "taken").touch()

    def status(self) -> JobStatus:
        if (ended := self._exit()) is not None:
            return ended
        record = ProcessRecord.read(self.pid_file)
        if record is None and self.lease_age_seconds() < _STARTING_SECONDS:
            return JobStatus(JobState.RUNNING)
        if record is not None and record.is_alive:
            return JobStatus(JobState.RUNNING)
        # The runner writes how it ended just before it ends: look again now that it is gone.
        return self._exit() or JobStatus(JobState.LOST, reason="its runner was killed")

    def cancel(self) -> None:
        """Asks the runner to end the command; one that already ended is left alone."""
        (self.folder / "cancel").touch()
        record = ProcessRecord.read(self.pid_file)
        runner = record.process() if record else None
        if runner is not None:
            runner.send_signal(signal.SIGTERM)

    def _exit(self) -> JobStatus | None:
        try:
            document = json.loads(self.exit_file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except ValueError:
            return JobStatus(JobState.LOST, reason=f"{self.exit_file} cannot be read")
        code, reason = int(document["code"]), str(document["reason"])
        if reason != "exited":
            return JobStatus(JobState.CANCELLED, code, reason)
        return JobStatus(JobState.SUCCEEDED if code == 0 else JobState.FAILED, code, reason)


def submit(
    state_dir: Path,
    name: str,
    command: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    on_cancel: Sequence[str] = (),
    lease_seconds: float = LEASE_SECONDS,
) -> Submission:
    """Starts ``command`` as a new submission of ``name``; ``{attempt}`` in an argument becomes its id.

    ``env`` is the whole environment. ``on_cancel`` runs after the command was ended before its time. What an
    earlier submission of the name left behind, if its runner was killed, is ended first.
    """
    _end_leftovers(state_dir / "jobs" / name)
    submission = _new_submission(state_dir / "jobs" / name)
    attempt = f"{name}-{submission.number}-{secrets.token_hex(3)}"
    document = {
        "attempt": attempt,
        "command": [part.replace("{attempt}", attempt) for part in command],
        "on_cancel": [part.replace("{attempt}", attempt) for part in on_cancel],
        "cwd": str(cwd),
        "lease_seconds": lease_seconds,
    }
    submission.renew()
    replace_text(submission.job_file, json.dumps(document, indent=1))
    runner = [sys.executable, "-m", "provender.local.job_runner", str(submission.folder)]
    with _held_back(signal.SIGTERM):
        start_detached(runner, log=submission.log_file, pid_file=submission.pid_file, cwd=cwd, env=env)
    return submission


@contextmanager
def _held_back(number: signal.Signals) -> Iterator[None]:
    """A process that is started in the block is born with the signal blocked: one that comes before the process can
    handle it waits, instead of ending it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {number})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def find(state_dir: Path, name: str) -> Submission | None:
    """The newest submission of ``name`` whose end nobody has seen yet."""
    newest = next(iter(_submissions(state_dir / "jobs" / name)), None)
    return None if newest is None or newest.is_taken else newest


def running(state_dir: Path) -> list[Submission]:
    """All submissions whose runner is alive."""
    return [
        submission
        for folder in sorted((state_dir / "jobs").glob("*"))
        for submission in _submissions(folder)
        if not submission.exit_file.exists() and submission.status().state is JobState.RUNNING
    ]


def stop_all(state_dir: Path) -> list[str]:
    """Cancels every running job and waits for their ends. Returns the attempts."""
    stopped = running(state_dir)
    for submission in stopped:
        submission.cancel()
    for submission in stopped:
        await_end(submission)
    return [submission.attempt for submission in stopped]


def await_end(submission: Submission) -> JobStatus:
    """Waits until a cancelled submission ended, at most as long as its runner takes to end it by force."""
    deadline = time.monotonic() + _STOP_SECONDS
    status = submission.status()
    while not status.state.is_final and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
        status = submission.status()
    return status


def forget_old(state_dir: Path, keep_days: float) -> int:
    """Removes folders of jobs that ended more than ``keep_days`` ago. Returns how many."""
    before = time.time() - keep_days * 86400
    removed = 0
    for folder in (state_dir / "jobs").glob("*"):
        submissions = list(_submissions(folder))
        is_old = all(s.exit_file.exists() and s.exit_file.stat().st_mtime < before for s in submissions)
        if submissions and is_old:
            shutil.rmtree(folder)
            removed += 1
    return removed


def _end_leftovers(folder: Path) -> None:
    """A runner's guard does this; here are those whose guard was killed too."""
    for submission in _submissions(folder):
        if not submission.exit_file.exists() and submission.status().state is JobState.LOST:
            end(partial(marked, mark_of(submission.pid_file)), 0)


def _submissions(folder: Path) -> Iterator[Submission]:
    """Newest first; a folder without its job file is still being written."""
    numbers = sorted((int(p.name) for p in folder.glob("[0-9]*") if p.name.isdigit()), reverse=True)
    for number in numbers:
        submission = Submission(folder / str(number))
        if submission.job_file.exists():
            yield submission


def _new_submission(folder: Path) -> Submission:
    folder.mkdir(parents=True, exist_ok=True)
    number = max((int(p.name) for p in folder.glob("[0-9]*") if p.name.isdigit()), default=0)
    while True:
        number += 1
        try:
            os.mkdir(folder / str(number))
        except FileExistsError:
            continue
        return Submission(folder / str(number))

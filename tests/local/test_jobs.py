"""Jobs are real processes here: Python one-liners that end at once, wait, or start others."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from provender.local import jobs
from provender.local.jobs import JobState, Submission
from provender.processes.guard import TITLE
from provender.processes.marks import is_running, mark_of, marked
from provender.processes.process import ProcessRecord

BOUND_SECONDS = 20
Submit = Callable[..., Submission]


@pytest.fixture
def submit(tmp_path: Path) -> Iterator[Submit]:
    submissions: list[Submission] = []

    def start(code: str, name: str = "job", **options: object) -> Submission:
        command = [sys.executable, "-c", code, "{attempt}"]
        submission = jobs.submit(tmp_path, name, command, cwd=tmp_path, env=dict(os.environ), **options)  # type: ignore[arg-type]
        submissions.append(submission)
        return submission

    yield start
    for submission in submissions:
        if submission.folder.exists():
            submission.cancel()
            end_of(submission)


def end_of(submission: Submission) -> jobs.JobStatus:
    """Looks until the job ended; looking does not renew its lease."""
    deadline = time.monotonic() + BOUND_SECONDS
    while not (status := submission.status()).state.is_final:
        assert time.monotonic() < deadline, submission.log_file.read_text()
    return status


def line_of(submission: Submission) -> str:
    deadline = time.monotonic() + BOUND_SECONDS
    while not (text := submission.log_file.read_text()).endswith("\n"):
        assert time.monotonic() < deadline
    return text.strip()


PRINT_PID_AND_WAIT = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"


def test_a_job_runs_and_says_how_it_ended(submit: Submit) -> None:
    submission = submit("import sys; print('hello', sys.argv[1])")
    assert end_of(submission) == jobs.JobStatus(JobState.SUCCEEDED, 0, "exited")
    assert submission.log_file.read_text() == f"hello {submission.attempt}\n"


def test_a_failed_job_keeps_its_exit_code(submit: Submit) -> None:
    assert end_of(submit("raise SystemExit(3)")) == jobs.JobStatus(JobState.FAILED, 3, "exited")


def test_every_submission_of_a_name_has_an_attempt_id_of_its_own(submit: Submit, tmp_path: Path) -> None:
    attempts = {submit("pass").attempt for _ in range(3)}
    assert len(attempts) == 3


def test_a_running_job_is_found_by_its_name(submit: Submit, tmp_path: Path) -> None:
    submission = submit(PRINT_PID_AND_WAIT)
    assert jobs.find(tmp_path, "job") == submission
    assert jobs.running(tmp_path) == [submission]
    assert jobs.find(tmp_path, "other") is None


def test_an_end_nobody_saw_is_found_and_one_that_was_seen_is_not(submit: Submit, tmp_path: Path) -> None:
    submission = submit("pass")
    end_of(submission)
    assert jobs.find(tmp_path, "job") == submission
    submission.take()
    assert jobs.find(tmp_path, "job") is None


def test_cancelling_ends_the_command_and_runs_the_clean_up(submit: Submit) -> None:
    submission = submit(PRINT_PID_AND_WAIT, on_cancel=["echo", "cleaned", "{attempt}"])
    pid = int(line_of(submission))
    command = ProcessRecord.of(pid)
    submission.cancel()
    assert end_of(submission).state is JobState.CANCELLED
    assert not command.is_alive
    assert submission.log_file.read_text().endswith(f"cleaned {submission.attempt}\n")


def await_gone(record: ProcessRecord) -> None:
    """A signalled process ends when the kernel gets round to it."""
    deadline = time.monotonic() + BOUND_SECONDS
    while record.is_alive:
        assert time.monotonic() < deadline


def test_cancelling_ends_what_the_command_started_too(submit: Submit) -> None:
    code = "import subprocess, time; print(subprocess.Popen(['sleep', '60']).pid, flush=True); time.sleep(60)"
    submission = submit(code)
    grandchild = ProcessRecord.of(int(line_of(submission)))
    submission.cancel()
    end_of(submission)
    await_gone(grandchild)


@pytest.mark.slow
def test_a_command_that_ignores_the_polite_signal_is_killed(submit: Submit) -> None:
    submission = submit(f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {PRINT_PID_AND_WAIT}")
    line_of(submission)
    submission.cancel()
    assert end_of(submission) == jobs.JobStatus(JobState.CANCELLED, -signal.SIGKILL, "cancelled")


def test_cancelling_a_job_that_ended_changes_nothing(submit: Submit) -> None:
    submission = submit("pass")
    end_of(submission)
    submission.cancel()
    assert submission.status().state is JobState.SUCCEEDED


def test_leftovers_of_a_command_that_ended_are_ended(submit: Submit) -> None:
    submission = submit("import subprocess; print(subprocess.Popen(['sleep', '60']).pid, flush=True)")
    assert end_of(submission).state is JobState.SUCCEEDED
    leftover = int(submission.log_file.read_text())
    deadline = time.monotonic() + BOUND_SECONDS
    while psutil.pid_exists(leftover) and psutil.Process(leftover).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline


def test_a_job_nobody_awaits_is_ended_when_its_lease_runs_out(submit: Submit) -> None:
    submission = submit(PRINT_PID_AND_WAIT, lease_seconds=1.0)
    command = ProcessRecord.of(int(line_of(submission)))
    assert end_of(submission).reason == "abandoned"
    await_gone(command)


@pytest.mark.slow
def test_a_job_somebody_awaits_keeps_its_lease(submit: Submit) -> None:
    submission = submit("import time; time.sleep(3)", lease_seconds=1.5)
    while not submission.status().state.is_final:
        submission.renew()
    assert submission.status().state is JobState.SUCCEEDED


def test_the_command_dies_with_a_runner_that_is_killed(submit: Submit) -> None:
    submission = submit(PRINT_PID_AND_WAIT)
    command = ProcessRecord.of(int(line_of(submission)))
    runner = ProcessRecord.read(submission.pid_file)
    assert runner is not None
    os.kill(runner.pid, signal.SIGKILL)
    assert end_of(submission).state is JobState.LOST
    process = command.process()
    if process is not None:
        process.wait(5)
    assert not command.is_alive


def test_stopping_all_ends_every_running_job(submit: Submit, tmp_path: Path) -> None:
    first, second = submit(PRINT_PID_AND_WAIT, "a"), submit(PRINT_PID_AND_WAIT, "b")
    assert jobs.stop_all(tmp_path) == [first.attempt, second.attempt]
    assert jobs.running(tmp_path) == []


def test_old_jobs_are_forgotten_and_running_ones_are_not(submit: Submit, tmp_path: Path) -> None:
    old = submit("pass", "old")
    end_of(old)
    submit(PRINT_PID_AND_WAIT, "running")
    assert jobs.forget_old(tmp_path, keep_days=1) == 0
    os.utime(old.exit_file, (0, 0))
    assert jobs.forget_old(tmp_path, keep_days=1) == 1
    assert [folder.name for folder in (tmp_path / "jobs").iterdir()] == ["running"]


def test_the_document_of_a_job_says_what_ran(submit: Submit) -> None:
    submission = submit("pass")
    document = json.loads(submission.job_file.read_text())
    assert document["command"] == [sys.executable, "-c", "pass", submission.attempt]


STARTS_ONE_IN_A_SESSION_OF_ITS_OWN = """
import subprocess, sys, time
waiting = [sys.executable, "-c", "import time; time.sleep(60)"]
print(subprocess.Popen(waiting, start_new_session=True).pid, flush=True)
"""


def pids_of(submission: Submission) -> set[int]:
    return {process.pid for process in marked(mark_of(submission.pid_file))}


def await_none_of(submission: Submission) -> None:
    deadline = time.monotonic() + BOUND_SECONDS
    while left := pids_of(submission):
        assert time.monotonic() < deadline, left


def test_what_a_command_started_in_another_session_dies_with_a_runner_that_is_killed(submit: Submit) -> None:
    submission = submit(f"{STARTS_ONE_IN_A_SESSION_OF_ITS_OWN}time.sleep(60)")
    far_away = ProcessRecord.of(int(line_of(submission)))
    runner = ProcessRecord.read(submission.pid_file)
    assert runner is not None and far_away.is_alive
    os.kill(runner.pid, signal.SIGKILL)
    await_none_of(submission)
    assert not far_away.is_alive
    assert submission.status().state is JobState.LOST


def test_leftovers_in_another_session_are_ended_with_the_command(submit: Submit) -> None:
    submission = submit(STARTS_ONE_IN_A_SESSION_OF_ITS_OWN)
    assert end_of(submission).state is JobState.SUCCEEDED
    await_none_of(submission)


def test_a_guard_that_is_killed_is_replaced(submit: Submit) -> None:
    submission = submit(f"{STARTS_ONE_IN_A_SESSION_OF_ITS_OWN}time.sleep(60)")
    line_of(submission)
    runner = ProcessRecord.read(submission.pid_file)
    assert runner is not None
    (first,) = guards_of(submission, runner)
    first.kill()
    deadline = time.monotonic() + BOUND_SECONDS
    while not (found := guards_of(submission, runner) - {first}):
        assert time.monotonic() < deadline
    assert len(found) == 1
    os.kill(runner.pid, signal.SIGKILL)
    await_none_of(submission)


def guards_of(submission: Submission, runner: ProcessRecord) -> set[psutil.Process]:
    children = psutil.Process(runner.pid).children()
    return {child for child in children if is_running(child) and TITLE in child.cmdline()}


def test_a_new_submission_ends_what_an_earlier_one_left(submit: Submit) -> None:
    submission = submit(f"{STARTS_ONE_IN_A_SESSION_OF_ITS_OWN}time.sleep(60)")
    far_away = ProcessRecord.of(int(line_of(submission)))
    runner = ProcessRecord.read(submission.pid_file)
    assert runner is not None
    for process in (*guards_of(submission, runner), psutil.Process(runner.pid)):
        process.suspend()
    for process in (*guards_of(submission, runner), psutil.Process(runner.pid)):
        process.kill()
    await_gone(runner)
    assert far_away.is_alive
    submit("pass")
    assert not far_away.is_alive

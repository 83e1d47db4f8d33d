"""Runs one submission's command and ends it in time: ``python -m provender.local.job_runner FOLDER``.

It stands between an Airflow task and the job so that each may die without the other being forgotten: a task
that is killed finds its job again, a job nobody awaits any more is ended, and the end is always written down. If the
runner itself is killed, its guard ends the command and all that it started.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from provender.local.jobs import Submission
from provender.processes.guard import Guard, dying_with_parent
from provender.processes.marks import MARK, end, mark_of, marked
from provender.processes.process import ProcessRecord, replace_text

_SIGNALS = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT}
_CHECK_SECONDS = 1.0
_GRACE_SECONDS = 5.0
_ON_CANCEL_SECONDS = 60.0


def main(folder: Path) -> int:
    submission = Submission(folder)
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    ProcessRecord.of(os.getpid()).write(submission.pid_file)
    os.environ[MARK] = mark_of(submission.pid_file)
    guard = Guard(mark_of(submission.pid_file))
    job = json.loads(submission.job_file.read_text(encoding="utf-8"))
    child = subprocess.Popen(
        job["command"],
        cwd=job["cwd"],
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=dying_with_parent(),
    )
    reason = _await_end(child, guard, submission, float(job["lease_seconds"]))
    code = _end(child)
    end(lambda: marked(mark_of(submission.pid_file), [guard.pid]), 0)  # in sessions of their own
    if reason != "exited" and job["on_cancel"]:
        _run_on_cancel(job)
    replace_text(submission.exit_file, json.dumps({"code": code, "reason": reason}))
    guard.release()
    return 0


def _await_end(
    child: subprocess.Popen[bytes], guard: Guard, submission: Submission, lease_seconds: float
) -> str:
    """Waits until the command exited, a cancel was asked for, or the lease ran out; says which."""
    renewed, since = submission.renewed_ns(), time.monotonic()
    while not _has_exited(child):
        if submission.is_cancelled:
            return "cancelled"
        # Only whether it was renewed is asked of the file: the clock on the wall may be set meanwhile.
        if (now := submission.renewed_ns()) != renewed:
            renewed, since = now, time.monotonic()
        if time.monotonic() - since > lease_seconds:
            _say(f"nobody has awaited this job for {lease_seconds:.0f} s: ending it")
            return "abandoned"
        received = signal.sigtimedwait(_SIGNALS, _CHECK_SECONDS)
        if received is None:
            continue
        if received.si_signo != signal.SIGCHLD:
            return "cancelled"
        guard.renew()
    return "exited"


def _end(child: subprocess.Popen[bytes]) -> int:
    """Ends the command's whole process group, leftovers of one that exited too. Returns the exit code."""
    if not _has_exited(child):
        _signal_group(child, signal.SIGTERM)
        _wait(child, _GRACE_SECONDS)
    # Not reaped yet, so its pid still names this group and no other.
    _signal_group(child, signal.SIGKILL)
    return child.wait()


def _wait(child: subprocess.Popen[bytes], seconds: float) -> None:
    for _ in range(int(seconds / 0.1)):
        if _has_exited(child):
            return
        signal.sigtimedwait({signal.SIGCHLD}, 0.1)


def _has_exited(child: subprocess.Popen[bytes]) -> bool:
    return os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _signal_group(child: subprocess.Popen[bytes], number: signal.Signals) -> None:
    try:
        os.killpg(child.pid, number)
    except ProcessLookupError:
        return


def _run_on_cancel(job: dict[str, list[str]]) -> None:
    try:
        subprocess.run(
            job["on_cancel"],
            cwd=str(job["cwd"]),
            timeout=_ON_CANCEL_SECONDS,
            check=False,
            preexec_fn=dying_with_parent(),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        _say(f"clean-up after the cancelled job failed: {error}")


def _say(line: str) -> None:
    print(f"[job runner] {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))

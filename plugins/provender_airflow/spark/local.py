"""Spark applications as processes of this machine (see :mod:`provender.local.jobs` for the files)."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from provender.failures import error_of
from provender.local import jobs
from provender.settings import Settings
from provender_airflow.local_jobs import environment
from provender_airflow.spark.backend import (
    JobHandle,
    JobState,
    JobStatus,
    error_from_exit,
)
from provender_airflow.spark.job import SparkJob

_INTERRUPT = "provender.local.interrupt_spark"
_STATES = {
    jobs.JobState.RUNNING: JobState.RUNNING,
    jobs.JobState.SUCCEEDED: JobState.SUCCEEDED,
    jobs.JobState.FAILED: JobState.FAILED,
    jobs.JobState.CANCELLED: JobState.CANCELLED,
    jobs.JobState.LOST: JobState.FAILED,
}


class LocalBackend:
    """``python -m MODULE``, kept apart from the task by a small runner process.

    A task that is killed finds its job again; a job that nobody polls for a minute is ended.
    """

    poll_seconds = 0.1
    defers = False

    def __init__(self, settings: Settings, *, lease_seconds: float = jobs.LEASE_SECONDS) -> None:
        self._settings = settings
        self._lease_seconds = lease_seconds

    def submit(self, job: SparkJob) -> JobHandle:
        python = [sys.executable, "-m"]
        submission = jobs.submit(
            self._settings.state_dir,
            job.name,
            [*python, job.module, *job.arguments],
            cwd=self._settings.repo.parent,
            env=environment(PYSPARK_PYTHON=sys.executable),
            on_cancel=[*python, _INTERRUPT, str(self._settings.repo), "{attempt}"],
            lease_seconds=self._lease_seconds,
        )
        return _handle(submission)

    def find(self, name: str) -> JobHandle | None:
        submission = jobs.find(self._settings.state_dir, name)
        if submission is None:
            return None
        if submission.is_cancelled:
            jobs.await_end(submission)
            submission.take()
            return None
        return _handle(submission)

    def poll(self, handle: JobHandle) -> JobStatus:
        submission = _submission(handle)
        submission.renew()
        status = submission.status()
        state = _STATES[status.state]
        if state in (JobState.RUNNING, JobState.SUCCEEDED):
            return JobStatus(state)
        reported = error_of(self._settings.storage_root, handle.attempt)
        return JobStatus(
            state, reported or error_from_exit(status.exit_code, status.reason, str(submission.log_file))
        )

    def log_lines(self, handle: JobHandle, *, from_start: bool) -> Iterator[str | None]:
        with _submission(handle).log_file.open("rb") as log:
            if not from_start:
                log.seek(0, os.SEEK_END)
            part = b""
            while True:
                part += log.readline()
                if not part.endswith(b"\n"):
                    yield None
                    continue
                yield part.decode("utf-8", errors="replace").rstrip()
                part = b""

    def take(self, handle: JobHandle) -> None:
        _submission(handle).take()

    def cancel(self, handle: JobHandle) -> None:
        _submission(handle).cancel()

    def place(self, handle: JobHandle) -> str:
        return str(_submission(handle).log_file)


def _handle(submission: jobs.Submission) -> JobHandle:
    return JobHandle(submission.name, submission.attempt, str(submission.folder))


def _submission(handle: JobHandle) -> jobs.Submission:
    return jobs.Submission(Path(handle.reference))

"""The training pipeline as a process of this machine (see :mod:`provender.local.jobs` for the files)."""

from __future__ import annotations

import json
from pathlib import Path

from provender.errors import KubeflowError, SetupError
from provender.failures import error_of, forget_failure
from provender.local import jobs
from provender.settings import Settings
from provender_airflow.kubeflow.backend import JobState, RunHandle, RunStatus, TrainingRun, training_folder
from provender_airflow.local_jobs import environment, last_lines

LEASE_SECONDS = 600.0
"""The triggerer awaits it, which may be restarted: a run is ended only when nobody has asked for this long."""


class LocalBackend:
    """``python -m provender_training.run``, kept apart from the task by a small runner process."""

    poll_seconds = 1.0

    def __init__(self, settings: Settings, *, lease_seconds: float = LEASE_SECONDS) -> None:
        self._settings = settings
        self._lease_seconds = lease_seconds

    def submit(self, run: TrainingRun) -> RunHandle:
        folder = training_folder(self._settings.repo)
        forget_failure(run.output_uri, run.name)
        submission = jobs.submit(
            self._settings.state_dir,
            run.name,
            [str(_python(folder)), "-m", "provender_training.run", *self._arguments(run)],
            cwd=folder,
            env=environment(),
            lease_seconds=self._lease_seconds,
        )
        return _handle(submission, run)

    def find(self, run: TrainingRun) -> RunHandle | None:
        submission = jobs.find(self._settings.state_dir, run.name)
        if submission is None:
            return None
        if submission.is_cancelled:
            jobs.await_end(submission)
        if submission.status().state in (jobs.JobState.RUNNING, jobs.JobState.SUCCEEDED):
            return _handle(submission, run)
        submission.take()
        return None

    def poll(self, handle: RunHandle) -> RunStatus:
        submission = _submission(handle)
        submission.renew()
        status = submission.status()
        if status.state is jobs.JobState.RUNNING:
            return RunStatus(JobState.RUNNING)
        if status.state is jobs.JobState.SUCCEEDED:
            return RunStatus(JobState.SUCCEEDED)
        cancelled = status.state is jobs.JobState.CANCELLED
        reported = None if cancelled else error_of(handle.output_uri, handle.name)
        error = reported or KubeflowError(
            f"the training run ended without a report ({status.reason}, exit code {status.exit_code})",
            where=str(submission.log_file),
            not_affected="whatever serves now, and all versions",
            remedy="read the end of that log; the next try starts it again",
        )
        return RunStatus(JobState.CANCELLED if cancelled else JobState.FAILED, error)

    def log(self, handle: RunHandle) -> list[str]:
        return last_lines(_submission(handle).log_file)

    def take(self, handle: RunHandle) -> None:
        _submission(handle).take()

    def cancel(self, handle: RunHandle) -> None:
        _submission(handle).cancel()

    def link(self, handle: RunHandle) -> str:
        return ""

    def _arguments(self, run: TrainingRun) -> list[str]:
        work = self._settings.state_dir / "training" / run.name
        return ["--arguments", json.dumps(run.parameters), "--work", str(work)]


def _python(folder: Path) -> Path:
    python = folder / ".venv" / "bin" / "python"
    if not python.exists():
        raise SetupError(
            "the training environment is not installed",
            where=str(folder),
            not_affected="whatever serves now",
            remedy="uv sync --frozen --project training",
        )
    return python


def _handle(submission: jobs.Submission, run: TrainingRun) -> RunHandle:
    return RunHandle(run.name, run.output_uri, str(submission.folder))


def _submission(handle: RunHandle) -> jobs.Submission:
    return jobs.Submission(Path(handle.reference))

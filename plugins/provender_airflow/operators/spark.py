"""Runs one Spark application: submits or finds it, shows its log, and believes only its manifest."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Event
from typing import Any

from airflow.sdk import BaseOperator, Context

from provender.settings import Settings
from provender_airflow.spark.backend import (
    JobHandle,
    JobStatus,
    SparkBackend,
    backend_for,
)
from provender_airflow.spark.job import SparkJob, job_name
from provender_airflow.task_settings import task_settings


class SparkJobOperator(BaseOperator):
    """Base of the operators whose work is an application. A retry finds the one that runs already."""

    template_fields: Sequence[str] = ("repo",)

    def __init__(self, *, repo: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.repo = repo
        self._running: tuple[SparkBackend, JobHandle] | None = None
        self._is_killed = False

    def spark_job(self, context: Context) -> SparkJob:
        """What to run."""
        raise NotImplementedError

    def result(self, settings: Settings, attempt: str, context: Context) -> dict[str, Any]:
        """What the attempt committed: the task's return value. Raises if it committed nothing."""
        raise NotImplementedError

    def execute(self, context: Context) -> dict[str, Any]:
        settings = task_settings(self.repo)
        backend = backend_for(settings)
        handle, is_new = self._submit_or_find(backend, self.spark_job(context))
        self._running = (backend, handle)
        if self._is_killed:
            backend.cancel(handle)
        status = self._follow(backend, handle, is_new)
        backend.take(handle)
        if status.error is not None:
            raise status.error
        return self.result(settings, handle.attempt, context)

    def on_kill(self) -> None:
        self._is_killed = True
        if self._running is not None:
            backend, handle = self._running
            self.log.warning("Ending the application %s with its task", handle.attempt)
            backend.cancel(handle)

    def name_of_job(self, context: Context) -> str:
        """The same for every try of this task in this run."""
        ti = context["ti"]
        return job_name(ti.dag_id, ti.task_id, ti.run_id)

    def _submit_or_find(self, backend: SparkBackend, job: SparkJob) -> tuple[JobHandle, bool]:
        handle = backend.find(job.name)
        if handle is not None:
            status = backend.poll(handle)
            if status.error is None:
                self.log.info("Found the application %s (%s) of an earlier try", handle.attempt, status.state)
                return handle, False
            backend.take(handle)
        handle = backend.submit(job)
        self.log.info("Submitted %s %s as %s", job.module, " ".join(job.arguments), handle.attempt)
        return handle, True

    def _follow(self, backend: SparkBackend, handle: JobHandle, is_new: bool) -> JobStatus:
        lines, pause = backend.log_lines(handle, from_start=is_new), Event()
        while True:
            status = backend.poll(handle)
            while (line := next(lines)) is not None:
                self.log.info(line)
            if status.is_final:
                return status
            pause.wait(backend.poll_seconds)

"""Runs one Spark application: submits or finds it, shows its log, and believes only its manifest.

On a cluster it is awaited in the triggerer, without a worker; on one machine by the task itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from threading import Event
from typing import Any

from airflow.sdk import BaseOperator, Context

from provender.errors import ProvenderError, error_from_dict
from provender.settings import Settings
from provender_airflow.spark.backend import JobHandle, JobState, JobStatus, SparkBackend
from provender_airflow.spark.backends import backend_for
from provender_airflow.spark.job import SparkJob, job_name
from provender_airflow.task_settings import task_settings
from provender_airflow.triggers.spark import trigger_for


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
        job = replace(self.spark_job(context), labels=self._labels(context))
        backend = backend_for(settings, needs_spark=job.needs_spark)
        handle, is_new = self._submit_or_find(backend, job)
        self._running = (backend, handle)
        if self._is_killed:
            backend.cancel(handle)
        status = backend.poll(handle) if backend.defers else self._follow(backend, handle, is_new)
        if not status.is_final:
            self.defer(
                trigger=trigger_for(self.repo, handle, self.execution_timeout),
                method_name="resume",
                kwargs={"handle": asdict(handle)},
            )
        return self._end(settings, backend, handle, status, context)

    def resume(self, context: Context, event: Mapping[str, Any], handle: dict[str, str]) -> dict[str, Any]:
        """The application ended; or its end is not known, and ``event`` says why."""
        error = error_from_dict(event["error"]) if event["error"] is not None else None
        if "state" not in event and error is not None:
            raise error
        settings = task_settings(self.repo)
        status = JobStatus(JobState(event["state"]), error)
        return self._end(settings, backend_for(settings), JobHandle(**handle), status, context)

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

    def _labels(self, context: Context) -> tuple[tuple[str, str], ...]:
        ti = context["ti"]
        return (("dag", ti.dag_id), ("task", ti.task_id), ("run", ti.run_id), ("try", str(ti.try_number)))

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
        self.log.info("It is at: %s", backend.place(handle))
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

    def _end(
        self,
        settings: Settings,
        backend: SparkBackend,
        handle: JobHandle,
        status: JobStatus,
        context: Context,
    ) -> dict[str, Any]:
        if backend.defers:
            self._show_log(backend, handle)
        backend.take(handle)
        if status.error is not None:
            raise status.error
        return self.result(settings, handle.attempt, context)

    def _show_log(self, backend: SparkBackend, handle: JobHandle) -> None:
        """What there is of it: the application has ended, and its end counts, not its log."""
        try:
            for line in backend.log_lines(handle, from_start=True):
                if line is None:
                    return
                self.log.info(line)
        except ProvenderError as error:
            self.log.warning("The application's log could not be fetched: %s", error)

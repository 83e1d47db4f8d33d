"""Spark applications on Kubernetes, run by the Spark operator.

    submit   SparkApplication <job>-<n>, n one more than the last one there is; one that is there already is adopted
    find     by the label of the job, without the label that says that somebody saw its end
    poll     the operator's word for it and, where that says little, the driver's pod
    take     the label; one that may still run is deleted instead
    cancel   deletes it: the operator and Kubernetes end driver and executors

An application's attempt is in its arguments and labels; names come again when old objects are gone, attempts do not.
"""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event
from time import monotonic

from kubernetes.config import ConfigException  # type: ignore[import-untyped]

from provender.errors import ProvenderError, SettingsError, SparkUnavailableError
from provender.failures import error_of
from provender.settings import Settings
from provender_airflow.spark.application import (
    ATTEMPT_LABEL,
    JOB_LABEL,
    TAKEN_LABEL,
    age_seconds,
    driver_of,
    is_being_deleted,
    label,
    message_of,
    spark_application,
    state_of,
)
from provender_airflow.spark.applications import Applications, Document
from provender_airflow.spark.backend import JobHandle, JobState, JobStatus, error_from_exit
from provender_airflow.spark.driver import end_of, is_lost, obstacle
from provender_airflow.spark.job import SparkJob
from provender_airflow.spark.names import new_attempt, number_of, submission_name

_FAILED = ("FAILED", "SUBMISSION_FAILED")
_START_SECONDS = 300
"""How long something may keep a driver from starting."""
_UNNOTICED_SECONDS = 600
"""How long the operator may take to see an application."""
_END_SECONDS = 90
"""How long one that is being deleted is awaited: a driver has 30 s to stop."""
_NAMES = 10
_NOT_AFFECTED = "all committed data"


class KubernetesBackend:
    """See the module."""

    poll_seconds = 10.0
    defers = True

    def __init__(self, settings: Settings, applications: Applications) -> None:
        self._settings = settings
        self._applications = applications

    @classmethod
    def of(cls, settings: Settings) -> KubernetesBackend:
        """Of the cluster behind the settings' Airflow connection."""
        # Seconds of import, too many for a DAG file.
        from airflow.providers.cncf.kubernetes.hooks.kubernetes import KubernetesHook

        ours = settings.spark.kubernetes
        try:
            client = KubernetesHook(conn_id=ours.connection_id).get_conn()
        except ConfigException as error:
            raise SettingsError(
                f"no Kubernetes cluster is configured here: {error}",
                where="provender.spark.kubernetes.connection_id",
                not_affected=_NOT_AFFECTED,
                remedy=f"make the Airflow connection {ours.connection_id}, or run Airflow within the cluster",
            ) from error
        return cls(settings, Applications(client, ours.namespace))

    def submit(self, job: SparkJob) -> JobHandle:
        first = 1 + max((number_of(_name(each)) for each in self._of_job(job.name)), default=0)
        for number in range(first, first + _NAMES):
            name = submission_name(job.name, number)
            attempt = new_attempt(name)
            if self._applications.create(spark_application(self._settings, job, name, attempt)):
                return JobHandle(job.name, attempt, name)
            there = self._applications.get(name)
            if there is not None and _is_of_use(there, job.name):
                return _handle(there)
        raise SparkUnavailableError(
            f"no free name for a submission of {job.name}: {_NAMES} were taken meanwhile",
            where=self._place_of(job.name),
            not_affected=_NOT_AFFECTED,
            remedy="see who submits the same work",
        )

    def find(self, name: str) -> JobHandle | None:
        newest_first = sorted(
            self._of_job(name, f",!{TAKEN_LABEL}"), key=lambda each: number_of(_name(each)), reverse=True
        )
        for document in newest_first:
            if is_being_deleted(document):
                self._await_gone(_name(document))
            else:
                return _handle(document)
        return None

    def poll(self, handle: JobHandle) -> JobStatus:
        document = self._own(handle)
        if document is None:
            return JobStatus(JobState.FAILED, self._gone(handle))
        if is_being_deleted(document):
            return JobStatus(JobState.CANCELLED, self._deleted(handle))
        state = state_of(document)
        if state == "COMPLETED":
            return JobStatus(JobState.SUCCEEDED)
        if state in _FAILED:
            return JobStatus(JobState.FAILED, self._failure(handle, document))
        return self._unusual(handle, document, state)

    def log_lines(self, handle: JobHandle, *, from_start: bool) -> Iterator[str | None]:
        """The driver's log so far; a driver that is gone has none."""
        document = self._own(handle) if from_start else None
        yield from self._log(document) if document is not None else ()
        while True:
            yield None

    def take(self, handle: JobHandle) -> None:
        document = self._own(handle)
        if document is None:
            return
        if state_of(document) in ("COMPLETED", *_FAILED):
            self._applications.mark(handle.reference, {TAKEN_LABEL: "true"})
        else:
            self._applications.delete(document)

    def cancel(self, handle: JobHandle) -> None:
        document = self._own(handle)
        if document is not None:
            self._applications.delete(document)

    def place(self, handle: JobHandle) -> str:
        return (
            f"kubectl --namespace {self._applications.namespace} describe sparkapplication {handle.reference}"
        )

    def _of_job(self, name: str, selector: str = "") -> list[Document]:
        return self._applications.select(f"{JOB_LABEL}={name}{selector}")

    def _own(self, handle: JobHandle) -> Document | None:
        """The object of this very attempt."""
        document = self._applications.get(handle.reference)
        return document if document is not None and label(document, ATTEMPT_LABEL) == handle.attempt else None

    def _unusual(self, handle: JobHandle, document: Document, state: str) -> JobStatus:
        """Running, unless the operator does not see it or does not know, or the driver cannot start."""
        if state == "SUBMITTED" and age_seconds(document) > _START_SECONDS:
            reason = obstacle(self._applications.pod(driver_of(document)))
            if reason:
                return JobStatus(JobState.FAILED, self._not_started(handle, reason))
        if not state and age_seconds(document) > _UNNOTICED_SECONDS:
            return JobStatus(JobState.FAILED, self._unnoticed(handle))
        if state == "UNKNOWN":
            pod = self._applications.pod(driver_of(document))
            if is_lost(pod):
                return JobStatus(JobState.FAILED, self._failure(handle, document, pod))
        return JobStatus(JobState.RUNNING)

    def _failure(self, handle: JobHandle, document: Document, pod: Document | None = None) -> ProvenderError:
        """What the application itself reported, else what became of its driver."""
        reported = error_of(self._settings.storage_root, handle.attempt)
        if reported is not None:
            return reported
        pod = pod or self._applications.pod(driver_of(document))
        reason, exit_code = end_of(pod)
        said = "; ".join(part for part in (message_of(document), reason) if part)
        return error_from_exit(exit_code, said or state_of(document), self._place_of(handle.reference))

    def _log(self, document: Document) -> list[str]:
        try:
            return self._applications.driver_log(driver_of(document))
        except ProvenderError as error:  # gone with its node, not started, not allowed: the job's end counts
            return [f"The driver's log could not be fetched: {error.what}"]

    def _await_gone(self, name: str) -> None:
        deadline, pause = monotonic() + _END_SECONDS, Event()
        while (document := self._applications.get(name)) is not None and is_being_deleted(document):
            if monotonic() > deadline:
                raise SparkUnavailableError(
                    f"the application {name} of an earlier try is still being ended",
                    where=self._place_of(name),
                    not_affected=_NOT_AFFECTED,
                    remedy="the next try looks again",
                )
            pause.wait(min(self.poll_seconds, 1.0))

    def _place_of(self, name: str) -> str:
        return f"{self._applications.namespace}/{name}"

    def _gone(self, handle: JobHandle) -> ProvenderError:
        return SparkUnavailableError(
            f"the application {handle.attempt} is gone: deleted, or past its time to live",
            where=self._place_of(handle.reference),
            not_affected=_NOT_AFFECTED,
            remedy="the next try starts it again; what it had committed stays so",
        )

    def _deleted(self, handle: JobHandle) -> ProvenderError:
        return SparkUnavailableError(
            f"the application {handle.attempt} was cancelled: it is being deleted",
            where=self._place_of(handle.reference),
            not_affected=_NOT_AFFECTED,
            remedy="the next try starts it again",
        )

    def _not_started(self, handle: JobHandle, reason: str) -> ProvenderError:
        return SparkUnavailableError(
            f"the driver of {handle.attempt} cannot start: {reason}",
            where=self._place_of(handle.reference),
            not_affected=_NOT_AFFECTED,
            remedy="fix the image or the secret that it names in provender.spark.kubernetes",
        )

    def _unnoticed(self, handle: JobHandle) -> ProvenderError:
        return SparkUnavailableError(
            f"the Spark operator has not picked up {handle.attempt} after {_UNNOTICED_SECONDS // 60} minutes",
            where=self._place_of(handle.reference),
            not_affected=_NOT_AFFECTED,
            remedy=f"does it run, and watch the namespace {self._applications.namespace}?",
        )


def _name(document: Document) -> str:
    return str(document["metadata"]["name"])


def _handle(document: Document) -> JobHandle:
    return JobHandle(label(document, JOB_LABEL), label(document, ATTEMPT_LABEL), _name(document))


def _is_of_use(document: Document, job: str) -> bool:
    return (
        label(document, JOB_LABEL) == job
        and not label(document, TAKEN_LABEL)
        and not is_being_deleted(document)
    )

"""Dataproc's batches and jobs through the Google provider's hook, in one shape; its errors as ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol

from google.api_core import exceptions as google
from google.auth.exceptions import GoogleAuthError, TransportError

from provender.errors import (
    DataprocNameTakenError,
    DataprocNotFoundError,
    DataprocStateError,
    ProvenderError,
    SettingsError,
    SparkUnavailableError,
    TerminalError,
)
from provender.settings import Settings
from provender_airflow.spark.backend import JobState
from provender_airflow.spark.dataproc_bodies import ATTEMPT_LABEL, JOB_LABEL, batch, cluster_job
from provender_airflow.spark.job import SparkJob

_OPTIONS: dict[str, Any] = {"retry": None, "timeout": 30.0}
"""Trying again is ours: a client that does it by itself holds the task, or the triggerer's thread, for minutes."""
_NOT_AFFECTED = "all committed data"
_CONSOLE = "https://console.cloud.google.com/dataproc"
_STATES = {
    "SUCCEEDED": JobState.SUCCEEDED,
    "DONE": JobState.SUCCEEDED,
    "FAILED": JobState.FAILED,
    "ERROR": JobState.FAILED,
    "CANCELLED": JobState.CANCELLED,
}
"""All others run still, or will."""
_ENDING = ("CANCELLING", "CANCEL_PENDING", "CANCEL_STARTED")


@dataclass(frozen=True, slots=True)
class Submission:
    """A batch or a job, as Dataproc has it."""

    name: str
    state: str
    """Dataproc's word."""
    message: str
    labels: dict[str, str]
    output_uri: str
    """Prefix of the driver's output in Cloud Storage; empty as long as there is none."""
    operation: str = ""

    @property
    def job(self) -> str:
        return self.labels.get(JOB_LABEL, "")

    @property
    def attempt(self) -> str:
        return self.labels.get(ATTEMPT_LABEL, "")

    @property
    def job_state(self) -> JobState:
        return _STATES.get(self.state, JobState.RUNNING)

    @property
    def is_being_cancelled(self) -> bool:
        return self.state in _ENDING


class Submissions(Protocol):
    """One method per verb.

    All raise :class:`SparkUnavailableError` where trying again can help (unreachable, 429, 5xx, a full quota),
    :class:`SettingsError` (credentials, rights) and :class:`TerminalError` (refused).
    """

    @property
    def settings(self) -> Settings:
        """Of the platform whose jobs these are."""

    def of_job(self, job: str) -> list[Submission]:
        """All that carry the job's label."""

    def create(self, job: SparkJob, name: str, attempt: str) -> bool:
        """False: there is one of this name already."""

    def get(self, name: str) -> Submission | None:
        """None if there is none."""

    def cancel(self, submission: Submission) -> None:
        """Already ended, or gone, is not an error."""

    def address(self, name: str) -> str:
        """In Google's console."""


@dataclass(frozen=True)
class Batches:
    """Serverless batches."""

    settings: Settings
    hook: Any
    project: str

    def of_job(self, job: str) -> list[Submission]:
        request = {"parent": self._parent, "filter": f'labels.{JOB_LABEL} = "{job}"', "page_size": 1000}
        with _translated(f"listing the batches of {job}", self._parent):
            return [_of_batch(each) for each in self._client.list_batches(request, **_OPTIONS)]

    def create(self, job: SparkJob, name: str, attempt: str) -> bool:
        request = {
            "parent": self._parent,
            "batch_id": name,
            "batch": batch(self.settings, job, attempt),
            "request_id": attempt[-40:],
        }
        try:
            with _translated(f"creating batch {name}", self._parent):
                self._client.create_batch(request, **_OPTIONS)
        except DataprocNameTakenError:
            return False
        return True

    def get(self, name: str) -> Submission | None:
        try:
            with _translated(f"reading batch {name}", self._parent):
                return _of_batch(
                    self._client.get_batch({"name": f"{self._parent}/batches/{name}"}, **_OPTIONS)
                )
        except DataprocNotFoundError:
            return None

    def cancel(self, submission: Submission) -> None:
        """A batch ends with the operation that made it."""
        with _already_ended_is_no_error(), _translated(f"cancelling batch {submission.name}", self._parent):
            self._client.cancel_operation({"name": submission.operation}, **_OPTIONS)

    def address(self, name: str) -> str:
        return f"{_CONSOLE}/batches/{self._region}/{name}/monitoring?project={self.project}"

    @property
    def _client(self) -> Any:
        return self.hook.get_batch_client(self._region)

    @property
    def _region(self) -> str:
        return self.settings.spark.dataproc.region

    @property
    def _parent(self) -> str:
        return f"projects/{self.project}/locations/{self._region}"


@dataclass(frozen=True)
class ClusterJobs:
    """Jobs of the cluster that the settings name."""

    settings: Settings
    hook: Any
    project: str

    def of_job(self, job: str) -> list[Submission]:
        request = {**self._place, "filter": f"labels.{JOB_LABEL} = {job}"}
        with _translated(f"listing the jobs of {job}", self._where):
            return [_of_job(each) for each in self._client.list_jobs(request, **_OPTIONS)]

    def create(self, job: SparkJob, name: str, attempt: str) -> bool:
        body = cluster_job(self.settings, job, name, attempt, self.project)
        try:
            with _translated(f"submitting job {name}", self._where):
                self._client.submit_job({**self._place, "job": body, "request_id": attempt[-40:]}, **_OPTIONS)
        except DataprocNameTakenError:
            return False
        return True

    def get(self, name: str) -> Submission | None:
        try:
            with _translated(f"reading job {name}", self._where):
                return _of_job(self._client.get_job({**self._place, "job_id": name}, **_OPTIONS))
        except DataprocNotFoundError:
            return None

    def cancel(self, submission: Submission) -> None:
        with _already_ended_is_no_error(), _translated(f"cancelling job {submission.name}", self._where):
            self._client.cancel_job({**self._place, "job_id": submission.name}, **_OPTIONS)

    def address(self, name: str) -> str:
        region = self.settings.spark.dataproc.region
        return f"{_CONSOLE}/jobs/{name}/monitoring?region={region}&project={self.project}"

    @property
    def _client(self) -> Any:
        return self.hook.get_job_client(self.settings.spark.dataproc.region)

    @property
    def _place(self) -> dict[str, Any]:
        return {"project_id": self.project, "region": self.settings.spark.dataproc.region}

    @property
    def _where(self) -> str:
        return f"cluster {self.settings.spark.dataproc.cluster} of {self.project}"


def _of_batch(found: Any) -> Submission:
    return Submission(
        name=found.name.rpartition("/")[2],
        state=found.state.name,
        message=found.state_message,
        labels=dict(found.labels),
        output_uri=found.runtime_info.output_uri,
        operation=found.operation,
    )


def _of_job(found: Any) -> Submission:
    return Submission(
        name=found.reference.job_id,
        state=found.status.state.name,
        message=found.status.details,
        labels=dict(found.labels),
        output_uri=found.driver_output_resource_uri,
    )


@contextmanager
def _already_ended_is_no_error() -> Iterator[None]:
    try:
        yield
    except (DataprocNotFoundError, DataprocStateError):
        return


@contextmanager
def _translated(doing: str, where: str) -> Iterator[None]:
    """Google's errors become ours; this is the one crossing."""
    try:
        yield
    except google.GoogleAPICallError as error:
        raise _error_of(error, doing, where) from error
    except (google.GoogleAPIError, TransportError, OSError) as error:
        raise SparkUnavailableError(
            f"Dataproc cannot be reached while {doing}: {error}",
            where=where,
            not_affected=_NOT_AFFECTED,
            remedy="the next try finds what runs",
        ) from error
    except GoogleAuthError as error:
        raise SettingsError(
            f"Google's credentials are not available while {doing}: {error}",
            where="provender.spark.dataproc.connection_id",
            not_affected=_NOT_AFFECTED,
            remedy="give the Airflow connection a key, or the pod a workload identity",
        ) from error


def _error_of(error: google.GoogleAPICallError, doing: str, where: str) -> ProvenderError:
    code, what = int(error.code or 0), f"Dataproc answered {int(error.code or 0)} to {doing}: {error.message}"
    if isinstance(error, google.Aborted) or code in (408, 429) or code == 0 or code >= 500:
        return SparkUnavailableError(
            what, where=where, not_affected=_NOT_AFFECTED, remedy="the next try finds what runs"
        )
    if code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        remedy = (
            "give the service account roles/dataproc.editor, and let it act as the one that Spark runs as"
        )
        return SettingsError(what, where=where, not_affected=_NOT_AFFECTED, remedy=remedy)
    kinds: dict[int, type[TerminalError]] = {404: DataprocNotFoundError, 409: DataprocNameTakenError}
    kind = DataprocStateError if _is_about_its_state(error) else kinds.get(code, TerminalError)
    return kind(what, where=where, not_affected=_NOT_AFFECTED, remedy="fix what the message names")


def _is_about_its_state(error: google.GoogleAPICallError) -> bool:
    """Over REST the class of the error does not tell; the answer does."""
    said = getattr(error.response, "text", "")
    return isinstance(error, google.FailedPrecondition) or '"FAILED_PRECONDITION"' in said

"""Spark applications on Dataproc: serverless batches, or jobs of a cluster that is there.

submit   <job>-<n>, n one more than the last one there is; one that is there already is adopted
find     by the label of the job: one that has not ended
poll     Dataproc's word for it; of one that failed, its failure document says why
take     nothing: one that ended is not found again. Labels of a batch cannot be changed, so an end that nobody saw
         (a worker killed at that moment) is not told from one that somebody did; the next try runs the job again,
         which finds its work done and says so
cancel   of a batch its operation, of a job itself
"""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event
from time import monotonic

from provender.errors import ProvenderError, SettingsError, SparkUnavailableError
from provender.failures import error_of
from provender.settings import SETTINGS_FILE, Settings
from provender.storage import storage_at
from provender_airflow.spark.backend import JobHandle, JobState, JobStatus, error_from_exit
from provender_airflow.spark.dataproc_api import Batches, ClusterJobs, Submission, Submissions
from provender_airflow.spark.job import SparkJob
from provender_airflow.spark.names import new_attempt, number_of, submission_name

_CONNECTION = "google_cloud_default"
_END_SECONDS = 120
"""How long one that is being cancelled is awaited."""
_NAMES = 10
_NOT_AFFECTED = "all committed data"


class DataprocBackend:
    """See the module."""

    poll_seconds = 15.0
    defers = True

    def __init__(self, submissions: Submissions) -> None:
        self._submissions = submissions

    @classmethod
    def of(cls, settings: Settings) -> DataprocBackend:
        """Of the project and region of the settings, with the credentials of their Airflow connection."""
        # Seconds of import, too many for a DAG file.
        from airflow.providers.google.cloud.hooks.dataproc import DataprocHook

        ours = settings.spark.dataproc
        if not ours.region:
            raise SettingsError(
                "Dataproc has no region",
                where=f"{settings.repo / SETTINGS_FILE}, provender.spark.dataproc.region",
                remedy="name the region of the bucket",
            )
        hook = DataprocHook(gcp_conn_id=ours.connection_id or settings.google_connection_id or _CONNECTION)
        kind = ClusterJobs if ours.cluster else Batches
        return cls(kind(settings, hook, ours.project or hook.project_id))

    def submit(self, job: SparkJob) -> JobHandle:
        first = 1 + max((number_of(each.name) for each in self._submissions.of_job(job.name)), default=0)
        for number in range(first, first + _NAMES):
            name = submission_name(job.name, number)
            attempt = new_attempt(name)
            if self._submissions.create(job, name, attempt):
                return JobHandle(job.name, attempt, name)
            there = self._submissions.get(name)
            if there is not None and there.job == job.name and _runs(there):
                return _handle(there)
        raise SparkUnavailableError(
            f"no free name for a submission of {job.name}: {_NAMES} were taken meanwhile",
            not_affected=_NOT_AFFECTED,
            remedy="see who submits the same work",
        )

    def find(self, name: str) -> JobHandle | None:
        open_ones = [each for each in self._submissions.of_job(name) if each.job_state is JobState.RUNNING]
        for submission in sorted(open_ones, key=lambda each: number_of(each.name), reverse=True):
            if not submission.is_being_cancelled:
                return _handle(submission)
            self._await_end(submission)
        return None

    def poll(self, handle: JobHandle) -> JobStatus:
        submission = self._own(handle)
        if submission is None:
            return JobStatus(JobState.FAILED, self._gone(handle))
        state = submission.job_state
        if state in (JobState.RUNNING, JobState.SUCCEEDED):
            return JobStatus(state)
        return JobStatus(state, self._failure(handle, submission))

    def log_lines(self, handle: JobHandle, *, from_start: bool) -> Iterator[str | None]:
        """The driver's output so far, which Dataproc keeps in Cloud Storage."""
        submission = self._own(handle) if from_start else None
        yield from _output(submission) if submission is not None else ()
        while True:
            yield None

    def take(self, handle: JobHandle) -> None:
        """Nothing: see the module."""

    def cancel(self, handle: JobHandle) -> None:
        submission = self._own(handle)
        if submission is not None and _runs(submission):
            self._submissions.cancel(submission)

    def place(self, handle: JobHandle) -> str:
        return self._submissions.address(handle.reference)

    def _own(self, handle: JobHandle) -> Submission | None:
        """The submission of this very attempt."""
        found = self._submissions.get(handle.reference)
        return found if found is not None and found.attempt == handle.attempt else None

    def _failure(self, handle: JobHandle, submission: Submission) -> ProvenderError:
        if submission.job_state is JobState.CANCELLED:
            return SparkUnavailableError(
                f"the application {handle.attempt} was cancelled",
                where=self.place(handle),
                not_affected=_NOT_AFFECTED,
                remedy="the next try starts it again",
            )
        reported = error_of(self._submissions.settings.storage_root, handle.attempt)
        said = submission.message or submission.state
        return reported or error_from_exit(None, said, submission.output_uri or self.place(handle))

    def _await_end(self, submission: Submission) -> None:
        deadline, pause = monotonic() + _END_SECONDS, Event()
        while submission.job_state is JobState.RUNNING:
            if monotonic() > deadline:
                raise SparkUnavailableError(
                    f"the application {submission.name} of an earlier try is still being ended",
                    where=self._submissions.address(submission.name),
                    not_affected=_NOT_AFFECTED,
                    remedy="the next try looks again",
                )
            pause.wait(min(self.poll_seconds, 2.0))
            found = self._submissions.get(submission.name)
            if found is None:
                return
            submission = found

    def _gone(self, handle: JobHandle) -> ProvenderError:
        return SparkUnavailableError(
            f"Dataproc has no {handle.attempt} any more: somebody deleted it",
            where=self.place(handle),
            not_affected=_NOT_AFFECTED,
            remedy="the next try starts it again; what it had committed stays so",
        )


def _handle(submission: Submission) -> JobHandle:
    return JobHandle(submission.job, submission.attempt, submission.name)


def _runs(submission: Submission) -> bool:
    return submission.job_state is JobState.RUNNING and not submission.is_being_cancelled


def _output(submission: Submission) -> list[str]:
    """The lines of ``<output_uri>.000000000`` and the parts after it."""
    folder, _, start = submission.output_uri.rpartition("/")
    root, _, name = folder.rpartition("/")
    if not root:
        return ["The driver left no output"]
    try:
        storage = storage_at(root)
        parts = [f"{name}/{part}" for part in sorted(storage.names(name)) if part.startswith(start)]
        return b"".join(storage.read_all(parts)).decode("utf-8", errors="replace").splitlines()
    except ProvenderError as error:  # not allowed, or deleted: the job's end counts, not its log
        return [f"The driver's output could not be fetched: {error.what}"]

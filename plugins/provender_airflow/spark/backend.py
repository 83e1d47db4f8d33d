"""What every place that runs Spark applications can do, and which one the settings name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from provender.errors import (
    ProvenderError,
    SparkUnavailableError,
    TerminalError,
)
from provender_airflow.spark.job import SparkJob


class JobState(StrEnum):
    """Where a submission stands."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class JobHandle:
    """One submission of a job."""

    name: str
    attempt: str
    """The id its manifest carries."""
    reference: str
    """What the backend finds it by."""


@dataclass(frozen=True, slots=True)
class JobStatus:
    """How a submission stands and, where it failed, why."""

    state: JobState
    error: ProvenderError | None = None

    @property
    def is_final(self) -> bool:
        return self.state is not JobState.RUNNING


class SparkBackend(Protocol):
    """Submits applications and finds them again. Methods may raise :class:`TransientError`."""

    poll_seconds: float
    defers: bool
    """Whether a task awaits the end in the triggerer, and shows the log when it has ended."""

    def submit(self, job: SparkJob) -> JobHandle:
        """Starts a new submission."""

    def find(self, name: str) -> JobHandle | None:
        """The submission of ``name`` whose end nobody has taken note of, running or ended.

        One that is being cancelled is awaited and not offered.
        """

    def poll(self, handle: JobHandle) -> JobStatus:
        """How it stands. Says at the same time that somebody still awaits it."""

    def log_lines(self, handle: JobHandle, *, from_start: bool) -> Iterator[str | None]:
        """The application's log, line by line; None when there is no further line for now."""

    def take(self, handle: JobHandle) -> None:
        """Takes note of the end: the next run of the same name starts a new submission."""

    def cancel(self, handle: JobHandle) -> None:
        """Ends it, and what it has running elsewhere. Already gone is not an error."""

    def place(self, handle: JobHandle) -> str:
        """Where a person looks at it: a file, an address, or a command."""


def error_from_exit(exit_code: int | None, reason: str, log: str) -> ProvenderError:
    """The error of an application that ended without reporting one."""
    if exit_code == TerminalError.exit_code:
        return TerminalError("the application failed", where=log, remedy="read the end of that log")
    code = "" if exit_code is None else f", exit code {exit_code}"
    signal = f", signal {-exit_code}" if exit_code is not None and exit_code < 0 else code
    return SparkUnavailableError(
        f"the application ended without a report ({reason}{signal})",
        where=log,
        not_affected="all committed data",
        remedy="read the end of that log; the next try starts it again",
    )

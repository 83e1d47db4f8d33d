"""The backend with real processes: small modules in the place of Spark applications."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from provender.errors import (
    ContractError,
    SettingsError,
    SparkUnavailableError,
    TerminalError,
)
from provender.local import jobs
from provender.processes.process import ProcessRecord
from provender.settings import Settings
from provender_airflow.spark.backend import JobHandle, JobState, JobStatus
from provender_airflow.spark.backends import backend_for
from provender_airflow.spark.job import SparkJob, job_name
from provender_airflow.spark.local import LocalBackend

pytestmark = pytest.mark.airflow
BOUND_SECONDS = 120

APPLICATION = """
import json, os, sys, time
from provender.errors import error_from_dict
from provender.failures import Failure, write_failure
print("attempt", sys.argv[sys.argv.index("--attempt") + 1], flush=True)
if "wait" in sys.argv:
    print(os.getpid(), flush=True)
    time.sleep(60)
if "report" in sys.argv:
    root, document = sys.argv[-2:]
    attempt = sys.argv[sys.argv.index("--attempt") + 1]
    write_failure(root, Failure(attempt, error_from_dict(json.loads(document))))
if "exit" in sys.argv:
    sys.exit(int(sys.argv[sys.argv.index("exit") + 1]))
"""


@pytest.fixture
def backend(settings: Settings) -> Iterator[LocalBackend]:
    (settings.repo.parent / "application.py").write_text(APPLICATION)
    yield LocalBackend(settings, lease_seconds=5)
    jobs.stop_all(settings.state_dir)


def job(*arguments: str, name: str = "a-job") -> SparkJob:
    return SparkJob("application", ("--attempt", "{attempt}", *arguments), name)


def end_of(backend: LocalBackend, handle: JobHandle) -> JobStatus:
    deadline = time.monotonic() + BOUND_SECONDS
    while not (status := backend.poll(handle)).is_final:
        assert time.monotonic() < deadline
    return status


def log_of(handle: JobHandle) -> str:
    return (Path(handle.reference) / "log").read_text()


def pid_of(handle: JobHandle) -> int:
    deadline = time.monotonic() + BOUND_SECONDS
    while log_of(handle).count("\n") < 2:
        assert time.monotonic() < deadline
    return int(log_of(handle).splitlines()[1])


def test_a_job_succeeds_and_knows_its_attempt(backend: LocalBackend) -> None:
    handle = backend.submit(job())
    assert end_of(backend, handle) == JobStatus(JobState.SUCCEEDED)
    assert log_of(handle) == f"attempt {handle.attempt}\n"


def test_the_reported_error_comes_back_as_its_own_class(settings: Settings, backend: LocalBackend) -> None:
    reported = ContractError("12 rows break it", where="raw/x.csv", remedy="fix it", reasons={"too_late": 12})
    document = json.dumps(reported.to_dict())
    handle = backend.submit(job("exit", "3", "report", settings.storage_root, document))
    status = end_of(backend, handle)
    assert isinstance(status.error, ContractError)
    assert str(status.error) == str(reported)
    assert status.error.reasons == {"too_late": 12}


@pytest.mark.parametrize(
    ("code", "kind"), [("3", TerminalError), ("4", SparkUnavailableError), ("1", SparkUnavailableError)]
)
def test_an_end_without_a_report_is_judged_by_its_exit_code(
    backend: LocalBackend, code: str, kind: type[Exception]
) -> None:
    error = end_of(backend, backend.submit(job("exit", code))).error
    assert type(error) is kind
    assert "log" in str(error)


def test_what_the_log_says_is_no_error(settings: Settings, backend: LocalBackend) -> None:
    """Only the failure document counts: what looks like one in the log may be anybody's."""
    error = end_of(backend, backend.submit(job("exit", "1", 'PROVENDER_ERROR {"kind": "SpecError"}'))).error
    assert type(error) is SparkUnavailableError


def test_a_running_job_is_found_and_none_is_started_beside_it(backend: LocalBackend) -> None:
    handle = backend.submit(job("wait"))
    assert backend.find("a-job") == handle
    assert backend.poll(handle).state is JobState.RUNNING
    assert backend.find("another-job") is None


def test_a_job_that_ended_unseen_is_found_until_it_is_taken(backend: LocalBackend) -> None:
    handle = backend.submit(job())
    end_of(backend, handle)
    assert backend.find("a-job") == handle
    backend.take(handle)
    assert backend.find("a-job") is None


def test_a_cancelled_job_ends_and_is_not_found_again(backend: LocalBackend) -> None:
    handle = backend.submit(job("wait"))
    application = ProcessRecord.of(pid_of(handle))
    backend.cancel(handle)
    assert backend.find("a-job") is None
    assert not application.is_alive
    assert backend.poll(handle).state is JobState.CANCELLED


def test_a_job_nobody_polls_is_ended(settings: Settings, backend: LocalBackend) -> None:
    impatient = LocalBackend(settings, lease_seconds=1)
    handle = impatient.submit(job("wait", name="orphan"))
    application = ProcessRecord.of(pid_of(handle))
    deadline = time.monotonic() + BOUND_SECONDS
    while application.is_alive:
        assert time.monotonic() < deadline
    status = end_of(impatient, handle)
    assert status.state is JobState.CANCELLED
    assert "abandoned" in str(status.error)


def test_a_job_whose_runner_is_killed_is_a_failure_that_a_retry_can_mend(backend: LocalBackend) -> None:
    handle = backend.submit(job("wait"))
    pid_of(handle)
    runner = ProcessRecord.read(Path(handle.reference) / "pid.json")
    assert runner is not None
    os.kill(runner.pid, signal.SIGKILL)
    assert isinstance(end_of(backend, handle).error, SparkUnavailableError)


def test_the_log_is_read_line_by_line_from_the_start_or_from_now(backend: LocalBackend) -> None:
    handle = backend.submit(job())
    end_of(backend, handle)
    lines = backend.log_lines(handle, from_start=True)
    assert [next(lines), next(lines)] == [f"attempt {handle.attempt}", None]
    assert next(backend.log_lines(handle, from_start=False)) is None


def test_half_a_line_waits_for_its_other_half(backend: LocalBackend) -> None:
    handle = backend.submit(job())
    end_of(backend, handle)
    log = Path(handle.reference) / "log"
    lines = backend.log_lines(handle, from_start=False)
    assert next(lines) is None
    for text, line in (("ha", None), ("lf\n", "half")):
        with log.open("a") as stream:
            stream.write(text)
        assert next(lines) == line


def test_names_are_the_same_for_the_same_work_and_fit_where_they_go() -> None:
    long = job_name("features__driver_statistics", "ingest", "manual__2026-11-24T00:00:00+00:00__" + "x" * 90)
    assert long == job_name(
        "features__driver_statistics", "ingest", "manual__2026-11-24T00:00:00+00:00__" + "x" * 90
    )
    assert len(long) <= 63
    assert job_name("a", "b-c") != job_name("a-b", "c")
    assert job_name("../..", "; rm -rf /").replace("-", "").isalnum()


def test_a_backend_that_is_not_there_is_a_settings_error(settings: Settings) -> None:
    other = settings.model_copy(update={"spark": settings.spark.model_copy(update={"backend": "clowd"})})
    with pytest.raises(SettingsError, match="no Spark backend 'clowd'"):
        backend_for(other)

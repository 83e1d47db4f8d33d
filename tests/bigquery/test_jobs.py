"""Errors of BigQuery as ours, jobs that are found or ended, days and their statements: without a server."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import pytest
import requests
from google.api_core import exceptions as api
from google.auth.exceptions import DefaultCredentialsError

from provender.clients import bigquery_jobs
from provender.clients.bigquery import translated
from provender.errors import BigQueryError, ProvenderError, SettingsError, TerminalError
from provender.publishing import statements
from provender.publishing.days import MOST_DAYS, MOST_RANGES, DayRange, portions, ranges


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (api.Forbidden("no", errors=[{"reason": "accessDenied"}]), SettingsError),
        (api.Forbidden("slowly", errors=[{"reason": "rateLimitExceeded"}]), BigQueryError),
        (api.Forbidden("enough", errors=[{"reason": "quotaExceeded"}]), BigQueryError),
        (api.NotFound("no data set"), SettingsError),
        (api.BadRequest("wrong", errors=[{"reason": "invalidQuery"}]), TerminalError),
        (
            api.BadRequest("too many", errors=[{"reason": "jobBackendError"}, {"reason": "backendError"}]),
            BigQueryError,
        ),
        (api.ServiceUnavailable("later"), BigQueryError),
        (api.RetryError("it took too long", None), BigQueryError),
        (requests.ConnectionError("cut"), BigQueryError),
        (DefaultCredentialsError("none"), SettingsError),
    ],
)
def test_an_error_is_final_where_no_retry_can_mend_it(error: Exception, kind: type[ProvenderError]) -> None:
    with pytest.raises(ProvenderError) as caught, translated("project.dataset"):
        raise error
    assert type(caught.value) is kind
    assert caught.value.where == "project.dataset" and caught.value.remedy


class Jobs:
    """BigQuery's jobs, as far as these functions see them: ids are taken once, each has an end."""

    def __init__(self, **ends: Exception | None) -> None:
        self.ends: dict[str, Exception | None] = {name.replace("_", "-"): end for name, end in ends.items()}
        self.log: list[str] = []

    def submit(self, job_id: str, end: Exception | None = None) -> Any:
        if job_id in self.ends:
            raise api.Conflict(f"Already Exists: Job {job_id}")
        self.ends[job_id] = end
        self.log.append(f"submit {job_id}")
        return Ended(end)

    def get_job(self, job_id: str) -> Any:
        if job_id not in self.ends:
            raise api.NotFound(job_id)
        return Ended(self.ends[job_id])

    def cancel_job(self, job_id: str) -> None:
        self.log.append(f"cancel {job_id}")


class Ended:
    state = "RUNNING"

    def __init__(self, end: Exception | None) -> None:
        self.end = end

    def result(self) -> None:
        if self.end:
            raise self.end


def run(known: Jobs, is_lasting: Callable[[], bool] = lambda: True) -> list[str]:
    bigquery_jobs.run_once(known, "load", known.submit, is_lasting)  # type: ignore[arg-type]
    return known.log


def test_a_job_that_an_earlier_attempt_ran_is_not_run_again() -> None:
    assert run(Jobs(load_0=None)) == []


def test_one_that_failed_before_gets_the_next_number() -> None:
    assert run(Jobs(load_0=api.BadRequest("no"), load_1=api.BadRequest("no"))) == ["submit load-2"]


def test_one_whose_work_is_gone_is_run_again() -> None:
    assert run(Jobs(load_0=None), is_lasting=lambda: False) == ["submit load-1"]


def test_a_failure_of_ones_own_is_an_error() -> None:
    known = Jobs()
    with pytest.raises(api.BadRequest):
        bigquery_jobs.run_once(known, "load", lambda job_id: known.submit(job_id, api.BadRequest("no")))  # type: ignore[arg-type]


def test_what_a_dead_attempt_left_running_is_ended_before_anything_else() -> None:
    known = Jobs(merge_0=api.GoogleAPICallError("stopped"))
    bigquery_jobs.end(known, ["merge-0", "never-submitted"])  # type: ignore[arg-type]
    assert known.log == ["cancel merge-0"]


def test_consecutive_days_are_one_range() -> None:
    days = [date(2026, 11, 24), date(2026, 11, 22), date(2026, 11, 23), date(2026, 12, 1)]
    assert ranges(days) == [
        DayRange(date(2026, 11, 22), date(2026, 11, 24)),
        DayRange(date(2026, 12, 1), date(2026, 12, 1)),
    ]


def test_no_statement_changes_more_partitions_than_bigquery_allows() -> None:
    years = [date.fromordinal(date(2000, 1, 1).toordinal() + day) for day in range(9000)]
    assert [sum(each.days for each in portion) for portion in portions(years)] == [MOST_DAYS] * 4 + [1000]
    every_other = [len(portion) for portion in portions(years[::2])]
    assert max(every_other) == MOST_RANGES and sum(every_other) == 4500


def test_a_statement_is_within_bigquerys_limit_of_text() -> None:
    days = [
        DayRange(date.fromordinal(730000 + 2 * n), date.fromordinal(730000 + 2 * n))
        for n in range(MOST_RANGES)
    ]
    text = statements.replace_days(
        "p.d.t", "p.d.s", ["k"], ["k", "v"], days, datetime(2026, 1, 1, tzinfo=UTC)
    )
    assert len(text) < 100_000 and text.count("THEN DELETE") == 1

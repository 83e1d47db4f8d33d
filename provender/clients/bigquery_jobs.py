"""Jobs of BigQuery, each run once: a job's id says what it does, so that a later attempt finds an earlier one's.

BigQuery never takes a job id twice. Whoever is refused looks at the job that is there: it runs, then it is awaited;
it ended well, then it is done; it failed, then the next number is tried.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from google.api_core.exceptions import Conflict, GoogleAPICallError, NotFound
from google.cloud import bigquery

from provender.errors import BigQueryError

Submit = Callable[[str], Any]
_MOST_TRIES = 100


def run_once(
    client: bigquery.Client, stem: str, submit: Submit, is_lasting: Callable[[], bool] = lambda: True
) -> Any:
    """The job ``<stem>-<number>``, ended well; ``submit`` starts one under an id that is free.

    ``is_lasting``: whether what a job of an earlier attempt made is still there. Raises Google's errors.
    """
    for number in range(_MOST_TRIES):
        job_id = f"{stem}-{number}"
        try:
            job, is_found = submit(job_id), False
        except Conflict:  # an earlier attempt's, or our own whose answer was lost
            job, is_found = client.get_job(job_id), True
        try:
            job.result()
        except GoogleAPICallError:
            if not is_found:
                raise
            continue
        if not is_found or is_lasting():
            return job
    raise BigQueryError(f"{_MOST_TRIES} jobs of that name have failed", where=stem)


def end(client: bigquery.Client, job_ids: Iterable[str]) -> None:
    """Ends jobs that nobody waits for any more, and waits until they have: one that commits later than its successor
    would undo it."""
    for job_id in job_ids:
        with suppress(NotFound):
            job = client.get_job(job_id)
            if job.state != "DONE":
                client.cancel_job(job_id)
                with suppress(GoogleAPICallError):  # it ends as cancelled, or well: both are an end
                    job.result()

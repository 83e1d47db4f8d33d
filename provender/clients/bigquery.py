"""The connection to BigQuery, and its errors as the platform's.

Credentials are those of the storage (:mod:`provender.storage.gcs.client`). Where ``BIGQUERY_EMULATOR_HOST`` names an
emulator there are none.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import requests
from google.api_core import exceptions as api
from google.auth import exceptions as auth
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from provender.errors import BigQueryError, ProvenderError, SettingsError, TerminalError
from provender.google_errors import first_line, no_credentials
from provender.settings import BigQuerySettings
from provender.storage.readers import KEY_VARIABLE, key_file

EMULATOR_VARIABLE = "BIGQUERY_EMULATOR_HOST"
_LATER = {
    "rateLimitExceeded",
    "quotaExceeded",
    "jobRateLimitExceeded",
    "backendError",
    "internalError",
    "stopped",
}
"""Reasons with which BigQuery refuses something now, whatever the HTTP status."""


def client(warehouse: BigQuerySettings) -> bigquery.Client:
    """This process's client. Raises :class:`SettingsError` if there are no credentials."""
    emulator, key = os.environ.get(EMULATOR_VARIABLE), key_file.get()
    # A forked child must not share its parent's open connections.
    return _client(os.getpid(), warehouse, emulator, key, os.environ.get(KEY_VARIABLE))


@lru_cache(maxsize=8)
def _client(
    _pid: int, warehouse: BigQuerySettings, emulator: str | None, key: str | None, _default_key: str | None
) -> bigquery.Client:
    project, location = warehouse.billing_project or warehouse.project, warehouse.location
    if emulator:
        anonymous = AnonymousCredentials()  # type: ignore[no-untyped-call]
        return bigquery.Client(project=project, location=location, credentials=anonymous)
    with translated("BigQuery"):
        if key:
            found: bigquery.Client = bigquery.Client.from_service_account_json(  # type: ignore[no-untyped-call]
                key, project=project, location=location
            )
            return found
        return bigquery.Client(project=project, location=location)


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Google's errors as :class:`BigQueryError`, or a :class:`TerminalError` where no retry can fix it."""
    try:
        yield
    except auth.GoogleAuthError as error:
        raise no_credentials(error, where) from error
    except api.GoogleAPICallError as error:
        raise _ours(error, where) from error
    except (api.RetryError, requests.RequestException) as error:
        raise _later(error, where) from error


def _ours(error: api.GoogleAPICallError, where: str) -> ProvenderError:
    reasons = {each.get("reason") for each in error.errors if isinstance(each, dict)}
    if reasons & _LATER:
        return _later(error, where)
    if isinstance(error, api.Unauthorized | api.Forbidden):
        return SettingsError(
            f"BigQuery refuses it: {first_line(error)}",
            where=where,
            not_affected="the published tables as they were",
            remedy="give the account roles/bigquery.jobUser on the project and roles/bigquery.dataEditor on the data "
            "set, then run the same command again",
        )
    if isinstance(error, api.NotFound):
        return SettingsError(
            f"BigQuery does not find it: {first_line(error)}",
            where=where,
            not_affected="the published tables as they were",
            remedy="a data set: make it (deploy/gcp/setup.sh with BIGQUERY=1), or correct provender.bigquery; "
            "a file or a staging table: run the same command again",
        )
    if isinstance(error, api.BadRequest):
        return TerminalError(
            f"BigQuery does not take it: {first_line(error)}",
            where=where,
            not_affected="the published tables as they were",
            remedy="provender publish SOURCE --full, if the table in BigQuery was changed by hand",
        )
    return _later(error, where)


def _later(error: Exception, where: str) -> BigQueryError:
    return BigQueryError(
        f"BigQuery does not answer, or broke a job off: {first_line(error)}",
        where=where,
        not_affected="the published tables: each holds whole days as the log had them",
        remedy="run the same command again",
    )

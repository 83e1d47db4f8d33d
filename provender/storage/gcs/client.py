"""The connection to Google Cloud Storage, and its errors as the platform's.

Credentials are Google's application default ones: a service account's key file that
``GOOGLE_APPLICATION_CREDENTIALS`` names, workload identity on Google Cloud, or what ``gcloud`` left on a person's
machine. Where ``STORAGE_EMULATOR_HOST`` names an emulator there are none. Delta readers, Arrow and Spark find the
same ones (:mod:`provender.storage.readers`).
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
from google.cloud import storage
from google.resumable_media import DataCorruption

from provender.errors import SettingsError, StorageError
from provender.google_errors import first_line, no_credentials
from provender.storage.readers import KEY_VARIABLE, emulator_url, key_file

_ANY_PROJECT = "provender"
"""Objects belong to buckets; only requests about buckets themselves ask for the project."""


def client() -> storage.Client:
    """This process's client. Raises :class:`SettingsError` if there are no credentials."""
    # A forked child must not share its parent's open connections.
    return _client(os.getpid(), emulator_url(), key_file.get(), os.environ.get(KEY_VARIABLE))


@lru_cache(maxsize=8)
def _client(_pid: int, emulator: str | None, key: str | None, _default_key: str | None) -> storage.Client:
    project = os.environ.get("GOOGLE_CLOUD_PROJECT", _ANY_PROJECT)
    if emulator:
        anonymous = AnonymousCredentials()  # type: ignore[no-untyped-call]
        return storage.Client(project=project, credentials=anonymous)
    with translated("Google Cloud Storage"):
        if key:
            return storage.Client.from_service_account_json(key, project=project)
        return storage.Client(project=project)


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Google's errors as :class:`StorageError`, or :class:`SettingsError` where no retry can fix it."""
    try:
        yield
    except (api.Unauthorized, api.Forbidden) as error:
        raise SettingsError(
            f"Google Cloud Storage refuses it: {first_line(error)}",
            where=where,
            not_affected="everything committed before",
            remedy="give the account roles/storage.objectAdmin on the bucket, then run the same command again",
        ) from error
    except auth.GoogleAuthError as error:
        raise no_credentials(error, where) from error
    except api.NotFound as error:
        raise StorageError(
            "there is no such bucket, or the file has gone",
            where=where,
            not_affected="everything committed before",
            remedy="make the bucket, or correct provender.storage_root",
        ) from error
    except (api.GoogleAPICallError, api.RetryError, requests.RequestException, DataCorruption) as error:
        raise StorageError(
            f"Google Cloud Storage does not answer: {first_line(error)}",
            where=where,
            not_affected="everything committed before; the unfinished file is not there",
            remedy="run the same command again",
        ) from error

"""Connections to SQL databases: a name in the spec, a URL in the settings, secrets in the environment."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from provender.errors import SettingsError, SetupError
from provender.settings import SETTINGS_FILE, Settings
from provender.specs.problems import did_you_mean

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.engine import URL

BIGQUERY = "bigquery"
_BIGQUERY_OPTIONS = ("location", "staging")
_PROJECT = re.compile(r"[a-z][a-z0-9:.-]*[a-z0-9]")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True)
class BigQueryConnection:
    """``bigquery://project?location=EU&staging=gs://bucket/folder``: no secret is in it."""

    project: str
    """Where jobs run, and tables are unless their names say another one."""
    location: str | None
    staging: str
    """A ``gs://`` folder for Parquet on its way."""


def bigquery_connection(settings: Settings, name: str) -> BigQueryConnection | None:
    """The connection ``name``, if it is one to BigQuery. ``staging`` is by default where the storage root is, or
    ``provender.bigquery.staging``. Raises :class:`SettingsError`."""
    secret = settings.connections.get(name)
    if secret is None or urlsplit(secret.get_secret_value()).scheme != BIGQUERY:
        return None
    url, where = urlsplit(secret.get_secret_value()), f"{_where(settings)}.{name}"
    options = dict(parse_qsl(url.query))
    if unknown := sorted(options.keys() - set(_BIGQUERY_OPTIONS)):
        remedy = did_you_mean(unknown[0], _BIGQUERY_OPTIONS)
        raise SettingsError(
            f"unknown option {unknown[0]!r} of a BigQuery connection", where=where, remedy=remedy
        )
    if not _PROJECT.fullmatch(url.netloc) or url.path.strip("/"):
        remedy = "write it like bigquery://my-project?location=EU"
        raise SettingsError("the URL does not name a Google project", where=where, remedy=remedy)
    warehouse = settings.bigquery.staging if settings.bigquery else ""
    staging = options.get("staging") or warehouse or settings.storage_root
    if not staging.startswith("gs://"):
        raise SettingsError(
            "BigQuery cannot write files to this machine",
            where=where,
            remedy="add ?staging=gs://bucket/folder to the URL, or keep storage_root on gs://",
        )
    return BigQueryConnection(url.netloc, options.get("location"), staging.rstrip("/"))


def engine_of(settings: Settings, name: str) -> Engine:
    """The database behind the connection ``name``, not connected yet; dispose of it after use.

    Raises :class:`SettingsError` for an unknown name, a URL that cannot be read or a variable that is not set,
    :class:`SetupError` if SQLAlchemy or the database's driver is not installed. None of them shows the URL.
    """
    try:
        from sqlalchemy import create_engine
        from sqlalchemy.exc import NoSuchModuleError
        from sqlalchemy.pool import NullPool
    except ImportError as error:
        raise SetupError(
            "sources in SQL databases need SQLAlchemy", remedy="install provender[sql]"
        ) from error
    try:
        return create_engine(_url(settings, name), poolclass=NullPool, hide_parameters=True)
    except (ImportError, NoSuchModuleError) as error:
        raise SetupError(
            f"no driver for connection {name!r}: {error}", remedy="install it beside provender"
        ) from error


def _url(settings: Settings, name: str) -> URL:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    where = _where(settings)
    if name not in settings.connections:
        raise SettingsError(
            f"no connection is called {name!r}", where=where, remedy=did_you_mean(name, settings.connections)
        )
    try:
        url = make_url(settings.connections[name].get_secret_value())
    except (ArgumentError, ValueError):
        # Not chained: the error repeats the URL, and with it the password.
        raise SettingsError(
            f"the URL of connection {name!r} cannot be read",
            where=where,
            remedy="write it like postgresql+psycopg://user:${PASSWORD}@host:5432/database",
        ) from None
    # Variables are put in after the URL was taken apart: a password may hold any character.
    parts = (url.username, url.password, url.host, url.database)
    user, password, host, database = (_expanded(part, name, where) for part in parts)
    return url.set(username=user, password=password, host=host, database=database)


def _where(settings: Settings) -> str:
    return f"{settings.repo / SETTINGS_FILE}: provender.connections"


def _expanded(text: str | None, name: str, where: str) -> str | None:
    if text is None:
        return None
    missing = [variable for variable in _VARIABLE.findall(text) if variable not in os.environ]
    if missing:
        raise SettingsError(
            f"connection {name!r} takes ${{{missing[0]}}}, which is not set",
            where=where,
            remedy=f"export {missing[0]}, from a secret",
        )
    return _VARIABLE.sub(lambda found: os.environ[found.group(1)], text)

"""Connections to SQL databases: a name in the spec, a URL in the settings, secrets in the environment."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from provender.errors import SettingsError, SetupError
from provender.settings import Settings
from provender.specs.problems import did_you_mean

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.engine import URL

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


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

    where = f"{settings.repo / 'feature_store.yaml'}: provender.connections"
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

"""Feast's registry: where it is, how it is opened, and who may write it.

A relative SQLite registry path means "relative to feature_store.yaml".

Feast hands the path to SQLAlchemy as it stands, so ``sqlite:///../.provender/registry.db`` is another, new and empty
registry in each current directory. Feast 0.67 has no hook for this (registry types are a closed list, and the SQL
registry is not told the repo), so the one property that gives out the registry's configuration is wrapped, when Feast
imports our offline store: while it reads ``feature_store.yaml``, before anything opens the registry. The registry
stays Feast's own; an absolute path or another database is left alone. A variable that is not set is an error there:
Feast would take ``${NAME}`` for the path.

Feast's SQL registry reads and writes each object for itself: of two processes that register one at the same time, the
second keeps quiet about having written nothing, and a deletion raises where another was faster. So whoever writes
takes :func:`registry_lock`.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any
from uuid import uuid4

from feast import FeatureStore
from feast.feature_view_projection import FeatureViewProjection
from feast.repo_config import RegistryConfig, RepoConfig

from provender.errors import DamagedFileError, ProvenderError, RegistryError, SettingsError, StorageError
from provender.settings import SETTINGS_FILE, Settings
from provender.storage import storage_at

_SQLITE = "sqlite:///"
_URL_REMEDY = (
    "write it like postgresql+psycopg://user:password@host:5432/database, the whole of it in a variable"
)
_MARK = "_provender_anchored"
_OPEN_TRIES = 5
_LOCK_SECONDS = 600.0


def open_store(settings: Settings) -> FeatureStore:
    """Feast's store over the repo, its registry open; tables that are not there are made.

    Raises :class:`SettingsError` for an invalid registry path, :class:`RegistryError` if it does not answer.
    """
    from sqlalchemy.exc import IntegrityError, ProgrammingError

    with registry_errors(settings):
        for _ in range(_OPEN_TRIES - 1):
            try:
                return _opened(settings)
            except (IntegrityError, ProgrammingError):
                # Another process makes the tables at this moment: Postgres refuses the second CREATE TABLE.
                continue
        return _opened(settings)


def _opened(settings: Settings) -> FeatureStore:
    store = FeatureStore(str(settings.repo))
    with unreadable_entries(settings):
        store.registry  # noqa: B018 (opens it)
    return store


@contextmanager
def registry_lock(settings: Settings, waiting: Callable[[str], None] | None = None) -> Iterator[None]:
    """One process at a time writes the project's registry and what is applied. ``waiting`` is told the holder's name.
    Raises :class:`LockHeldError` after ten minutes."""
    storage = storage_at(settings.storage_root)
    owner = f"process {os.getpid()}, {uuid4().hex[:8]}"
    with storage.lock(f"{settings.project}.registry", owner, timeout_seconds=_LOCK_SECONDS, waiting=waiting):
        yield


@contextmanager
def registry_errors(settings: Settings) -> Iterator[None]:
    """What the database of the registry raises in the block, as our errors, without its password."""
    from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, NoSuchModuleError, OperationalError

    where = f"{settings.repo / SETTINGS_FILE}: registry.path"
    try:
        yield
    except (ArgumentError, NoSuchModuleError):
        # Not chained: the error may repeat the URL, and with it the password.
        raise SettingsError(
            "the registry's path is no database URL", where=where, remedy=_URL_REMEDY
        ) from None
    except DBAPIError as error:
        if isinstance(error.orig, sqlite3.DatabaseError):
            found = _of_the_file(settings, error.orig)
            if found is not None:
                raise found from None
        if not (error.connection_invalidated or isinstance(error, OperationalError | InterfaceError)):
            raise
        reason = " ".join(str(error.orig).split())[:300]
        raise RegistryError(
            f"Feast's registry does not answer: {reason}",
            where=where,
            not_affected="tables, online values, and what is applied",
            remedy="start its database, or correct the path, then run the same command again",
        ) from None


@contextmanager
def unreadable_entries(settings: Settings) -> Iterator[None]:
    """What Feast raises in the block over an entry that it cannot read back, as an error that says the way out."""
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (ProvenderError, SQLAlchemyError, ImportError):
        raise
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise SettingsError(
            f"Feast cannot read its registry back: {reason}",
            where=f"{settings.repo / SETTINGS_FILE}: registry.path",
            not_affected="tables, online values, and what is applied",
            remedy="put that database aside (rename it), then run: provender apply; the repo's files hold all of it",
        ) from error


@contextmanager
def comparable_services() -> Iterator[None]:
    """Feature services can be compared in the block, whatever they hold.

    Feast 0.67 sorts a service's projections by their fields, and cannot where one view is there under an alias and
    under none, or with two join key maps: such a service can be registered once, and every later apply ends in a
    ``TypeError``. Definitions like that are refused; this is for those that are registered already.
    """
    original = FeatureViewProjection.__lt__
    setattr(FeatureViewProjection, "__lt__", _before)  # noqa: B010 (attrs made the method)
    try:
        yield
    finally:
        setattr(FeatureViewProjection, "__lt__", original)  # noqa: B010


def _before(one: FeatureViewProjection, other: FeatureViewProjection) -> bool:
    first, second = (
        (p.name, p.name_alias or "", sorted(p.join_key_map.items()), [field.name for field in p.features])
        for p in (one, other)
    )
    return first < second


def _of_the_file(settings: Settings, error: sqlite3.DatabaseError) -> ProvenderError | None:
    """What SQLite says of its file; None for all else."""
    name = getattr(error, "sqlite_errorname", "") or ""
    where = f"{settings.repo / SETTINGS_FILE}: registry.path"
    not_affected = "tables, online values, and what is applied"
    if name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
        return DamagedFileError(
            f"the file of Feast's registry cannot be read: {error}",
            where=where,
            not_affected=not_affected,
            remedy="put it back from a backup, or move it away and register everything again: provender apply",
        )
    remedies = {
        "SQLITE_FULL": "free space there",
        "SQLITE_IOERR": "check the disk: it may be full or broken",
        "SQLITE_READONLY": "correct the permissions of the file and of its folder",
        "SQLITE_CANTOPEN": "correct the path, or the permissions of its folder",
    }
    for start, remedy in remedies.items():
        if name.startswith(start):
            what = f"Feast's registry cannot be written or read: {error}"
            remedy = f"{remedy}, then run the same command again"
            return StorageError(what, where=where, not_affected=not_affected, remedy=remedy)
    return None


def anchor_registry_paths() -> None:
    """Makes ``RepoConfig.registry`` give absolute SQLite paths. A second call changes nothing."""
    feasts: Any = RepoConfig.registry
    original = feasts.fget
    if hasattr(original, _MARK):
        return

    @wraps(original)
    def registry(self: RepoConfig) -> Any:
        config = original(self)
        if isinstance(config, RegistryConfig):
            _refuse_unset(config.path)
            if self.repo_path is not None:
                _anchor(config, Path(self.repo_path))
        return config

    setattr(registry, _MARK, True)
    RepoConfig.registry = property(registry)  # type: ignore[method-assign,assignment]


def _anchor(config: RegistryConfig, repo: Path) -> None:
    path = config.path.removeprefix(_SQLITE)
    if path == config.path or not path or path.startswith(("/", ":", "file:")):
        return
    target = (repo / path).resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    config.path = _SQLITE + str(target)


def _refuse_unset(path: str) -> None:
    # Feast has put in what was set. A password may hold a dollar sign: a bare name counts only at the beginning.
    unset = re.findall(r"\$\{(\w+)\}", path) or re.findall(r"^\$(\w+)", path)
    if unset:
        raise SettingsError(
            f"the registry's path takes {', '.join(f'${{{name}}}' for name in unset)}, which is not set",
            where=f"{SETTINGS_FILE}: registry.path",
            not_affected="everything",
            remedy=f"export {unset[0]}, from a secret",
        )

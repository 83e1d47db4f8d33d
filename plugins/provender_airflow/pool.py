"""The Airflow pool that bounds how many Spark applications are under way: ``provender.spark.pool``.

A task in a pool that does not exist is never scheduled, and one that waits in the triggerer counts only in a pool that
includes deferred tasks. So the scheduler makes the pool when it starts, with ``pool_slots`` and deferred tasks
included; one that is there already belongs to whoever made it.
"""

from __future__ import annotations

import logging
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.listeners import hookimpl

from provender.errors import SettingsError
from provender.settings import SETTINGS_FILE, Settings, load_settings
from provender_airflow.repo import deployed_repo

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

_JOBS = "airflow.jobs.job"
_log = logging.getLogger(__name__)


def pool_arguments(repo: Path | str) -> dict[str, Any]:
    """Operator arguments that put a task into the pool; none where the settings name no pool."""
    settings = settings_at_parse(repo)
    return {"pool": settings.spark.pool} if settings is not None and settings.spark.pool else {}


def settings_at_parse(repo: Path | str) -> Settings | None:
    """The settings, read once while the file is the same; None where there are none that can be read."""
    file = Path(repo) / SETTINGS_FILE
    return _settings_in(Path(repo), file.stat().st_mtime_ns) if file.is_file() else None


@lru_cache(maxsize=8)
def _settings_in(repo: Path, _mtime: int) -> Settings | None:
    try:
        return load_settings(repo)
    except SettingsError:
        return None  # a DAG file is no place to say so; every task says it


@hookimpl
def on_starting(component: Any) -> None:
    """Airflow calls it in each of its processes; those with a job of their own may use its database."""
    if type(component).__module__ != _JOBS:
        return
    try:
        repo = deployed_repo()
    except SettingsError:
        _log.info("provender is installed, and there is no feature repo: see `provender init`")
        return
    settings = load_settings(repo)
    if settings.spark.pool:
        from airflow.utils.session import create_session

        with create_session() as session:
            ensure_pool(settings, session)


def ensure_pool(settings: Settings, session: Session) -> None:
    """Makes the settings' pool, if there is none of its name."""
    from airflow.models.pool import Pool

    name, slots = settings.spark.pool, settings.spark.pool_slots
    there = Pool.get_pool(name, session=session)
    if there is None:
        description = "Spark applications under way, those that wait in the triggerer included"
        Pool.create_or_update_pool(name, slots, description, include_deferred=True, session=session)
        _log.info("Made the pool %s with %s slots", name, slots)
    elif not there.include_deferred:
        _log.warning("The pool %s does not count deferred tasks, so it does not bound applications", name)

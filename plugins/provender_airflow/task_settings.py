"""The settings as a task has them: what Airflow's connections hold is put where Google's libraries look for it.

With ``provender.google_connection_id`` the connection's key (``key_path`` or ``keyfile_dict``) becomes this process's
application default credentials, and those of the Spark application, JVM and readers that it starts. A connection
without a key (workload identity, an anonymous one for an emulator) leaves everything as it is.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from pathlib import Path
from typing import Any

from provender.errors import SettingsError
from provender.processes.process import replace_text
from provender.settings import Settings, load_settings
from provender.storage.readers import KEY_VARIABLE, key_file
from provender_airflow.redis_connection import with_redis

_PREFIX = "extra__google_cloud_platform__"
_ELSEWHERE = "key_secret_name"


def task_settings(repo: str | Path | None) -> Settings:
    """The settings of ``repo``, for an operator. Raises :class:`SettingsError`."""
    settings = with_redis(load_settings(repo))
    path = google_key(settings)
    if path is not None:
        os.environ[KEY_VARIABLE] = path
    return settings


async def trigger_settings(repo: str) -> Settings:
    """The settings of ``repo``, for a trigger: Google's key counts in its context alone, since its process works for
    others too. Raises :class:`SettingsError`."""
    settings, key = await asyncio.to_thread(_with_key, repo)
    key_file.set(key)
    return settings


def _with_key(repo: str) -> tuple[Settings, str | None]:
    settings = load_settings(repo)
    return settings, google_key(settings)


def google_key(settings: Settings) -> str | None:
    """The path of the key file behind ``google_connection_id``; None if there is none. Whoever shares a
    process with others sets :data:`provender.storage.readers.key_file` to it."""
    name = settings.google_connection_id
    if name is None:
        return None
    extra = _extra(name)
    if extra.get(_ELSEWHERE):
        raise SettingsError(
            f"the key of connection {name!r} is in a secret manager, where only Airflow's own hooks find it",
            where="provender.google_connection_id",
            remedy="use workload identity, or a connection with key_path or keyfile_dict",
        )
    if extra.get("key_path"):
        return str(extra["key_path"])
    return _written(settings, name, extra["keyfile_dict"]) if extra.get("keyfile_dict") else None


def _extra(name: str) -> dict[str, Any]:
    from airflow.sdk.bases.hook import BaseHook

    extra: dict[str, Any] = BaseHook.get_connection(name).extra_dejson
    return {key.removeprefix(_PREFIX): value for key, value in extra.items()}


def _written(settings: Settings, name: str, key: Any) -> str:
    """The key as a file that only this user reads: a Spark application may outlive the task that started it."""
    folder = settings.state_dir / "google"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{re.sub('[^A-Za-z0-9_-]', '-', name)}.json"
    replace_text(path, key if isinstance(key, str) else json.dumps(key), mode=0o600)
    return str(path)

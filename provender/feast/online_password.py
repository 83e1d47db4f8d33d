"""Feast's Redis online store knows the password of this machine's Redis without being told.

Feast hands ``online_store.connection_string`` to redis-py as it stands in ``feature_store.yaml``, and has no hook for a
secret that is made when a server starts. So the one property that gives out the online store's configuration is
wrapped when Feast imports our offline store, as the registry's is (:mod:`provender.feast.registry`). A connection
string that names another server, or a password, is left alone.
"""

from __future__ import annotations

from functools import wraps
from pathlib import Path
from typing import Any

from feast.repo_config import RepoConfig

from provender.embedded_redis import with_password
from provender.settings import load_settings

_MARK = "_provender_password"


def give_online_password() -> None:
    """Make ``RepoConfig.online_store`` add the password. A second call changes nothing."""
    feasts: Any = RepoConfig.online_store
    original = feasts.fget
    if hasattr(original, _MARK):
        return

    @wraps(original)
    def online_store(self: RepoConfig) -> Any:
        config = original(self)
        text = getattr(config, "connection_string", None)
        if isinstance(text, str) and self.repo_path is not None:
            config.connection_string = with_password(text, load_settings(Path(self.repo_path)).state_dir)
        return config

    setattr(online_store, _MARK, True)
    RepoConfig.online_store = property(online_store)  # type: ignore[method-assign,assignment]

"""A relative SQLite registry path means "relative to feature_store.yaml".

Feast hands the path to SQLAlchemy as it stands, so ``sqlite:///../.provender/registry.db`` is another, new and empty
registry in each current directory. Feast 0.67 has no hook for this (registry types are a closed list, and the SQL
registry is not told the repo), so the one property that gives out the registry's configuration is wrapped, when Feast
imports our offline store: while it reads ``feature_store.yaml``, before anything opens the registry. The registry
stays Feast's own; an absolute path or another database is left alone.
"""

from __future__ import annotations

from functools import wraps
from pathlib import Path
from typing import Any

from feast.repo_config import RegistryConfig, RepoConfig

_SQLITE = "sqlite:///"
_MARK = "_provender_anchored"


def anchor_registry_paths() -> None:
    """Makes ``RepoConfig.registry`` give absolute SQLite paths. A second call changes nothing."""
    feasts: Any = RepoConfig.registry
    original = feasts.fget
    if hasattr(original, _MARK):
        return

    @wraps(original)
    def registry(self: RepoConfig) -> Any:
        config = original(self)
        if self.repo_path is not None and isinstance(config, RegistryConfig):
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

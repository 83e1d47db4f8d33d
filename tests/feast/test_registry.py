"""``FeatureStore(repo)`` is the same store from every directory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from feast import FeatureStore
from feast.repo_config import RepoConfig

from provender.feast import registry
from tests.feast.conftest import Shop

NAMES = "from feast import FeatureStore; print([v.name for v in FeatureStore({!r}).list_feature_views()])"


@pytest.mark.parametrize("where", ["/", ".", "feature_defs", "feature_defs/sources"])
def test_a_relative_registry_is_the_repos_from_any_directory(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    monkeypatch.chdir(shop.root / where)
    for repo in (str(shop.repo), os.path.relpath(shop.repo)):
        assert [view.name for view in FeatureStore(repo).list_feature_views()] == ["driver_trips"]
    assert not list(shop.root.glob("**/data/registry.db"))


def test_a_new_process_without_any_environment_variable_finds_it(shop: Shop, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    found = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", NAMES.format("../feature_defs")],
        cwd=elsewhere, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert found.stdout.strip() == "['driver_trips']"
    assert list(elsewhere.iterdir()) == []


def test_other_databases_and_absolute_paths_are_left_alone(tmp_path: Path) -> None:
    def path_of(path: str) -> str:
        config = RepoConfig(
            project="p", provider="local", registry={"registry_type": "sql", "path": path},
            offline_store={"type": "provender.feast.offline_store.ProvenderOfflineStore"},
        )  # fmt: skip
        config.repo_path = tmp_path
        return str(config.registry.path)

    assert path_of("postgresql+psycopg://host/db") == "postgresql+psycopg://host/db"
    assert path_of("sqlite:////var/registry.db") == "sqlite:////var/registry.db"
    assert path_of("sqlite:///:memory:") == "sqlite:///:memory:"
    assert path_of("sqlite:///a/b.db") == f"sqlite:///{tmp_path}/a/b.db"


def test_the_wrapping_happens_once() -> None:
    before = RepoConfig.registry
    registry.anchor_registry_paths()
    assert RepoConfig.registry is before

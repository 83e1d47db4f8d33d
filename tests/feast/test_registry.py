"""``FeatureStore(repo)`` is the same store from every directory."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from feast import FeatureStore
from feast.repo_config import RepoConfig

from provender.errors import DamagedFileError, RegistryError, SettingsError, StorageError
from provender.feast import registry
from provender.feast.apply import apply, plan
from provender.feast.merge import States
from tests.feast.conftest import SETTINGS, Shop
from tests.servers import free_port
from tests.small_disk import SmallDisk

NAMES = "from feast import FeatureStore; print([v.name for v in FeatureStore({!r}).list_feature_views()])"


@pytest.mark.parametrize("where", ["/", ".", "feature_defs", "feature_defs/sources"])
def test_a_relative_registry_is_the_repos_from_any_directory(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    monkeypatch.chdir(shop.root / where)
    for repo in (str(shop.repo), os.path.relpath(shop.repo)):
        assert [view.name for view in FeatureStore(repo).list_feature_views()] == ["driver_trips"]
    assert not list(shop.root.glob("**/data/registry.db"))


@pytest.mark.slow  # processes that import Feast
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


@pytest.mark.slow  # processes that import Feast
@pytest.mark.parametrize("path", ["${NOT_SET_HERE}", "postgresql+psycopg://feast:${NOT_SET_HERE}@db/feast"])
def test_a_variable_that_is_not_set_is_one_error_that_names_it(shop: Shop, path: str) -> None:
    shop.write("feature_store.yaml", SETTINGS.replace("sqlite:///../state/registry.db", path))
    for use in (lambda: apply(shop.repo), lambda: plan(shop.repo), lambda: shop.store().list_feature_views()):
        with pytest.raises(SettingsError, match=r"path takes \$\{NOT_SET_HERE\}, which is not set") as caught:
            use()
        assert "export NOT_SET_HERE" in caught.value.remedy
    said = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "provender", "--repo", str(shop.repo), "apply"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert said.returncode == SettingsError.exit_code and "Traceback" not in said.stderr


def test_a_dollar_sign_in_a_password_is_a_dollar_sign() -> None:
    registry._refuse_unset("postgresql+psycopg://feast:pa$word@db/feast")


def test_a_registry_that_does_not_answer_is_our_error_without_its_password(shop: Shop) -> None:
    address = f"postgresql+psycopg://feast:secret-word@127.0.0.1:{free_port()}/feast"
    shop.write("feature_store.yaml", SETTINGS.replace("sqlite:///../state/registry.db", address))
    with pytest.raises(RegistryError, match="registry does not answer") as caught:
        apply(shop.repo)
    assert "secret-word" not in str(caught.value)
    shop.write("feature_store.yaml", SETTINGS.replace("sqlite:///../state/registry.db", "secret-word"))
    with pytest.raises(SettingsError, match="no database URL") as wrong:
        apply(shop.repo)
    assert "secret-word" not in str(wrong.value)


def test_an_empty_registry_is_filled_and_a_cut_one_is_named_with_the_way_out(shop: Shop) -> None:
    file = shop.root / "state" / "registry.db"
    whole = file.read_bytes()
    file.write_bytes(b"")
    apply(shop.repo)
    assert [view.name for view in shop.store().list_feature_views()] == ["driver_trips"]
    for content in (
        whole[: len(whole) // 2],
        b"\x00" * 8192,
        b"not a database, but long enough to be one" * 50,
    ):
        file.write_bytes(content)
        with pytest.raises(DamagedFileError, match="registry cannot be read") as caught:
            apply(shop.repo)
        assert "provender apply" in caught.value.remedy
    file.rename(file.with_suffix(".damaged"))
    apply(shop.repo)
    assert [view.name for view in shop.store().list_feature_views()] == ["driver_trips"]


def test_a_registry_on_a_full_disk_is_one_sentence(shop: Shop, small_disk: SmallDisk) -> None:
    path = f"sqlite:///{small_disk.folder}/registry.db"
    shop.write("feature_store.yaml", SETTINGS.replace("sqlite:///../state/registry.db", path))
    small_disk.fill()
    with pytest.raises(StorageError) as caught:
        apply(shop.repo)
    assert "registry" in caught.value.what and "disk" in f"{caught.value.what} {caught.value.remedy}"
    small_disk.clear()
    apply(shop.repo)
    assert [view.name for view in shop.store().list_feature_views()] == ["driver_trips"]


def test_an_apply_under_a_clock_that_was_set_back_since_does_not_stop_the_next_ones() -> None:
    began = datetime.now(UTC)
    ahead = States(((began + timedelta(hours=1), {("FeatureView", "trips"): "1"}),))
    assert ahead.changed_since(began) == {}
    meanwhile = States(((began - timedelta(hours=1), {}), (began, {("FeatureView", "trips"): "1"})))
    assert meanwhile.changed_since(began - timedelta(seconds=1)) == {("FeatureView", "trips"): None}

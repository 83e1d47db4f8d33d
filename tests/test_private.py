"""One machine's platform is its user's alone: file modes, the mask, and the password of its Redis."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import redis
import yaml

from provender.embedded_redis import with_password
from provender.local import redis_server
from provender.settings import Settings, load_settings
from provender.storage import storage_at
from tests.servers import free_port

OTHERS = stat.S_IRWXG | stat.S_IRWXO


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """A feature repo on a Redis that is not started."""
    folder = tmp_path / "feature_defs"
    (folder / "sources").mkdir(parents=True)
    document = {
        "project": "alone",
        "provider": "local",
        "registry": {"registry_type": "sql", "path": "sqlite:///../state/registry.db"},
        "online_store": {"type": "redis", "connection_string": f"127.0.0.1:{free_port()}"},
        "offline_store": {"type": "provender.feast.offline_store.ProvenderOfflineStore"},
        "entity_key_serialization_version": 3,
        "provender": {"storage_root": "../state/storage", "state_dir": "../state"},
    }
    (folder / "feature_store.yaml").write_text(yaml.safe_dump(document))
    return folder


@pytest.fixture
def running(repo: Path) -> Iterator[Settings]:
    """The settings after ``provender up --redis-only``."""
    subprocess.run(
        [sys.executable, "-m", "provender", "--repo", str(repo), "up", "--redis-only"], check=True, umask=0
    )
    settings = load_settings(repo)
    yield settings
    redis_server.stop(settings)


def open_to_others(folder: Path) -> list[Path]:
    return [
        path
        for path in (folder, *folder.rglob("*"))
        if not path.is_symlink() and path.stat().st_mode & OTHERS
    ]


@pytest.mark.redis
def test_nothing_that_a_command_writes_is_open_to_others(running: Settings) -> None:
    storage_at(running.storage_root).create("a/b", b"data")
    client = redis.Redis(port=redis_server.address(running)[1], password=running.redis.rpartition("=")[2])
    client.set("a", "b")
    assert not [path for path in open_to_others(running.state_dir) if "storage" not in path.parts]
    assert not running.state_dir.stat().st_mode & OTHERS  # so nobody reaches what is in it


@pytest.mark.redis
def test_redis_asks_for_a_password_and_settings_and_feast_know_it(running: Settings, repo: Path) -> None:
    port = redis_server.address(running)[1]
    with pytest.raises(redis.AuthenticationError):
        redis.Redis(port=port).ping()
    assert redis.Redis(port=port, password=running.redis.rpartition("password=")[2]).ping()
    code = (
        "import sys; from feast import FeatureStore; from feast.infra.online_stores.redis import RedisOnlineStore;"
        "store = FeatureStore(sys.argv[1]); print(RedisOnlineStore()._get_client(store.config.online_store).ping())"
    )
    found = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, str(repo)], capture_output=True, text=True
    )
    assert found.stdout.split() == ["True"], found.stderr


@pytest.mark.redis
def test_the_password_outlives_a_restart_and_is_in_no_process_list(running: Settings) -> None:
    before = running.redis
    password = before.rpartition("=")[2]
    commands = [" ".join(each.info["cmdline"] or []) for each in psutil.process_iter(["cmdline"])]
    assert any(str(running.state_dir / "redis") in command for command in commands)  # it is among them
    assert not any(password in command for command in commands)
    redis_server.stop(running)
    redis_server.start(load_settings(running.repo))
    assert load_settings(running.repo).redis == before


def test_a_state_folder_that_others_could_enter_is_closed(repo: Path) -> None:
    state = load_settings(repo).state_dir
    state.mkdir(mode=0o755)
    state.chmod(0o755)
    subprocess.run([sys.executable, "-m", "provender", "--repo", str(repo), "validate"], check=False)
    assert stat.S_IMODE(state.stat().st_mode) == 0o700


def test_a_folder_is_shared_where_the_settings_say_so(repo: Path) -> None:
    path = repo / "feature_store.yaml"
    document = yaml.safe_load(path.read_text())
    document["provender"]["private"] = False
    path.write_text(yaml.safe_dump(document))
    state = load_settings(repo).state_dir
    state.mkdir()
    state.chmod(0o775)
    subprocess.run([sys.executable, "-m", "provender", "--repo", str(repo), "validate"], check=False)
    assert stat.S_IMODE(state.stat().st_mode) == 0o775


def test_a_storage_root_is_made_for_its_user_alone_whatever_the_mask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        storage_at((tmp_path / "new" / "root").as_uri()).create("a", b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "new" / "root").stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("text", "is_ours"),
    [
        ("127.0.0.1:6390", True),
        ("localhost:6390,db=1", True),
        ("127.0.0.1:6390,password=theirs", False),
        ("127.0.0.1:6391", False),
        ("redis.example.com:6390", False),
        ("127.0.0.1:6390,cluster=true", False),
        ("${PROVENDER_REDIS}", False),
        ("", False),
    ],
)
def test_only_the_machines_own_redis_gets_its_password(tmp_path: Path, text: str, is_ours: bool) -> None:
    (tmp_path / "redis").mkdir()
    (tmp_path / "redis" / "redis.conf").write_text('port 6390\nrequirepass "secret"\n')
    assert with_password(text, tmp_path) == (f"{text},password=secret" if is_ours else text)

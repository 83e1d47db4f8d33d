"""The full profile: its settings and what its processes get. That it starts is seen by `make up PROFILE=full`."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from provender.local import full, postgres
from provender.local.full import PASSWORDS, PORTS, Profile
from tests.engine import CHECKOUT


@pytest.fixture
def profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Profile:
    for name in ("PROVENDER_REPO", "PROVENDER_REDIS", "PROVENDER_REGISTRY", "STORAGE_EMULATOR_HOST"):
        monkeypatch.delenv(name, raising=False)
    for name in ("deploy", "feature_defs"):
        (tmp_path / name).symlink_to(CHECKOUT / name)
    made = Profile(tmp_path)
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    made.write()
    return made


def test_passwords_are_made_once_and_kept_to_oneself(profile: Profile) -> None:
    file = profile.folder / "passwords.json"
    assert file.stat().st_mode & 0o077 == 0
    assert json.loads(file.read_text()).keys() == set(PASSWORDS)
    assert Profile(profile.checkout).passwords == profile.passwords


def test_the_settings_are_the_compose_files_at_this_machines_ports(profile: Profile) -> None:
    settings = profile.settings()
    assert settings.storage_root == "gs://provender/storage"
    assert settings.redis == f"127.0.0.1:{PORTS['redis']},password={profile.passwords['redis']}"
    assert settings.state_dir == profile.folder / "state"
    text = (profile.repo / "feature_store.yaml").read_text()
    assert not any(password in text for password in profile.passwords.values())


def test_writing_again_changes_nothing(profile: Profile) -> None:
    before = (profile.repo / "feature_store.yaml").read_text()
    profile.write()
    assert (profile.repo / "feature_store.yaml").read_text() == before
    assert (profile.repo / "sources" / "flights.yaml").is_file()


def test_it_runs_the_processes_of_the_compose_file(profile: Profile) -> None:
    services = yaml.safe_load((CHECKOUT / "docker-compose.yaml").read_text())["services"]
    ours = {service.name.replace("api-server", "apiserver") for service in full._airflow()}
    assert {name for name in services if name.startswith("airflow-")} - {"airflow-init"} == ours
    variables = {
        name
        for name in services["airflow-worker"]["environment"]
        if not re.search("KEY|SECRET|AUTH|SERVER_URL|PAUSED", name)
    }
    assert variables - profile.environment.keys() == set()


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """Not below pytest's own folder: each pytest that starts closes that to others, and Postgres is another user."""
    with tempfile.TemporaryDirectory(prefix="pg-") as folder:
        yield Path(folder)


@pytest.mark.postgres
@pytest.mark.slow
@pytest.mark.parametrize("umask", [0o022, 0o077], ids=oct)
def test_postgres_starts_once_and_every_role_needs_its_password(umask: int, short_folder: Path) -> None:
    import psycopg

    from provender.processes.process import free_port

    port = free_port()
    passwords = {name: f"password-of-{name}" for name in PASSWORDS}
    folder = short_folder / "postgres"
    os.umask(umask)
    for _ in range(2):
        postgres.start(folder, port, passwords)
    try:
        for name in ("postgres", "airflow", "feast"):
            place = {"host": "127.0.0.1", "port": port, "user": name, "dbname": name}
            psycopg.connect(**place, password=passwords[name]).close()
            with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
                psycopg.connect(**place, password="another")
    finally:
        assert postgres.stop(folder)
    assert not postgres.stop(folder)

from __future__ import annotations

import configparser
from pathlib import Path

import pytest

from provender.errors import SetupError
from provender.local import airflow_config
from provender.settings import Settings


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.delenv(airflow_config.PORT_VARIABLE, raising=False)
    return Settings(
        repo=tmp_path / "feature_defs",
        project="test",
        storage_root=(tmp_path / "storage").as_uri(),
        state_dir=tmp_path / "state",
        redis="127.0.0.1:1",
    )


def written(settings: Settings) -> configparser.ConfigParser:
    airflow_config.write(settings)
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(airflow_config.home(settings) / "airflow.cfg")
    return parser


def test_airflow_binds_this_machine_only_and_reads_the_checkout(settings: Settings) -> None:
    config = written(settings)
    assert config["api"]["host"] == "127.0.0.1"
    assert config["core"]["dags_folder"] == str(settings.repo.parent / "dags")
    assert config["core"]["load_examples"] == "False"


def test_secrets_are_made_once_and_for_their_owner_only(settings: Settings) -> None:
    first, second = written(settings), written(settings)
    for section, option in (("core", "fernet_key"), ("api", "secret_key"), ("api_auth", "jwt_secret")):
        assert first[section][option] == second[section][option] != ""
    assert (airflow_config.home(settings) / "airflow.cfg").stat().st_mode & 0o777 == 0o600


def test_the_password_is_made_once_and_for_its_owner_only(settings: Settings) -> None:
    user, password = airflow_config.credentials(settings)
    assert airflow_config.credentials(settings) == (user, password)
    assert len(password) >= 12
    assert (airflow_config.home(settings) / "passwords.json").stat().st_mode & 0o777 == 0o600


def test_the_port_is_the_variables_then_the_last_ones(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert airflow_config.port(settings) == 8080
    monkeypatch.setenv(airflow_config.PORT_VARIABLE, "8123")
    assert written(settings)["api"]["port"] == "8123"
    monkeypatch.delenv(airflow_config.PORT_VARIABLE)
    assert airflow_config.port(settings) == 8123


@pytest.mark.parametrize("text", ["eighty", "0", "70000", "-1"])
def test_a_port_that_cannot_be_is_refused(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv(airflow_config.PORT_VARIABLE, text)
    with pytest.raises(SetupError, match="not a port"):
        airflow_config.port(settings)

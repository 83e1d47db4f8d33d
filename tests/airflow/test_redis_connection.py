"""The online store's address and password from an Airflow connection."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from provender.online.connection import parse_connection_string
from provender.settings import REDIS_VARIABLE, load_settings
from provender_airflow.task_settings import task_settings

pytestmark = pytest.mark.airflow


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    document = {
        "project": "p",
        "online_store": {"type": "redis", "connection_string": "${PROVENDER_REDIS}"},
        "provender": {"redis_connection_id": "redis_online"},
    }
    (tmp_path / "feature_store.yaml").write_text(yaml.safe_dump(document))
    monkeypatch.setenv(REDIS_VARIABLE, "")  # so that it is as before, whatever the test sets
    monkeypatch.delenv(REDIS_VARIABLE)
    return tmp_path


def test_a_task_takes_the_address_the_password_and_tls_from_the_connection(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extra = {"db": 2, "ssl": True, "ssl_ca_certs": "/etc/ca.pem"}
    parts = {
        "conn_type": "redis",
        "host": "redis.internal",
        "port": 6380,
        "password": "s3cret",
        "extra": extra,
    }
    monkeypatch.setenv("AIRFLOW_CONN_REDIS_ONLINE", json.dumps(parts))
    settings = task_settings(repo)
    servers, options = parse_connection_string(settings.redis)
    assert servers == [("redis.internal", 6380)]
    assert options == {"password": "s3cret", **extra}
    assert "s3cret" not in repr(settings)
    assert load_settings(repo).redis == settings.redis  # as do applications that the task starts


def test_a_variable_that_is_set_wins_over_the_connection(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(REDIS_VARIABLE, "127.0.0.1:7000")
    assert task_settings(repo).redis == "127.0.0.1:7000"

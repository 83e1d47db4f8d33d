from __future__ import annotations

import asyncio
import contextlib
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml

from provender.errors import SettingsError
from provender.settings import Settings, load_settings
from provender_airflow.task_settings import google_key, task_settings

pytestmark = pytest.mark.airflow
KEY = "GOOGLE_APPLICATION_CREDENTIALS"
EMAIL = "features@example.iam.gserviceaccount.com"


@pytest.fixture(scope="module")
def key() -> dict[str, str]:
    """A service account's key, made here."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    private = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return {
        "type": "service_account",
        "client_email": EMAIL,
        "private_key": private.decode(),
        "private_key_id": "1",
        "token_uri": "http://127.0.0.1:1/token",
    }


@pytest.fixture
def connected(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Names a connection with the given extra in the settings."""
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    monkeypatch.setenv(KEY, "")

    def connect(**extra: Any) -> Settings:
        path = settings.repo / "feature_store.yaml"
        document = yaml.safe_load(path.read_text())
        document.setdefault("provender", {})["google_connection_id"] = "gcp-test"
        path.write_text(yaml.safe_dump(document))
        connection = {"conn_type": "google_cloud_platform", "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_GCP-TEST", json.dumps(connection))
        return load_settings(settings.repo)

    return connect


@pytest.mark.parametrize("as_text", [True, False])
def test_a_connections_key_becomes_the_default_credentials(
    connected: Any, key: dict[str, str], as_text: bool
) -> None:
    settings = connected(keyfile_dict=json.dumps(key) if as_text else key)
    task_settings(settings.repo)
    path = Path(os.environ[KEY])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text()) == key
    from provender.storage.gcs.client import client

    assert client()._credentials.service_account_email == EMAIL


def test_a_trigger_uses_the_key_without_changing_its_process(connected: Any, key: dict[str, str]) -> None:
    import contextvars

    from provender.storage.gcs.client import client
    from provender.storage.readers import key_file

    path = google_key(connected(keyfile_dict=key))
    assert os.environ[KEY] == ""

    def in_trigger() -> str:
        key_file.set(path)
        return str(client()._credentials.service_account_email)

    assert contextvars.copy_context().run(in_trigger) == EMAIL
    assert key_file.get() is None


def test_a_key_file_is_named_and_a_connection_without_a_key_changes_nothing(
    connected: Any, tmp_path: Path
) -> None:
    assert google_key(connected(key_path=str(tmp_path / "key.json"))) == str(tmp_path / "key.json")
    assert google_key(connected(is_anonymous=True)) is None


def test_a_key_in_a_secret_manager_is_refused(connected: Any) -> None:
    with pytest.raises(SettingsError, match="secret manager"):
        google_key(connected(key_secret_name="k"))


HANDLE = {"reference": "r", "name": "n", "attempt": "a"}


def _spark_killed(repo: str) -> Any:
    from provender_airflow.triggers.spark import SparkJobTrigger

    return SparkJobTrigger(repo, HANDLE).on_kill()


def _spark_waits(repo: str) -> Any:
    from provender_airflow.triggers.spark import SparkJobTrigger

    return anext(SparkJobTrigger(repo, HANDLE, poll_seconds=0).run())


def _kubeflow_killed(repo: str) -> Any:
    from provender_airflow.triggers.kubeflow import KubeflowRunTrigger

    return KubeflowRunTrigger(repo, {"reference": "r"}).on_kill()


def _kserve_waits(repo: str) -> Any:
    from provender_airflow.triggers.kserve import ModelReadyTrigger

    return anext(ModelReadyTrigger(repo, "m", "1", 10, "k", "2026-01-01T00:00:00Z").run())


@pytest.mark.parametrize(
    ("module", "name", "begin"),
    [
        ("spark", "backend_for", _spark_killed),
        ("spark", "backend_for", _spark_waits),
        ("kubeflow", "backend_for", _kubeflow_killed),
        ("kserve", "serving_backend", _kserve_waits),
    ],
)
def test_whatever_a_trigger_does_it_does_with_the_connections_key(
    connected: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, name: str, begin: Any
) -> None:
    from provender.storage.readers import key_file

    settings = connected(key_path=str(tmp_path / "key.json"))
    found: list[str | None] = []

    def stop(*_: Any) -> Any:
        found.append(key_file.get())
        raise SettingsError("that is all that this test wants to see")

    monkeypatch.setattr(f"provender_airflow.triggers.{module}.{name}", stop)
    with contextlib.suppress(SettingsError):
        asyncio.run(begin(str(settings.repo)))
    assert found == [str(tmp_path / "key.json")]
    assert key_file.get() is None


def test_a_report_is_read_with_the_connections_key(
    connected: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import contextvars

    from provender.storage.readers import key_file
    from provender_airflow.reports import read_report

    settings = connected(key_path=str(tmp_path / "key.json"))
    monkeypatch.setenv("PROVENDER_REPO", str(settings.repo))

    def in_request() -> str | None:
        assert read_report("tips", "0123456789abcdef") is None
        return key_file.get()

    assert contextvars.copy_context().run(in_request) == str(tmp_path / "key.json")

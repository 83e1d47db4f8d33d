"""Rendered once for all tests of a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.deploy.commands import Commands
from tests.deploy.rendering import Rendered, render

MARKED = {
    "POSTGRES_PASSWORD": "marked-postgres-superuser",
    "AIRFLOW_DB_PASSWORD": "marked-airflow-database",
    "FEAST_DB_PASSWORD": "marked-feast-database",
    "REDIS_PASSWORD": "marked-redis-password",
    "AIRFLOW_FERNET_KEY": "marked-fernet-key-0123456789-0123456789-012=",
    "AIRFLOW_JWT_SECRET": "marked-jwt-secret",
    "AIRFLOW_API_SECRET": "marked-api-secret",
    "GRAFANA_PASSWORD": "marked-grafana-password",
}
"""A value for every secret; no other text has ``marked-`` in it."""


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Rendered:
    return render(tmp_path_factory.mktemp("rendered") / "deploy")


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    return Commands(tmp_path).install()


@pytest.fixture(scope="session")
def all_secrets(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], set[str]]:
    """What secrets.sh and certificates.sh make with every option."""
    folder = tmp_path_factory.mktemp("secrets")
    commands = Commands(folder).install()
    key = folder / "key.json"
    key.write_text('{"marked-google-key": 1}')
    options = {"REGISTRY_KEY_FILE": str(key), "GOOGLE_KEY_FILE": str(key), "KUBEFLOW": "1"}
    made = commands.run("gcp/secrets.sh", {**MARKED, **options})
    assert made.returncode == 0, made.stderr
    made = commands.run("gcp/certificates.sh", {"CA_FOLDER": str(folder / "ca"), "TRUSTED": str(folder)})
    assert made.returncode == 0, made.stderr
    return commands.secrets

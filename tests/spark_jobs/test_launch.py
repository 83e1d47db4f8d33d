"""The main program of an application on a cluster, as a process; Secret Manager is a local server."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from provender.errors import TerminalError, TransientError
from spark_jobs import launch

LAUNCHER = Path(launch.__file__)
PROBE = """
import json, os, sys
env = os.environ.get("PROVENDER_REDIS")
json.dump({"argv": sys.argv[1:], "name": __name__, "path": sys.path, "env": env}, sys.stdout)
sys.exit(int(sys.argv[1]))
"""


def launched(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "probe.py").write_text(PROBE)
    path = f"{tmp_path}:{LAUNCHER.parents[1]}"
    return subprocess.run(
        [sys.executable, str(LAUNCHER), *arguments],
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": path},
        check=False,
    )


def test_a_module_runs_as_with_python_m_and_its_exit_code_is_the_programs(tmp_path: Path) -> None:
    ended = launched(tmp_path, "--env", "PROVENDER_REDIS=a:1,password=b=c", "probe", "3", "--repo", "r")
    found = json.loads(ended.stdout)
    assert ended.returncode == 3
    assert (found["argv"], found["name"]) == (["3", "--repo", "r"], "__main__")
    assert found["env"] == "a:1,password=b=c"


def test_the_programs_own_folder_is_not_on_the_path(tmp_path: Path) -> None:
    assert str(LAUNCHER.parent) not in json.loads(launched(tmp_path, "probe", "0").stdout)["path"]


def test_an_error_before_the_storage_is_known_is_told_in_the_log(tmp_path: Path) -> None:
    nowhere = str(tmp_path / "nowhere")
    arguments = ("--repo", nowhere, "--source", "s", "--partitions", "2026-11-03", "--attempt", "a")
    ended = launched(tmp_path, "spark_jobs.ingest", *arguments)
    assert ended.returncode == TerminalError.exit_code
    assert "no feature_store.yaml there" in ended.stderr
    assert "Next:" in ended.stderr.splitlines()[-1]


@pytest.fixture
def secret_manager(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Answers with ``code``; asked for ``path``."""
    from google.auth.credentials import AnonymousCredentials

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.path = self.path  # type: ignore[attr-defined]
            data = json.dumps(
                {"payload": {"data": base64.b64encode(b"redis:6379,password=x").decode()}}
            ).encode()
            self.send_response(server.code)  # type: ignore[attr-defined]
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            """Tests are silent."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.code = 200  # type: ignore[attr-defined]
    monkeypatch.setattr("google.auth.default", lambda **_: (AnonymousCredentials(), "p"))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_secret_is_read_when_the_application_starts(secret_manager: Any) -> None:
    host = f"http://127.0.0.1:{secret_manager.server_port}/v1"
    assert launch.secret("projects/p/secrets/redis/versions/latest", host=host) == "redis:6379,password=x"
    assert secret_manager.path == "/v1/projects/p/secrets/redis/versions/latest:access"


@pytest.mark.parametrize(
    ("code", "kind"),
    [(403, TerminalError), (404, TerminalError), (429, TransientError), (503, TransientError)],
)
def test_a_secret_that_is_not_to_be_had_says_whether_a_retry_can_mend_it(
    secret_manager: Any, code: int, kind: type[Exception]
) -> None:
    secret_manager.code = code
    with pytest.raises(kind, match=str(code)):
        launch.secret(
            "projects/p/secrets/s/versions/1", host=f"http://127.0.0.1:{secret_manager.server_port}"
        )


def test_nobody_there_is_for_a_retry(secret_manager: Any) -> None:
    with pytest.raises(TransientError, match="cannot be reached"):
        launch.secret("projects/p/secrets/s/versions/1", host="http://127.0.0.1:1")


def test_without_an_identity_there_is_no_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "nothing.json"))
    with pytest.raises(TerminalError, match="no Google credentials"):
        launch.secret("projects/p/secrets/s/versions/1")

"""What goes to BigQuery, looked at on its way to the emulator: this stands in for what the emulator does not check.

Every body is checked against Google's discovery document, and a job id that was used before is refused, as BigQuery
does. Faults happen here too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any

from tests.discovery import problems

_SCHEMAS = {"jobs": "Job", "tables": "Table", "datasets": "Dataset", "queries": "QueryRequest"}
_HOP_BY_HOP = {"transfer-encoding", "connection", "content-length", "content-encoding"}
_LAST_NOUN = re.compile(r"/(jobs|tables|datasets|queries)(/[^/]+)?$")
Watch = Callable[[dict[str, Any]], None]


class Wire:
    """An HTTP proxy in front of the emulator on ``port``."""

    def __init__(self, port: int) -> None:
        self.jobs: list[dict[str, Any]] = []
        """Bodies of the jobs that were let through."""
        self.refused: list[str] = []
        """What Google would refuse in any body so far."""
        self.watch: Watch = lambda job: None
        """Sees each job before the emulator does."""
        self.watch_after: Watch = lambda job: None
        """Sees each job when the emulator has taken it, and before the answer goes back."""
        self.lose_answer_of: str | None = None
        """Once: the job whose id has this in it is taken, and its answer is lost."""
        self.target = port
        self._ids: set[str] = set()
        self._lock = Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def configurations(self, kind: str) -> list[dict[str, Any]]:
        """``configuration.<kind>`` (load, query) of the jobs let through."""
        found = [job["configuration"] for job in self.jobs]
        return [each[kind] for each in found if kind in each]

    def check(self, path: str, method: str, body: bytes) -> str | None:
        """Why Google would not take it, as its 409 says; None: it is let through."""
        noun = _LAST_NOUN.search(path.partition("?")[0])
        if noun is None or method not in ("POST", "PATCH", "PUT") or "/upload/" in path:
            return None
        document = json.loads(body)
        with self._lock:
            self.refused += problems("bigquery.v2", _SCHEMAS[noun[1]], document)
            if noun[1] != "jobs":
                return None
            job_id = document["jobReference"]["jobId"]
            if job_id in self._ids:
                return f"Already Exists: Job {job_id}"
            self._ids.add(job_id)
            self.jobs.append(document)
        self.watch(document)
        return None

    def answered(self, path: str, method: str, body: bytes) -> bool:
        """Whether the answer may go back."""
        if method != "POST" or not path.partition("?")[0].endswith("/jobs") or "/upload/" in path:
            return True
        document = json.loads(body)
        self.watch_after(document)
        if self.lose_answer_of and self.lose_answer_of in document["jobReference"]["jobId"]:
            self.lose_answer_of = None
            return False
        return True


def _handler(wire: Wire) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            conflict = wire.check(self.path, self.command, body)
            if conflict is not None:
                error = {
                    "code": 409,
                    "message": conflict,
                    "errors": [{"reason": "duplicate", "message": conflict}],
                }
                self._answer(
                    409, [("Content-Type", "application/json")], json.dumps({"error": error}).encode()
                )
                return
            status, headers, answer = self._forward(body)
            if wire.answered(self.path, self.command, body):
                self._answer(status, headers, answer)
            else:
                self.close_connection = True

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = do_any  # noqa: N815

        def _forward(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
            sent = {
                name: value
                for name, value in self.headers.items()
                if name.lower() not in ("host", "accept-encoding")
            }
            connection = HTTPConnection("127.0.0.1", wire.target, timeout=120)
            connection.request(self.command, self.path, body=body or None, headers=sent)
            response = connection.getresponse()
            answer = response.read()
            connection.close()
            return response.status, response.getheaders(), answer

        def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
            self.send_response(status)
            for name, value in headers:
                if name.lower() not in _HOP_BY_HOP:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    return Handler

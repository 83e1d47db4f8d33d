"""Dataproc's REST API as a client sees it: keeps batches and jobs, and answers as the service does.

Bodies are checked against Google's discovery document; paths, filters and error documents are the service's. It runs
nothing: a submission is one state further each time that it is read.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.discovery import problems

Document = dict[str, Any]
BATCH_WELL = ("PENDING", "PENDING", "RUNNING", "RUNNING", "RUNNING", "SUCCEEDED")
BATCH_BADLY = ("PENDING", "RUNNING", "FAILED")
JOB_WELL = ("PENDING", "SETUP_DONE", "RUNNING", "RUNNING", "ATTEMPT_FAILURE", "DONE")
JOB_BADLY = ("PENDING", "RUNNING", "ERROR")
CUT_BEFORE, CUT_AFTER = -1, -2
"""In place of a status: the connection breaks before or after the request is carried out."""
_FINAL = ("SUCCEEDED", "FAILED", "CANCELLED", "DONE", "ERROR")
_STATUS = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND"}
_STATUS |= {409: "ALREADY_EXISTS", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE"}
_BATCHES = re.compile(r"/v1/projects/p/locations/europe-west1/batches(?:/([a-z0-9-]+))?")
_OPERATION = re.compile(r"/v1/projects/p/regions/europe-west1/operations/([a-z0-9-]+):cancel")
_JOBS = re.compile(r"/v1/projects/p/regions/europe-west1/jobs(?:/([a-z0-9-]+))?(?::(submit|cancel))?")
_LABEL = re.compile(r"[a-z0-9_-]{0,63}")
_FILTER = re.compile(r'labels\.([a-z0-9_]+) = "?([a-z0-9_-]+)"?')


class Refused(Exception):  # noqa: N818
    """An answer that is an error."""

    def __init__(self, code: int, message: str, status: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.status = status or _STATUS.get(code, "UNKNOWN")


@dataclass
class Dataproc:
    """``failures``: what the next requests are answered with, instead of what they ask for."""

    url: str = ""
    plan: Sequence[str] = BATCH_WELL
    """The states a new submission goes through."""
    looks_until_cancelled: int = 1
    output_uri: str = ""
    batches: dict[str, Document] = field(default_factory=dict)
    jobs: dict[str, Document] = field(default_factory=dict)
    plans: dict[str, list[str]] = field(default_factory=dict)
    failures: list[int] = field(default_factory=list)
    submitted: list[str] = field(default_factory=list)

    def becomes(self, name: str, state: str, message: str = "") -> None:
        """Its state from now on."""
        self.plans[name] = []
        self._set(name, state, message)

    @property
    def only(self) -> Document:
        """The one batch or job there is."""
        (document,) = {**self.batches, **self.jobs}.values()
        return document

    def state_of(self, name: str) -> str:
        found = self.batches.get(name) or self.jobs[name]["status"]
        return str(found["state"])

    def answer(self, method: str, path: str, query: dict[str, str], body: Document) -> Document:
        if found := _BATCHES.fullmatch(path):
            if method == "POST":
                return self._create_batch(query["batchId"], body)
            return self._look(self.batches, found[1]) if found[1] else self._list("batches", query)
        if found := _OPERATION.fullmatch(path):
            return self._cancel(self.batches, found[1].removeprefix("of-"), "CANCELLING")
        if found := _JOBS.fullmatch(path):
            if found[2] == "submit":
                return self._submit_job(body)
            if found[2] == "cancel":
                return self._cancel(self.jobs, found[1], "CANCEL_PENDING")
            return self._look(self.jobs, found[1]) if found[1] else self._list("jobs", query)
        raise Refused(404, f"no such path: {path}")

    def _create_batch(self, name: str, body: Document) -> Document:
        self._check("Batch", body, body.get("labels", {}))
        if not re.fullmatch(r"[a-z0-9-]{4,63}", name):
            raise Refused(400, f"batch id {name!r}")
        operation = f"projects/p/regions/europe-west1/operations/of-{name}"
        place = f"projects/p/locations/europe-west1/batches/{name}"
        self._add(self.batches, name, {**body, "name": place, "operation": operation})
        return {"name": operation, "done": False}

    def _submit_job(self, body: Document) -> Document:
        self._check("SubmitJobRequest", body, body["job"].get("labels", {}))
        name = body["job"]["reference"]["jobId"]
        self._add(self.jobs, name, dict(body["job"]))
        return self.jobs[name]

    @staticmethod
    def _check(schema: str, body: Document, labels: dict[str, str]) -> None:
        wrong = problems("dataproc.v1", schema, body)
        wrong += [f"label {each!r}" for item in labels.items() for each in item if not _LABEL.fullmatch(each)]
        if wrong:
            raise Refused(400, f"Invalid JSON payload received: {'; '.join(wrong)}")

    def _add(self, of: dict[str, Document], name: str, document: Document) -> None:
        if name in of:
            raise Refused(409, f"Already exists: {name}")
        of[name] = document
        self.plans[name] = list(self.plan)
        self._set(name, self.plans[name].pop(0))
        self.submitted.append(name)

    def _look(self, of: dict[str, Document], name: str) -> Document:
        if name not in of:
            raise Refused(404, f"Not found: {name}")
        if self.plans[name]:
            self._set(name, self.plans[name].pop(0))
        return of[name]

    def _set(self, name: str, state: str, message: str = "") -> None:
        if name in self.batches:
            self.batches[name] |= {"state": state, "stateMessage": message}
            self.batches[name]["runtimeInfo"] = {"outputUri": self.output_uri}
        else:
            self.jobs[name] |= {"status": {"state": state, "details": message}}
            self.jobs[name]["driverOutputResourceUri"] = self.output_uri

    def _cancel(self, of: dict[str, Document], name: str, state: str) -> Document:
        if name not in of:
            raise Refused(404, f"Not found: {name}")
        if self.state_of(name) in _FINAL:
            raise Refused(400, f"{name} is already in a final state", "FAILED_PRECONDITION")
        self._set(name, state)
        self.plans[name] = [state] * self.looks_until_cancelled + ["CANCELLED"]
        return of[name] if of is self.jobs else {}

    def _list(self, kind: str, query: dict[str, str]) -> Document:
        asked = _FILTER.fullmatch(query["filter"])
        assert asked, query["filter"]
        of = self.batches if kind == "batches" else self.jobs
        return {kind: [each for each in of.values() if each["labels"].get(asked[1]) == asked[2]]}


@contextmanager
def running(dataproc: Dataproc) -> Iterator[Dataproc]:
    """Serves ``dataproc`` on a free port of 127.0.0.1, for the block."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(dataproc))
    dataproc.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield dataproc
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(dataproc: Dataproc) -> type[BaseHTTPRequestHandler]:
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._do("GET")

        def do_POST(self) -> None:
            self._do("POST")

        def log_message(self, *_: Any) -> None:
            """Tests are silent."""

        def _do(self, method: str) -> None:
            split = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(split.query).items()}
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length) or b"{}")
            with lock:
                failure = dataproc.failures.pop(0) if dataproc.failures else 0
                if failure == CUT_BEFORE:
                    self.close_connection = True
                    return
                code, found = _answer(dataproc, failure, method, split.path, query, body)
            if failure == CUT_AFTER:
                self.close_connection = True
                return
            data = json.dumps(found).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    return Handler


def _answer(dataproc: Dataproc, failure: int, *request: Any) -> tuple[int, Document]:
    try:
        if failure > 0:
            raise Refused(failure, "as the test wants it")
        return 200, dataproc.answer(*request)
    except Refused as error:
        return error.code, {"error": {"code": error.code, "message": str(error), "status": error.status}}

"""The API of Kubeflow Pipelines as a client sees it: keeps experiments and runs, and answers as the server does.

Shapes of answers, error documents (grpc-gateway's), filters, sorting and page tokens are those of the API server
2.x; it runs nothing: tests say how a run stands.
"""

from __future__ import annotations

import base64
import json
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Document = dict[str, Any]
_GRPC = {400: 3, 404: 5, 409: 6, 401: 16, 403: 7, 429: 8, 500: 13, 503: 14}
_FINAL = ("SUCCEEDED", "FAILED", "CANCELED", "SKIPPED")
_FILTER_KEYS = {"display_name", "name", "state", "experiment_id"}


class Refused(Exception):  # noqa: N818
    """An answer that is an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class KubeflowApi:
    """What the server holds, and how it is to behave."""

    url: str = ""
    multi_user: bool = True
    token: str | None = None
    """Calls without it are refused."""
    page_limit: int = 100
    """No page is longer, whatever is asked for."""
    fail: list[int] = field(default_factory=list)
    """Status codes of the next answers."""
    runs: dict[str, Document] = field(default_factory=dict)
    experiments: dict[str, Document] = field(default_factory=dict)
    logs: dict[str, str] = field(default_factory=dict)
    """Pod to log."""
    calls: list[str] = field(default_factory=list)
    """``METHOD path`` of each."""

    def ends(self, run_id: str, state: str, *tasks: Document) -> None:
        """The run's state is now this, and so are its tasks."""
        self.runs[run_id] |= {"state": state, "run_details": {"task_details": list(tasks)}}

    def answer(self, method: str, path: str, query: dict[str, str], body: Document, token: str) -> Any:
        self.calls.append(f"{method} {path}")
        if self.fail:
            raise Refused(self.fail.pop(0), "as told")
        if self.token is not None and token != f"Bearer {self.token}":
            raise Refused(401, "Unauthenticated: Request header error: there is no user identity header.")
        if path == "/apis/v2beta1/healthz":
            return {"commit_sha": "0", "multi_user": self.multi_user}
        if path.startswith("/apis/v1alpha1/runs/"):
            return self._log(path.split("/")[6])
        _, _, _, collection, *rest = path.split("/")
        if collection == "experiments" and not rest:
            return self._create_experiment(body) if method == "POST" else self._list("experiments", query)
        if collection == "runs" and not rest:
            return self._create_run(body) if method == "POST" else self._list("runs", query)
        if collection == "runs":
            run_id, _, verb = rest[0].partition(":")
            return self._terminate(run_id) if verb == "terminate" else self._run(run_id)
        raise Refused(404, "Not Found")

    def _create_experiment(self, body: Document) -> Document:
        self._check_namespace(body.get("namespace", ""))
        if any(each["display_name"] == body["display_name"] for each in self.experiments.values()):
            raise Refused(409, f"Already exist error: experiment {body['display_name']} already exists")
        made = {
            **body,
            "experiment_id": str(uuid.uuid4()),
            "created_at": self._now(),
            "storage_state": "AVAILABLE",
        }
        self.experiments[made["experiment_id"]] = made
        return made

    def _create_run(self, body: Document) -> Document:
        if body.get("experiment_id") not in self.experiments:
            raise Refused(404, "ResourceNotFoundError: Experiment not found")
        spec = body["pipeline_spec"].get("pipeline_spec", body["pipeline_spec"])
        declared = spec["root"]["inputDefinitions"]["parameters"]
        given = body["runtime_config"]["parameters"]
        if unknown := given.keys() - declared.keys():
            raise Refused(400, f"Invalid input error: unknown parameters {sorted(unknown)}")
        needed = {name for name, each in declared.items() if not each.get("isOptional")}
        if missing := needed - given.keys():
            raise Refused(400, f"Invalid input error: missing parameters {sorted(missing)}")
        made = {**body, "run_id": str(uuid.uuid4()), "state": "PENDING", "created_at": self._now()}
        self.runs[made["run_id"]] = made
        return made

    def _run(self, run_id: str) -> Document:
        if run_id not in self.runs:
            raise Refused(404, f"ResourceNotFoundError: Run {run_id} not found")
        return self.runs[run_id]

    def _terminate(self, run_id: str) -> Document:
        if self._run(run_id)["state"] in _FINAL:
            raise Refused(400, "Invalid input error: the run is in its final state")
        self.runs[run_id]["state"] = "CANCELING"
        return {}

    def _log(self, pod: str) -> str:
        if pod not in self.logs:
            raise Refused(500, f"pods {pod} not found")
        return self.logs[pod]

    def _list(self, kind: str, query: dict[str, str]) -> Document:
        self._check_namespace(query.get("namespace", ""))
        start, filtered = 0, query.get("filter", "")
        if query.get("page_token"):
            start, filtered = json.loads(base64.b64decode(query["page_token"]))
        found = [each for each in getattr(self, kind).values() if _matches(each, filtered)]
        key, _, order = query.get("sort_by", "created_at").partition(" ")
        found.sort(key=lambda each: str(each[key]), reverse=order == "desc")
        end = start + min(int(query.get("page_size") or 10), self.page_limit)
        page: Document = {kind: found[start:end], "total_size": len(found)}
        if end < len(found):
            page["next_page_token"] = base64.b64encode(json.dumps([end, filtered]).encode()).decode()
        return page

    def _check_namespace(self, namespace: str) -> None:
        if namespace and not self.multi_user:
            raise Refused(400, "Invalid input error: In single-user mode, cannot filter by namespace.")
        if not namespace and self.multi_user:
            raise Refused(400, "Invalid input error: a namespace is needed in multi-user mode")

    def _now(self) -> str:
        """Later with every object, as clocks are."""
        count = len(self.runs) + len(self.experiments)
        return (datetime(2026, 3, 1, tzinfo=UTC) + timedelta(seconds=count)).isoformat()


@contextmanager
def serving(api: KubeflowApi | None = None) -> Iterator[KubeflowApi]:
    """The server on a free port of 127.0.0.1, for the block."""
    state = api or KubeflowApi()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(state))
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _matches(document: Document, filtered: str) -> bool:
    for predicate in json.loads(filtered)["predicates"] if filtered else []:
        key, operation = predicate["key"], predicate["operation"]
        if key not in _FILTER_KEYS or operation != "EQUALS":
            raise Refused(400, f"Invalid input error: no field {key!r}, or no operation {operation!r}")
        if document.get("display_name" if key == "name" else key) != predicate["string_value"]:
            return False
    return True


def _handler(api: KubeflowApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._do("GET")

        def do_POST(self) -> None:
            self._do("POST")

        def log_message(self, *_: Any) -> None:
            pass

        def _do(self, method: str) -> None:
            split = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(split.query).items()}
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else {}
            try:
                token = self.headers.get("authorization", "")
                status, found = 200, api.answer(method, split.path, query, body, token)
            except Refused as error:
                status, text = error.status, str(error)
                found = {"error": text, "code": _GRPC.get(status, 2), "message": text, "details": []}
            data = found.encode() if isinstance(found, str) else json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain" if isinstance(found, str) else "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    return Handler

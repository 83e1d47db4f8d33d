"""A cluster in one thread: the Kubernetes API as far as Spark applications go, and the Spark operator behind it.

The API is strict about fields, allows only the calls of :data:`provender_airflow.kubernetes_calls.SPARK_CALLS`, and
selects by labels. The operator moves an application one state further each time that somebody reads it.
"""

from __future__ import annotations

import itertools
import json
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from provender_airflow.kubernetes_calls import SPARK_CALLS, Call
from tests.airflow.spark_application_schema import problems
from tests.kubernetes_answers import ANSWERS, message

Document = dict[str, Any]
WELL = ("SUBMITTED", "RUNNING", "SUCCEEDING", "COMPLETED")
BADLY = ("SUBMITTED", "RUNNING", "FAILING", "FAILED")
CUT_BEFORE, CUT_AFTER = -1, -2
"""In place of a status: the connection breaks before or after the request is carried out."""
_PATH = re.compile(
    r"/(?:api/v1|apis/(?P<group>[a-z0-9.]+)/v\w+)/namespaces/(?P<namespace>[^/]+)/(?P<resource>[^/]+)"
    r"(?:/(?P<name>[^/]+))?(?:/(?P<sub>log))?"
)
_RESOURCE = "sparkapplications.sparkoperator.k8s.io"
_UIDS = itertools.count(1)


class Refused(Exception):  # noqa: N818
    """An answer that is an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status

    @classmethod
    def by(cls, answer: str, /, **values: str) -> Refused:
        """As a real server words it."""
        return cls(ANSWERS[answer]["status"], message(answer, **values))


def call_of(method: str, path: str) -> Call:
    """The (API group, resource, verb) that the API server asks its Roles for."""
    found = _PATH.fullmatch(urlsplit(path).path)
    assert found, path
    resource = "/".join(part for part in (found["resource"], found["sub"]) if part)
    verbs = {"POST": "create", "PATCH": "patch", "DELETE": "delete", "PUT": "update"}
    return found["group"] or "", resource, verbs.get(method, "get" if found["name"] else "list")


@dataclass
class SparkCluster:
    """``failures``: what the next requests are answered with, instead of what they ask for."""

    namespace: str = "spark"
    url: str = ""
    plan: Sequence[str] = WELL
    """The states a new application goes through."""
    applications: dict[str, Document] = field(default_factory=dict)
    plans: dict[str, list[str]] = field(default_factory=dict)
    pods: dict[str, Document] = field(default_factory=dict)
    logs: dict[str, str] = field(default_factory=dict)
    log: str = "driver: started\n"
    """Of a new driver."""
    failures: list[int | tuple[int, str]] = field(default_factory=list)
    retry_after: str = ""
    """Sent with each 429."""
    calls: set[Call] = field(default_factory=set)
    allowed: frozenset[Call] = SPARK_CALLS
    submitted: list[str] = field(default_factory=list)
    """Every name under which something was made."""
    looks_until_gone: int = 1
    """How often one that is being deleted is still there."""
    is_watched: bool = True
    """The operator runs, and looks at this namespace."""

    # ---- what tests do to it

    def becomes(self, name: str, state: str, message: str = "") -> None:
        """The operator says so from now on."""
        self.plans[name] = []
        self._set(name, state, message)

    def pod_ends(self, name: str, **status: Any) -> None:
        """The status of the driver's pod."""
        self.pods[f"{name}-driver"]["status"] = status

    def loses_pod(self, name: str) -> None:
        """Its node is gone, and its log."""
        self.pods.pop(f"{name}-driver", None)
        self.logs.pop(f"{name}-driver", None)

    def forgets(self, name: str) -> None:
        """Its time to live is over, or a person deleted it."""
        self.applications.pop(name)
        self.loses_pod(name)

    def ages(self, name: str, seconds: float) -> None:
        """It was made so long ago."""
        made = datetime.now(UTC) - timedelta(seconds=seconds)
        self.applications[name]["metadata"]["creationTimestamp"] = f"{made:%Y-%m-%dT%H:%M:%SZ}"

    @property
    def only(self) -> Document:
        """The one application there is."""
        (document,) = self.applications.values()
        return document

    # ---- the API

    def answer(self, method: str, path: str, query: dict[str, str], body: Document) -> Any:
        found, call = _PATH.fullmatch(path), call_of(method, path)
        assert found
        self.calls.add(call)
        if call not in self.allowed or found["namespace"] != self.namespace:
            raise Refused.by(
                "not allowed",
                resource=f"{call[1]}.{call[0]}".rstrip("."),
                user="system:serviceaccount:provender:airflow",
                verb=call[2],
                plural=call[1],
                group=call[0],
                namespace=str(found["namespace"]),
            )
        name = found["name"] or ""
        if call[1] == "pods/log":
            return self._log(name, query)
        if call[1] == "pods":
            return self._there(self.pods, name, "pods")
        if call[2] == "create":
            return self._create(body, query)
        if call[2] == "list":
            return {"kind": "SparkApplicationList", "items": self._selected(query.get("labelSelector", ""))}
        document = self._there(self.applications, name, _RESOURCE)
        if call[2] == "get":
            return self._look(name)
        if call[2] == "patch":
            document["metadata"].setdefault("labels", {}).update(body["metadata"]["labels"])
            return document
        return self._delete(name, body)

    def _create(self, body: Document, query: dict[str, str]) -> Document:
        wrong = problems(body)
        if wrong:
            assert query.get("fieldValidation") == "Strict", "a real server would drop the field"
            raise Refused.by("create with an unknown field", fields=", ".join(wrong))
        name = body["metadata"]["name"]
        if name in self.applications:
            raise Refused.by("create of one that is there", resource=_RESOURCE, name=name)
        metadata = {**body["metadata"], "uid": f"uid-{next(_UIDS)}"}
        self.applications[name] = {**body, "metadata": metadata}
        self.ages(name, 0)
        self.plans[name] = list(self.plan)
        self.pods[f"{name}-driver"] = {"metadata": {"name": f"{name}-driver"}, "status": {"phase": "Running"}}
        self.logs[f"{name}-driver"] = self.log
        self.submitted.append(name)
        return self.applications[name]

    def _look(self, name: str) -> Document:
        document = self.applications[name]
        if "deletionTimestamp" in document["metadata"]:
            document["looks"] = document.get("looks", 0) + 1
            if document["looks"] > self.looks_until_gone:
                self.forgets(name)
                raise Refused.by("read of one that is not there", resource=_RESOURCE, name=name)
        elif self.is_watched and self.plans[name]:
            self._set(name, self.plans[name].pop(0))
        return {key: value for key, value in document.items() if key != "looks"}

    def _set(self, name: str, state: str, message: str = "") -> None:
        said = {"state": state, **({"errorMessage": message} if message else {})}
        self.applications[name]["status"] = {
            "applicationState": said,
            "driverInfo": {"podName": f"{name}-driver"},
        }

    def _delete(self, name: str, body: Document) -> Document:
        document, wanted = self.applications[name], (body.get("preconditions") or {}).get("uid")
        if wanted and wanted != document["metadata"]["uid"]:
            uid = document["metadata"]["uid"]
            raise Refused.by("delete of another uid", name=name, wanted=wanted, uid=uid)
        assert body["propagationPolicy"] == "Foreground"
        document["metadata"]["deletionTimestamp"] = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        return document

    def _selected(self, selector: str) -> list[Document]:
        return [each for each in self.applications.values() if _matches(each, selector)]

    def _log(self, pod: str, query: dict[str, str]) -> str:
        if pod not in self.logs:
            raise Refused.by("read of one that is not there", resource="pods", name=pod)
        assert query["container"] == "spark-kubernetes-driver" and int(query["tailLines"]) > 0
        return self.logs[pod]

    @staticmethod
    def _there(of: dict[str, Document], name: str, kind: str) -> Document:
        if name not in of:
            raise Refused.by("read of one that is not there", resource=kind, name=name)
        return of[name]


def _matches(document: Document, selector: str) -> bool:
    labels = document["metadata"].get("labels", {})
    for term in filter(None, selector.split(",")):
        key, equals, value = term.partition("=")
        if labels.get(key) != value if equals else key.removeprefix("!") in labels:
            return False
    return True


@contextmanager
def running(cluster: SparkCluster) -> Iterator[SparkCluster]:
    """Serves ``cluster`` on a free port of 127.0.0.1, for the block."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(cluster))
    cluster.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield cluster
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(cluster: SparkCluster) -> type[BaseHTTPRequestHandler]:
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._do("GET")

        def do_POST(self) -> None:
            self._do("POST")

        def do_PATCH(self) -> None:
            assert self.headers["Content-Type"] == "application/merge-patch+json"
            self._do("PATCH")

        def do_DELETE(self) -> None:
            self._do("DELETE")

        def log_message(self, *_: Any) -> None:
            """Tests are silent."""

        def _do(self, method: str) -> None:
            split = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(split.query).items()}
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else {}
            with lock:
                failure = cluster.failures.pop(0) if cluster.failures else 0
                if failure == CUT_BEFORE:
                    self.close_connection = True
                    return
                status, found = _answer(cluster, failure, method, split.path, query, body)
            if failure == CUT_AFTER:
                self.close_connection = True
                return
            data = found.encode() if isinstance(found, str) else json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain" if isinstance(found, str) else "application/json")
            self.send_header("Content-Length", str(len(data)))
            if status == 429 and cluster.retry_after:
                self.send_header("Retry-After", cluster.retry_after)
            self.end_headers()
            self.wfile.write(data)

    return Handler


def _answer(cluster: SparkCluster, failure: int | tuple[int, str], *request: Any) -> tuple[int, Any]:
    try:
        if isinstance(failure, tuple):
            raise Refused(*failure)
        if failure > 0:
            raise Refused(failure, "as the test wants it")
        made = ANSWERS["create"]["status"] if request[0] == "POST" else 200
        return made, cluster.answer(*request)
    except Refused as error:
        status = {"kind": "Status", "apiVersion": "v1", "status": "Failure"}
        return error.status, {**status, "message": str(error), "code": error.status}

"""A cluster in one thread: the Kubernetes API as far as InferenceServices go, KServe's controller, and its ingress.

The API is strict: a field that KServe 0.21's own models do not have (``fields.json``, generated from them) is refused.
The controller makes a revision of each change of the pod, splits the traffic and keeps the last revision that had all
of it. The ingress answers as the revision's model would.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

from provender.errors import DeployError
from provender.serving_backends.base import Served
from provender.specs.models.spec import Serving
from tests.kubernetes_answers import ANSWERS, answer

FIELDS = json.loads(Path(__file__).with_name("fields.json").read_text())
PATH = "/apis/serving.kserve.io/v1beta1/namespaces/{}/inferenceservices/"
Predict = Callable[[Served, list[Any], bool], dict[str, Any]]


@dataclass
class Revision:
    """One revision of a service's pod."""

    name: str
    pod: dict[str, Any]
    looks: int = 0
    """How often its status was asked for."""

    @property
    def served(self) -> Served:
        env = {each["name"]: each.get("value", "") for each in self.pod["containers"][0]["env"]}
        pointer = json.loads(env["PROVENDER_POINTER"])
        return Served(env["PROVENDER_MODEL"], pointer["artifact"].rpartition("/")[2], pointer, Serving())


@dataclass
class Service:
    """One InferenceService, and what the controller made of it."""

    document: dict[str, Any]
    revisions: list[Revision] = field(default_factory=list)
    rolled_out: str = ""
    requests: int = 0

    @property
    def latest(self) -> Revision:
        return self.revisions[-1]


@dataclass
class Cluster:
    """``failures``: what the next requests to the API are answered with, instead of what they ask for."""

    predict: Predict
    namespace: str = "models"
    url: str = ""
    services: dict[str, Service] = field(default_factory=dict)
    failures: list[int] = field(default_factory=list)
    retry_after: str = ""
    """Sent with each 429."""
    requests: list[tuple[str, str]] = field(default_factory=list)
    ready_after: int = 0
    """Looks at the status until a revision is ready; -1: never."""
    load_failure: str = ""
    has_tags: bool = True
    raises: int = 0
    """Status of every prediction, if not 0."""

    def apply(
        self, name: str, body: dict[str, Any], query: dict[str, list[str]]
    ) -> tuple[int, dict[str, Any]]:
        assert query["fieldManager"] == ["provender"] and query["force"] == ["true"]
        unknown = list(unknown_fields(body))
        if unknown and query.get("fieldValidation") == ["Strict"]:
            return answer("apply of an unknown field", name=name, field=unknown[0])
        made = ANSWERS["apply changes" if name in self.services else "apply creates"]["status"]
        service = self.services.setdefault(name, Service({}))
        generation = service.document.get("metadata", {}).get("generation", 0)
        changed = service.document.get("spec") != body["spec"]
        service.document = body
        body["metadata"]["generation"] = generation + changed
        pod = {
            key: value
            for key, value in body["spec"]["predictor"].items()
            if key in ("containers", "serviceAccountName")
        }
        if not service.revisions or service.latest.pod != pod:
            number = len(service.revisions) + 1
            service.revisions.append(Revision(f"{name}-predictor-{number:05d}", pod))
        return made, {**body, "status": self.status(service)}

    def patch(self, name: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """A merge patch; null takes a field out, whoever set it."""
        if name not in self.services:
            return self._absent(name)
        service = self.services[name]
        service.document = _merged(service.document, body)
        return ANSWERS["patch"]["status"], {**service.document, "status": self.status(service)}

    @staticmethod
    def _absent(name: str) -> tuple[int, dict[str, Any]]:
        return answer(
            "read of one that is not there", resource="inferenceservices.serving.kserve.io", name=name
        )

    def get(self, name: str) -> tuple[int, dict[str, Any]]:
        if name not in self.services:
            return self._absent(name)
        service = self.services[name]
        service.latest.looks += 1
        return 200, {**service.document, "status": self.status(service)}

    def delete(self, name: str) -> tuple[int, dict[str, Any]]:
        return _status(200, name) if self.services.pop(name, None) else self._absent(name)

    def is_ready(self, revision: Revision) -> bool:
        return 0 <= self.ready_after <= revision.looks and not self.load_failure

    def traffic(self, service: Service) -> list[dict[str, Any]]:
        percent = service.document["spec"]["predictor"].get("canaryTrafficPercent", 100)
        name, latest = service.document["metadata"]["name"], service.latest
        ready = [revision.name for revision in service.revisions if self.is_ready(revision)]
        if percent == 100 or service.rolled_out in ("", latest.name):
            # Knative's "latest" is the latest that is ready.
            target = latest.name if latest.name in ready else ready[-1] if ready else ""
            if target == latest.name:
                service.rolled_out = target
            return [self._target(name, target, 100, "latest")] if target else []
        kept = service.rolled_out
        target = latest.name if latest.name in ready else kept
        return [
            self._target(name, target, percent, "latest"),
            self._target(name, kept, 100 - percent, "prev"),
        ]

    def _target(self, name: str, revision: str, percent: int, tag: str) -> dict[str, Any]:
        found = {"revisionName": revision, "percent": percent, "latestRevision": tag == "latest", "tag": tag}
        return found | ({"url": f"{self.url}/revisions/{name}/{revision}"} if self.has_tags else {})

    def status(self, service: Service) -> dict[str, Any]:
        name, latest = service.document["metadata"]["name"], service.latest
        ready = self.is_ready(latest)
        condition = {"type": "PredictorReady", "status": "True" if ready else "Unknown"}
        condition |= {} if ready else {"reason": "RevisionMissing", "message": f"{latest.name} is starting"}
        predictor = {"latestCreatedRevision": latest.name, "traffic": self.traffic(service)}
        predictor |= {"latestReadyRevision": latest.name} if ready else {}
        status = {
            "conditions": [condition, {"type": "Ready", "status": condition["status"]}],
            "components": {"predictor": {**predictor, "latestRolledoutRevision": service.rolled_out}},
            "url": f"{self.url}/services/{name}",
        }
        if self.load_failure:
            info = {
                "message": self.load_failure,
                "reason": "ModelLoadFailed",
                "modelRevisionName": latest.name,
            }
            status["modelStatus"] = {"transitionStatus": "BlockedByFailedLoad", "lastFailureInfo": info}
        return status

    def serving(self, name: str) -> dict[str, int]:
        """Version to its share of the traffic."""
        shares: dict[str, int] = {}
        service = self.services[name]
        for target in self.traffic(service):
            version = self._revision(service, target["revisionName"]).served.version
            shares[version] = shares.get(version, 0) + target["percent"]
        return {version: share for version, share in shares.items() if share}

    def ask(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """A prediction: by a revision's own address, or by the service's, which follows the traffic."""
        _, kind, name, *rest = path.split("/")
        service = self.services[name]
        revision = rest[0] if kind == "revisions" else self._by_traffic(service)
        if self.raises:
            return self.raises, {"error": "the server is ill"}
        try:
            return 200, self.predict(
                self._revision(service, revision).served, body["instances"], body["return_features"]
            )
        except DeployError as error:
            return 500, {"error": error.what}

    def _by_traffic(self, service: Service) -> str:
        service.requests += 1
        place, total = service.requests * 7 % 100, 0
        for target in self.traffic(service):
            total += target["percent"]
            if place < total:
                return str(target["revisionName"])
        raise AssertionError("no traffic")

    @staticmethod
    def _revision(service: Service, name: str) -> Revision:
        return next(revision for revision in service.revisions if revision.name == name)


def _merged(document: Any, patch: Any) -> Any:
    """A JSON merge patch (RFC 7396)."""
    if not isinstance(patch, dict):
        return patch
    found = dict(document) if isinstance(document, dict) else {}
    for name, value in patch.items():
        if value is None:
            found.pop(name, None)
        else:
            found[name] = _merged(found.get(name), value)
    return found


def unknown_fields(value: Any, kind: str = "V1beta1InferenceService", at: str = "") -> Iterator[str]:
    """Paths of the fields that KServe's models do not have."""
    if kind.startswith("list["):
        for each in value:
            yield from unknown_fields(each, kind[5:-1], at)
    elif kind in FIELDS:
        for name, inner in value.items():
            if name not in FIELDS[kind]:
                yield f"{at}.{name}"
            else:
                yield from unknown_fields(inner, FIELDS[kind][name], f"{at}.{name}")


@contextmanager
def running(cluster: Cluster) -> Iterator[Cluster]:
    """Serves ``cluster`` on a free port."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._api(lambda name, _body, _query: cluster.get(name))

        def do_PATCH(self) -> None:
            if self.headers["Content-Type"] == "application/merge-patch+json":
                self._api(lambda name, body, _query: cluster.patch(name, body))
                return
            assert self.headers["Content-Type"] == "application/apply-patch+yaml"
            self._api(cluster.apply)

        def do_DELETE(self) -> None:
            self._api(lambda name, _body, _query: cluster.delete(name))

        def do_POST(self) -> None:
            path = urlparse(self.path).path
            assert path.endswith("/v1/models/late:predict")
            with lock:
                self._answer(*cluster.ask(path.removesuffix("/v1/models/late:predict"), self._body()))

        def _api(self, do: Callable[..., tuple[int, dict[str, Any]]]) -> None:
            url, body = urlparse(self.path), self._body()
            match = re.fullmatch(re.escape(PATH.format(cluster.namespace)) + "([a-z0-9-]+)", url.path)
            with lock:
                cluster.requests.append((self.command, url.path))
                if cluster.failures:
                    self._answer(*_status(cluster.failures.pop(0), "as the test wants it"))
                elif match is None:
                    self._answer(*_status(404, "the server could not find the requested resource"))
                else:
                    self._answer(*do(match[1], body, parse_qs(url.query)))

        def _body(self) -> Any:
            length = int(self.headers.get("Content-Length") or 0)
            return json.loads(self.rfile.read(length)) if length else {}

        def _answer(self, code: int, document: dict[str, Any]) -> None:
            data = json.dumps(document).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            if code == 429 and cluster.retry_after:
                self.send_header("Retry-After", cluster.retry_after)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            """Tests are silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    cluster.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield cluster
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _status(code: int, message: str) -> tuple[int, dict[str, Any]]:
    state = "Success" if code < 400 else "Failure"
    return code, {"kind": "Status", "apiVersion": "v1", "status": state, "message": message, "code": code}

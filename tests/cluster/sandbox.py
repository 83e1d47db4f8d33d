"""Namespaces of one run on somebody's cluster: what is made in them, and that nothing of it stays."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event
from typing import Any

from kubernetes.client import ApiClient, Configuration

from provender.clients.kubernetes_api import APPLY_PATCH, MERGE_PATCH, Kind, KubernetesApi, RefusedError

Document = dict[str, Any]
MANAGER = "provender-test"
PLATFORM = "provender"
_CONTROLLER_SECONDS = 5.0
_GONE_SECONDS = 180.0
SPARK = Kind("sparkoperator.k8s.io", "v1beta2", "sparkapplications")
SERVICES = Kind("serving.kserve.io", "v1beta1", "inferenceservices")
ACCOUNTS = Kind("", "v1", "serviceaccounts")
KINDS = {
    "ConfigMap": Kind("", "v1", "configmaps"),
    "Deployment": Kind("apps", "v1", "deployments"),
    "InferenceService": SERVICES,
    "NetworkPolicy": Kind("networking.k8s.io", "v1", "networkpolicies"),
    "PersistentVolumeClaim": Kind("", "v1", "persistentvolumeclaims"),
    "Role": Kind("rbac.authorization.k8s.io", "v1", "roles"),
    "RoleBinding": Kind("rbac.authorization.k8s.io", "v1", "rolebindings"),
    "Secret": Kind("", "v1", "secrets"),
    "Service": Kind("", "v1", "services"),
    "ServiceAccount": ACCOUNTS,
    "SparkApplication": SPARK,
    "StatefulSet": Kind("apps", "v1", "statefulsets"),
}


def eventually(what: str, holds: Callable[[], Any], seconds: float = 30.0) -> Any:
    """The first true answer of ``holds``, asked until then."""
    deadline, pause = time.monotonic() + seconds, Event()
    while not (found := holds()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s"
        pause.wait(0.05)
    return found


@dataclass
class Sandbox:
    """``api`` is whoever the kubeconfig names; it has to be allowed to make namespaces and roles."""

    api: KubernetesApi
    base: str
    namespaces: list[str] = field(default_factory=list)
    has_controllers: bool = False
    """Whether somebody empties namespaces and collects garbage; else this does."""

    def place(self, namespace: str) -> str:
        """The namespace here that stands for one of ``deploy/``."""
        if namespace.startswith(PLATFORM):
            return self.base + namespace.removeprefix(PLATFORM)
        return f"{self.base}-{namespace}"

    def make(self, *namespaces: str) -> None:
        """Makes namespaces of ours. Fails for one that is there: what is in it is not ours to delete."""
        for name in namespaces:
            document = {
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {"name": name, "labels": {"provender.dev/test": "run"}},
            }
            try:
                self.api.send("POST", "/api/v1/namespaces", document, fieldValidation="Strict")
            except RefusedError as error:
                assert error.status != 409, f"the namespace {name} exists: name another with NAMESPACE="
                raise
            self.namespaces.append(name)

    def apply(self, document: Document) -> Document:
        """Applies one namespaced object of ``deploy/``, in the namespaces here, with strict validation."""
        moved = self.moved(document)
        metadata = moved["metadata"]
        path = KINDS[moved["kind"]].path(metadata["namespace"], metadata["name"])
        return self.api.send(
            "PATCH", path, moved, APPLY_PATCH, fieldManager=MANAGER, force="true", fieldValidation="Strict"
        )

    def moved(self, document: Document) -> Document:
        """The same object in the namespaces here."""
        moved = copy.deepcopy(document)
        moved.setdefault("apiVersion", "v1")
        moved["metadata"]["namespace"] = self.place(moved["metadata"]["namespace"])
        for subject in moved.get("subjects", []):
            subject["namespace"] = self.place(subject["namespace"])
        return moved

    def as_account(self, namespace: str, name: str) -> KubernetesApi:
        """The API as a service account with a token of its own sees it."""
        request = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": 3600},
        }
        made = self.api.send("POST", ACCOUNTS.path(self.place(namespace), name, "token"), request)
        ours, admin = Configuration(), self.api.client.configuration
        for attribute in ("host", "ssl_ca_cert", "verify_ssl", "tls_server_name", "assert_hostname", "proxy"):
            setattr(ours, attribute, getattr(admin, attribute))
        ours.api_key = {"authorization": f"Bearer {made['status']['token']}"}
        return KubernetesApi(ApiClient(ours))

    def collect_garbage(self, kind: Kind, namespace: str, name: str) -> None:
        """Ends a foreground deletion, where no garbage collector does."""
        if not self.has_controllers:
            self.api.send(
                "PATCH", kind.path(namespace, name), {"metadata": {"finalizers": None}}, MERGE_PATCH
            )

    def look_for_controllers(self) -> None:
        """Whether the controller manager runs: then each namespace gets an account ``default`` at once."""
        deadline, pause = time.monotonic() + _CONTROLLER_SECONDS, Event()
        path = ACCOUNTS.path(self.namespaces[0], "default")
        while not self.has_controllers and time.monotonic() < deadline:
            self.has_controllers = self.is_there(path)
            pause.wait(0.1)

    def is_there(self, path: str) -> bool:
        try:
            self.api.send("GET", path)
        except RefusedError as error:
            if error.is_absent:
                return False
            raise
        return True

    def clean_up(self) -> None:
        """Deletes everything, and waits until it is gone; one failure does not keep the rest from being deleted."""
        failures: list[str] = []
        for namespace in reversed(self.namespaces):
            try:
                self._delete(namespace)
            except (RefusedError, AssertionError) as error:
                failures.append(f"{namespace}: {error}")
        for namespace in self.namespaces:
            path = f"/api/v1/namespaces/{namespace}"
            try:
                eventually(f"{namespace} is gone", lambda path=path: not self.is_there(path), _GONE_SECONDS)
            except (RefusedError, AssertionError) as error:
                failures.append(f"{namespace}: {error}")
        assert not failures, f"left behind, delete by hand: {'; '.join(failures)}"

    def _delete(self, namespace: str) -> None:
        path = f"/api/v1/namespaces/{namespace}"
        if not self.is_there(path):
            return
        if not self.has_controllers:
            self._empty(namespace)
        there = self.api.send("DELETE", path)
        if not self.has_controllers:
            self.api.send("PUT", f"{path}/finalize", {**there, "spec": {"finalizers": []}})

    def _empty(self, namespace: str) -> None:
        for kind in KINDS.values():
            try:
                found = self.api.send("GET", kind.path(namespace))["items"]
            except RefusedError as error:
                if error.is_absent:
                    continue  # a kind that the cluster does not know
                raise
            for each in found:
                name = each["metadata"]["name"]
                if each["metadata"].get("finalizers"):
                    self.collect_garbage(kind, namespace, name)
            self.api.send("DELETE", kind.path(namespace))
            for each in found:
                if self.is_there(kind.path(namespace, each["metadata"]["name"])):
                    self.collect_garbage(kind, namespace, each["metadata"]["name"])


@contextmanager
def sandbox(api: KubernetesApi, base: str, namespaces: list[str]) -> Iterator[Sandbox]:
    """The namespaces of ``deploy/`` under names of this run, for the block; gone after it, however it ends."""
    made = Sandbox(api, base)
    try:
        made.make(*(made.place(each) for each in namespaces))
        made.look_for_controllers()
        yield made
    finally:
        made.clean_up()

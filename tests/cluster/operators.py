"""The operators' part: what they would write into a status, where none of them runs."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event, Thread
from typing import Any

from provender.clients.kubernetes_api import MERGE_PATCH, KubernetesApi, RefusedError
from tests.cluster.sandbox import SERVICES, SPARK
from tests.kserve.cluster import Cluster

_QUERY = {"fieldManager": ["provender"], "force": ["true"]}


@dataclass(frozen=True)
class Operators:
    """Which operators have a pod that is ready."""

    spark: bool
    kserve: bool

    @classmethod
    def of(cls, api: KubernetesApi) -> Operators:
        ready = {
            each["metadata"]["name"]
            for each in api.send("GET", "/apis/apps/v1/deployments")["items"]
            if (each.get("status") or {}).get("availableReplicas")
        }
        return cls(any("spark-operator" in each for each in ready), "kserve-controller-manager" in ready)


def spark_says(api: KubernetesApi, namespace: str, name: str, state: str, message: str = "") -> None:
    """The Spark operator's word for an application."""
    application = {"state": state, **({"errorMessage": message} if message else {})}
    status = {"applicationState": application, "driverInfo": {"podName": f"{name}-driver"}}
    api.send("PATCH", SPARK.path(namespace, name, "status"), {"status": status}, MERGE_PATCH)


@dataclass
class KServe:
    """KServe's controller: makes revisions of what it finds in the API, and writes the status.

    How it does that is :class:`tests.kserve.cluster.Cluster`'s; so are the answers of the models' servers.
    """

    api: KubernetesApi
    namespace: str
    cluster: Cluster
    pause_seconds: float = 0.05

    def look(self) -> None:
        """Does what is to be done now."""
        found = self.api.send("GET", SERVICES.path(self.namespace))["items"]
        names = {each["metadata"]["name"] for each in found}
        for name in self.cluster.services.keys() - names:
            self.cluster.services.pop(name)
        for document in found:
            self._reconcile(document)

    def _reconcile(self, document: dict[str, Any]) -> None:
        name, seen = document["metadata"]["name"], self.cluster.services
        body = copy.deepcopy({"metadata": document["metadata"], "spec": document["spec"]})
        if name not in seen or seen[name].document.get("spec") != body["spec"]:
            self.cluster.apply(name, body, _QUERY)
        status = self.cluster.status(seen[name])
        if document.get("status") != status:
            path = SERVICES.path(self.namespace, name, "status")
            try:
                self.api.send("PATCH", path, {"status": status}, MERGE_PATCH)
            except RefusedError as error:
                if not error.is_absent:
                    raise


@contextmanager
def running(controller: KServe) -> Iterator[None]:
    """The controller in a thread of its own, for the block. What it raises, the block's end raises."""
    stop, raised = Event(), []

    def reconcile() -> None:
        try:
            while not stop.wait(controller.pause_seconds):
                controller.look()
        except Exception as error:  # noqa: BLE001 (raised again below)
            raised.append(error)

    thread = Thread(target=reconcile)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    if raised:
        raise raised[0]

"""SparkApplications of one namespace, and their drivers' pods, through the Kubernetes API; its errors as ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from provender.clients.kubernetes_api import (
    MERGE_PATCH,
    NOT_ALLOWED,
    PODS,
    Kind,
    KubernetesApi,
    RefusedError,
    UnreachableError,
)
from provender.errors import (
    KubernetesConflictError,
    KubernetesNotFoundError,
    ProvenderError,
    SettingsError,
    SparkUnavailableError,
    TerminalError,
)
from provender_airflow.spark.application import DRIVER_CONTAINER, GROUP, PLURAL, VERSION

_KIND = Kind(GROUP, VERSION, PLURAL)
_LOG_LINES = 10_000
_NOT_AFFECTED = "all committed data"

Document = dict[str, Any]


@dataclass(frozen=True)
class Applications:
    """One method per verb.

    All raise :class:`SparkUnavailableError` where trying again can help (unreachable, 409, 429, 5xx, a full quota),
    :class:`SettingsError` (address, token, rights, namespace) and :class:`TerminalError` (refused).
    """

    api: KubernetesApi
    namespace: str

    def select(self, selector: str) -> list[Document]:
        """The objects that a label selector chooses, with their status."""
        with self._translated("listing the SparkApplications"):
            answer = self.api.send("GET", self._path(), labelSelector=selector)
            return [dict(each) for each in answer["items"]]

    def get(self, name: str) -> Document | None:
        """The object with its status; None if there is none."""
        try:
            with self._translated(f"reading {name}"):
                return self.api.send("GET", self._path(name))
        except KubernetesNotFoundError:
            return None

    def create(self, document: Document) -> bool:
        """Makes the object. False: there is one of this name already.

        Strict: without that, a real server drops a misspelt optional field.
        """
        name = document["metadata"]["name"]
        try:
            with self._translated(f"creating {name}"):
                self.api.send("POST", self._path(), document, fieldValidation="Strict")
        except KubernetesConflictError:
            return False
        except KubernetesNotFoundError as error:
            raise SettingsError(
                f"the cluster does not know SparkApplications, or the namespace {self.namespace}",
                where=self.namespace,
                not_affected=_NOT_AFFECTED,
                remedy="install the Spark operator, or fix provender.spark.kubernetes.namespace",
            ) from error
        return True

    def mark(self, name: str, labels: Mapping[str, str]) -> None:
        """Puts labels on it. Already gone is not an error."""
        try:
            with self._translated(f"marking {name}"):
                body = {"metadata": {"labels": dict(labels)}}
                self.api.send("PATCH", self._path(name), body, MERGE_PATCH)
        except KubernetesNotFoundError:
            return

    def delete(self, document: Document) -> None:
        """Deletes this very object, not a later one of its name; it stays visible until its pods are gone.

        Already gone is not an error.
        """
        name, uid = document["metadata"]["name"], document["metadata"].get("uid")
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Foreground",
            **({"preconditions": {"uid": uid}} if uid else {}),
        }
        try:
            with self._translated(f"deleting {name}"):
                self.api.send("DELETE", self._path(name), options)
        except (KubernetesNotFoundError, KubernetesConflictError):
            return

    def pod(self, name: str) -> Document | None:
        """A pod; None if there is none."""
        try:
            with self._translated(f"reading pod {name}"):
                return self.api.send("GET", PODS.path(self.namespace, name))
        except KubernetesNotFoundError:
            return None

    def driver_log(self, pod: str) -> list[str]:
        """Return the last 10,000 lines of a driver's log. Raises :class:`KubernetesNotFoundError` if it has none."""
        with self._translated(f"reading the log of {pod}"):
            answer = self.api.raw(
                "GET",
                PODS.path(self.namespace, pod, "log"),
                container=DRIVER_CONTAINER,
                tailLines=_LOG_LINES,
            )
            return answer.decode("utf-8", errors="replace").splitlines()

    def _path(self, name: str = "") -> str:
        return _KIND.path(self.namespace, name)

    @contextmanager
    def _translated(self, doing: str) -> Iterator[None]:
        """The API's refusals become our errors; this is the one crossing."""
        try:
            yield
        except RefusedError as error:
            raise _error_of(error, self.namespace, doing) from error
        except UnreachableError as error:
            raise SparkUnavailableError(
                f"the Kubernetes API cannot be reached while {doing}: {error}",
                where=f"namespace {self.namespace}",
                not_affected=_NOT_AFFECTED,
                remedy="the next try finds what runs; does the connection name the right cluster?",
            ) from error


def _error_of(error: RefusedError, namespace: str, doing: str) -> ProvenderError:
    what = f"the Kubernetes API answered {error.status} to {doing}: {error.message}"
    where = f"namespace {namespace}"
    if error.status == HTTPStatus.NOT_FOUND:
        return KubernetesNotFoundError(what, where=where, not_affected=_NOT_AFFECTED)
    if error.status == HTTPStatus.CONFLICT:
        return KubernetesConflictError(
            what, where=where, not_affected=_NOT_AFFECTED, remedy="the next try asks again"
        )
    if _is_worth_a_retry(error):
        return SparkUnavailableError(
            what, where=where, not_affected=_NOT_AFFECTED, remedy="the next try finds what runs"
        )
    if error.status in NOT_ALLOWED and "admission webhook" not in error.message:
        remedy = "fix the token, or give the service account the Role of deploy/kubernetes/rbac.yaml"
        return SettingsError(what, where=where, not_affected=_NOT_AFFECTED, remedy=remedy)
    return TerminalError(what, where=where, not_affected=_NOT_AFFECTED, remedy="fix what the message names")


def _is_worth_a_retry(error: RefusedError) -> bool:
    """A full quota is a 403; it has room again when something else has ended."""
    is_full = error.status == HTTPStatus.FORBIDDEN and "exceeded quota" in error.message
    return error.may_pass or is_full

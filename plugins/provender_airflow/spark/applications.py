"""SparkApplications of one namespace, and their drivers' pods, through the Kubernetes API; its errors as ours."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from kubernetes.client import (  # type: ignore[import-untyped]
    ApiClient,
    CoreV1Api,
    CustomObjectsApi,
    V1DeleteOptions,
    V1Preconditions,
)
from kubernetes.client.exceptions import ApiException  # type: ignore[import-untyped]
from urllib3.exceptions import HTTPError

from provender.clients.kubernetes_api import NOT_ALLOWED, TIMEOUT_SECONDS, Kind, may_pass, message_of
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

    client: ApiClient
    namespace: str

    def select(self, selector: str) -> list[Document]:
        """The objects that a label selector chooses, with their status."""
        with self._translated("listing the SparkApplications"):
            answer = self._api.list_namespaced_custom_object(label_selector=selector, **self._place)
            return [dict(each) for each in answer["items"]]

    def get(self, name: str) -> Document | None:
        """The object with its status; None if there is none."""
        try:
            with self._translated(f"reading {name}"):
                return dict(self._api.get_namespaced_custom_object(name=name, **self._place))
        except KubernetesNotFoundError:
            return None

    def create(self, document: Document) -> bool:
        """Makes the object. False: there is one of this name already.

        Strict: without that, a real server drops a misspelt optional field.
        """
        name = document["metadata"]["name"]
        try:
            with self._translated(f"creating {name}"):
                self._api.create_namespaced_custom_object(
                    body=document, field_validation="Strict", **self._place
                )
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
                self._api.patch_namespaced_custom_object(
                    name=name,
                    body={"metadata": {"labels": dict(labels)}},
                    _content_type="application/merge-patch+json",
                    **self._place,
                )
        except KubernetesNotFoundError:
            return

    def delete(self, document: Document) -> None:
        """Deletes this very object, not a later one of its name; it stays visible until its pods are gone.

        Already gone is not an error.
        """
        name, uid = document["metadata"]["name"], document["metadata"].get("uid")
        options = V1DeleteOptions(
            propagation_policy="Foreground", preconditions=V1Preconditions(uid=uid) if uid else None
        )
        try:
            with self._translated(f"deleting {name}"):
                self._api.delete_namespaced_custom_object(name=name, body=options, **self._place)
        except (KubernetesNotFoundError, KubernetesConflictError):
            return

    def pod(self, name: str) -> Document | None:
        """A pod; None if there is none."""
        try:
            with self._translated(f"reading pod {name}"):
                answer = self._pods.read_namespaced_pod(
                    name, self.namespace, _request_timeout=TIMEOUT_SECONDS, _preload_content=False
                )
                return dict(json.loads(answer.data))
        except KubernetesNotFoundError:
            return None

    def driver_log(self, pod: str) -> list[str]:
        """Return the last 10,000 lines of a driver's log. Raises :class:`KubernetesNotFoundError` if it has none."""
        with self._translated(f"reading the log of {pod}"):
            answer = self._pods.read_namespaced_pod_log(
                pod,
                self.namespace,
                container=DRIVER_CONTAINER,
                tail_lines=_LOG_LINES,
                _request_timeout=TIMEOUT_SECONDS,
                _preload_content=False,
            )
            return str(answer.data.decode("utf-8", errors="replace")).splitlines()

    @property
    def _api(self) -> CustomObjectsApi:
        return CustomObjectsApi(self.client)

    @property
    def _pods(self) -> CoreV1Api:
        return CoreV1Api(self.client)

    @property
    def _place(self) -> dict[str, Any]:
        return _KIND.within(self.namespace)

    @contextmanager
    def _translated(self, doing: str) -> Iterator[None]:
        """The client's errors become ours; this is the one crossing."""
        try:
            yield
        except ApiException as error:
            raise _error_of(error, self.namespace, doing) from error
        except (HTTPError, OSError) as error:
            raise SparkUnavailableError(
                f"the Kubernetes API cannot be reached while {doing}: {error}",
                where=f"namespace {self.namespace}",
                not_affected=_NOT_AFFECTED,
                remedy="the next try finds what runs; does the connection name the right cluster?",
            ) from error


def _error_of(error: ApiException, namespace: str, doing: str) -> ProvenderError:
    message = message_of(error)
    what = f"the Kubernetes API answered {error.status} to {doing}: {message}"
    where = f"namespace {namespace}"
    if error.status == HTTPStatus.NOT_FOUND:
        return KubernetesNotFoundError(what, where=where, not_affected=_NOT_AFFECTED)
    if error.status == HTTPStatus.CONFLICT:
        return KubernetesConflictError(
            what, where=where, not_affected=_NOT_AFFECTED, remedy="the next try asks again"
        )
    if _is_worth_a_retry(error, message):
        return SparkUnavailableError(
            what, where=where, not_affected=_NOT_AFFECTED, remedy="the next try finds what runs"
        )
    if error.status in NOT_ALLOWED and "admission webhook" not in message:
        remedy = "fix the token, or give the service account the Role of deploy/kubernetes/rbac.yaml"
        return SettingsError(what, where=where, not_affected=_NOT_AFFECTED, remedy=remedy)
    return TerminalError(what, where=where, not_affected=_NOT_AFFECTED, remedy="fix what the message names")


def _is_worth_a_retry(error: ApiException, message: str) -> bool:
    """A full quota is a 403; it has room again when something else has ended."""
    is_full = error.status == HTTPStatus.FORBIDDEN and "exceeded quota" in message
    return may_pass(error) or is_full

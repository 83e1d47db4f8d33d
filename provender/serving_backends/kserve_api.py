"""InferenceServices of one namespace through the Kubernetes API, and its errors as ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from kubernetes.client import ApiClient, CustomObjectsApi  # type: ignore[import-untyped]
from kubernetes.client.exceptions import ApiException  # type: ignore[import-untyped]
from urllib3.exceptions import HTTPError

from provender.clients.kubernetes_api import NOT_ALLOWED, Kind, may_pass, message_of
from provender.errors import DeployError, PredictorError, ProvenderError
from provender.serving_backends.inference_service import GROUP, PLURAL, VERSION

FIELD_MANAGER = "provender"
_APPLY = "application/apply-patch+yaml"
_KIND = Kind(GROUP, VERSION, PLURAL)


@dataclass(frozen=True)
class InferenceServices:
    """One method per verb. All raise :class:`PredictorError` where trying again can help (unreachable, 409, 429, 5xx)
    and :class:`DeployError` where it cannot (refused, not allowed)."""

    client: ApiClient
    namespace: str

    def get(self, name: str) -> dict[str, Any] | None:
        """The object with its status; None if there is none."""
        try:
            with _translated(self.namespace, name, "reading"):
                return dict(self._api.get_namespaced_custom_object(name=name, **self._place))
        except _NotThere:
            return None

    def apply(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Server-side apply: makes the object, or changes it to this; fields left out since the last time go.

        Strict: without that, a real server drops a misspelt optional field, and a canary without its percentage
        would be none.
        """
        name = document["metadata"]["name"]
        try:
            with _translated(self.namespace, name, "applying"):
                answer = self._api.patch_namespaced_custom_object(
                    name=name,
                    body=document,
                    field_manager=FIELD_MANAGER,
                    field_validation="Strict",
                    force=True,
                    _content_type=_APPLY,
                    **self._place,
                )
                return dict(answer)
        except _NotThere as error:
            raise DeployError(
                f"the cluster does not know InferenceServices, or the namespace {self.namespace}",
                where=f"{self.namespace}/{name}",
                not_affected="whatever serves now",
                remedy="install KServe, or fix provender.serving.namespace",
            ) from error

    def delete(self, name: str) -> None:
        """Already gone is not an error."""
        try:
            with _translated(self.namespace, name, "deleting"):
                self._api.delete_namespaced_custom_object(name=name, **self._place)
        except _NotThere:
            return

    @property
    def _api(self) -> CustomObjectsApi:
        return CustomObjectsApi(self.client)

    @property
    def _place(self) -> dict[str, Any]:
        return _KIND.within(self.namespace)


class _NotThere(Exception):  # noqa: N818 - an answer, not an error
    """404."""


@contextmanager
def _translated(namespace: str, name: str, doing: str) -> Iterator[None]:
    """The client's errors become ours; this is the one crossing."""
    try:
        yield
    except ApiException as error:
        if error.status == HTTPStatus.NOT_FOUND:
            raise _NotThere from error
        raise _error_of(error, f"{namespace}/{name}", doing) from error
    except (HTTPError, OSError) as error:
        raise PredictorError(
            f"the Kubernetes API cannot be reached while {doing} {name}: {error}",
            where=f"{namespace}/{name}",
            not_affected="whatever serves now",
            remedy="check the connection to the cluster, then run the same again",
        ) from error


def _error_of(error: ApiException, where: str, doing: str) -> ProvenderError:
    what = f"the Kubernetes API answered {error.status} to {doing} the InferenceService: {message_of(error)}"
    if may_pass(error):
        return PredictorError(
            what, where=where, not_affected="whatever serves now", remedy="the next try does the same"
        )
    if error.status in NOT_ALLOWED:
        remedy = (
            "give the service account get, patch, create and delete on inferenceservices, or fix the token"
        )
        return DeployError(what, where=where, not_affected="whatever serves now", remedy=remedy)
    return DeployError(
        what, where=where, not_affected="whatever serves now", remedy="fix what the message names"
    )

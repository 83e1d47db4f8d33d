"""InferenceServices of one namespace through the Kubernetes API, and its errors as ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from provender.clients.kubernetes_api import (
    APPLY_PATCH,
    MERGE_PATCH,
    NOT_ALLOWED,
    Kind,
    KubernetesApi,
    RefusedError,
    UnreachableError,
)
from provender.errors import DeployError, PredictorError, ProvenderError
from provender.serving_backends.inference_service import GROUP, PLURAL, VERSION, is_rolled_out

FIELD_MANAGER = "provender"
_KIND = Kind(GROUP, VERSION, PLURAL)
_NO_CANARY = {"spec": {"predictor": {"canaryTrafficPercent": None}}}


@dataclass(frozen=True)
class InferenceServices:
    """One method per verb. All raise :class:`PredictorError` where trying again can help (unreachable, 409, 429, 5xx)
    and :class:`DeployError` where it cannot (refused, not allowed)."""

    api: KubernetesApi
    namespace: str

    def get(self, name: str) -> dict[str, Any] | None:
        """The object with its status; None if there is none."""
        try:
            with self._translated(name, "reading"):
                return self.api.send("GET", self._path(name))
        except _NotThere:
            return None

    def apply(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Server-side apply: makes the object, or changes it to this; fields left out since the last time go.

        Strict: without that, a real server drops a misspelt optional field, and a canary without its percentage
        would be none. A percentage that somebody else set stays when we leave ours out, so it is taken out.
        """
        name = document["metadata"]["name"]
        query = {"fieldManager": FIELD_MANAGER, "force": "true", "fieldValidation": "Strict"}
        try:
            with self._translated(name, "applying"):
                there = self.api.send("PATCH", self._path(name), document, APPLY_PATCH, **query)
                if is_rolled_out(document) and not is_rolled_out(there):
                    there = self.api.send(
                        "PATCH", self._path(name), _NO_CANARY, MERGE_PATCH, fieldManager=FIELD_MANAGER
                    )
                return there
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
            with self._translated(name, "deleting"):
                self.api.send("DELETE", self._path(name))
        except _NotThere:
            return

    def _path(self, name: str) -> str:
        return _KIND.path(self.namespace, name)

    @contextmanager
    def _translated(self, name: str, doing: str) -> Iterator[None]:
        """The API's refusals become our errors; this is the one crossing."""
        where = f"{self.namespace}/{name}"
        try:
            yield
        except RefusedError as error:
            if error.is_absent:
                raise _NotThere from error
            raise _error_of(error, where, doing) from error
        except UnreachableError as error:
            raise PredictorError(
                f"the Kubernetes API cannot be reached while {doing} {name}: {error}",
                where=where,
                not_affected="whatever serves now",
                remedy="check the connection to the cluster, then run the same again",
            ) from error


class _NotThere(Exception):  # noqa: N818 - an answer, not an error
    """404."""


def _error_of(error: RefusedError, where: str, doing: str) -> ProvenderError:
    what = f"the Kubernetes API answered {error.status} to {doing} the InferenceService: {error.message}"
    if error.may_pass:
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

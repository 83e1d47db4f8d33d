"""Requests to a Kubernetes API server, and its answers judged by status and body.

The generated client is used for its connection (address, certificates, token), and not for its answers: it returns
``None`` for every success but 200, and a server-side apply that creates answers 201 (decision 38).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from threading import Event
from typing import Any
from urllib.parse import urlencode

from kubernetes.client import ApiClient  # type: ignore[import-untyped]
from urllib3 import BaseHTTPResponse, Retry
from urllib3.exceptions import HTTPError

JSON, MERGE_PATCH, APPLY_PATCH = (
    "application/json",
    "application/merge-patch+json",
    "application/apply-patch+yaml",
)
NOT_ALLOWED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
_TIMEOUT_SECONDS = 30
_PATIENCE_SECONDS = 10.0
"""How long ``Retry-After`` is obeyed within one request, all pauses together."""
_AGAIN = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT, HTTPStatus.TOO_MANY_REQUESTS)
_TYPED_PATCH = "failed to create typed patch object"
_CONNECT = Retry(total=None, connect=2, read=0, status=0, other=0, respect_retry_after_header=False)
"""A connection that was not made is tried again; a request that may have arrived is not."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Objects of one resource. ``group`` is empty for the core API."""

    group: str
    version: str
    plural: str

    def path(self, namespace: str, name: str = "", part: str = "") -> str:
        """The path of all objects of a namespace, of one of them, or of a part of it (``status``, ``log``)."""
        root = f"/apis/{self.group}" if self.group else "/api"
        parts = (root, self.version, "namespaces", namespace, self.plural, name, part)
        return "/".join(each for each in parts if each)


PODS = Kind("", "v1", "pods")


class UnreachableError(Exception):
    """No answer, or one that is not the API's."""


class RefusedError(Exception):
    """An answer that is not a success. ``message`` is that of Kubernetes' ``Status`` object, where there is one."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message

    @property
    def is_absent(self) -> bool:
        """Whether the object, its namespace or its kind is not there."""
        return self.status == HTTPStatus.NOT_FOUND

    @property
    def may_pass(self) -> bool:
        """Whether the same request can succeed later: busy, a conflict, a server's failure.

        A server-side apply of a field or a type that the schema does not have is answered 500 and never passes.
        """
        if _TYPED_PATCH in self.message:
            return False
        return self.status in _AGAIN or self.status >= HTTPStatus.INTERNAL_SERVER_ERROR


@dataclass(frozen=True, slots=True)
class KubernetesApi:
    """Sends requests over the connection of a ``kubernetes.client.ApiClient``.

    Raises :class:`RefusedError` for an answer other than 2xx and :class:`UnreachableError` where there is none. A
    request that is answered with ``Retry-After`` (429: it was not carried out) is sent again after that time.
    """

    client: ApiClient

    def send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        content_type: str = JSON,
        **query: str | int,
    ) -> dict[str, Any]:
        """One request, its answer a JSON object."""
        answer = self.raw(method, path, body, content_type, **query)
        try:
            return dict(json.loads(answer))
        except (TypeError, ValueError) as error:
            raise UnreachableError(f"{method} {path}: the answer is not a JSON object") from error

    def raw(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        content_type: str = JSON,
        **query: str | int,
    ) -> bytes:
        """One request, its answer as it is (a log)."""
        waited = 0.0
        while True:
            answer = self._once(method, path, body, content_type, query)
            if HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
                return answer.data
            pause = _retry_after(answer)
            if pause is None or waited + pause > _PATIENCE_SECONDS:
                raise RefusedError(answer.status, _message_of(answer))
            Event().wait(pause)
            waited += pause

    def _once(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        content_type: str,
        query: Mapping[str, str | int],
    ) -> BaseHTTPResponse:
        url = self.client.configuration.host + path + (f"?{urlencode(query)}" if query else "")
        headers = {**self.client.default_headers, "Accept": "application/json, */*"}
        if body is not None:
            headers["Content-Type"] = content_type
        try:
            self.client.update_params_for_auth(headers, [], ["BearerToken"])
            answer: BaseHTTPResponse = self.client.rest_client.pool_manager.request(
                method,
                url,
                body=None if body is None else json.dumps(body),
                headers=headers,
                timeout=_TIMEOUT_SECONDS,
                retries=_CONNECT,
                redirect=False,
            )
        except (HTTPError, OSError) as error:
            raise UnreachableError(str(error)) from error
        return answer


def _retry_after(answer: BaseHTTPResponse) -> float | None:
    """Seconds until the server wants to be asked again; None where it does not say, or did more than refuse."""
    if answer.status != HTTPStatus.TOO_MANY_REQUESTS:
        return None
    said = answer.headers.get("Retry-After", "")
    return max(float(said), 0.1) if said.isdecimal() else None


def _message_of(answer: BaseHTTPResponse) -> str:
    text = answer.data.decode("utf-8", errors="replace")
    try:
        return str(json.loads(text)["message"])
    except (TypeError, ValueError, KeyError):
        return text.strip() or str(answer.reason)

"""What every use of the Kubernetes API shares: how an object is addressed, and how an answer is read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from kubernetes.client.exceptions import ApiException  # type: ignore[import-untyped]

TIMEOUT_SECONDS = 30
NOT_ALLOWED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
_AGAIN = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT, HTTPStatus.TOO_MANY_REQUESTS)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of custom object."""

    group: str
    version: str
    plural: str

    def within(self, namespace: str) -> dict[str, Any]:
        """Arguments of the client's methods that say which objects are meant."""
        return {
            "group": self.group,
            "version": self.version,
            "namespace": namespace,
            "plural": self.plural,
            "_request_timeout": TIMEOUT_SECONDS,
        }


def may_pass(error: ApiException) -> bool:
    """Whether the same request can succeed later: busy, a conflict, a server's failure, no answer at all."""
    return bool(
        error.status in _AGAIN or not error.status or error.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    )


def message_of(error: ApiException) -> str:
    """The message of Kubernetes' ``Status`` object, where the answer is one; else the answer as it is."""
    body = error.body.decode("utf-8", errors="replace") if isinstance(error.body, bytes) else error.body
    try:
        return str(json.loads(body)["message"])
    except (TypeError, ValueError, KeyError):
        return str(body or error.reason)

"""Calls of the Kubeflow Pipelines API: who asks, and what an answer that is no answer means."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import kfp_server_api
from kfp_server_api.rest import ApiException
from urllib3.exceptions import HTTPError

from provender.errors import (
    KubeflowError,
    KubeflowNotFoundError,
    ProvenderError,
    SettingsError,
    TerminalError,
)
from provender.settings import SETTINGS_FILE, Settings

IN_CLUSTER_TOKEN = Path("/var/run/secrets/kubeflow/pipelines/token")
"""Where Kubeflow's documentation has a pod's service account token for Pipelines projected."""
_TIMEOUT = (5.0, 30.0)
"""To connect, and for an answer, in seconds."""
_NOT_AFFECTED = "whatever serves now; a run that was started goes on"
Answer = TypeVar("Answer")


class Caller:
    """Makes calls with today's token, and errors of ours from what goes wrong."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings.kubeflow
        self._where = f"{settings.repo / SETTINGS_FILE}, provender.kubeflow"
        if not self._settings.host:
            raise SettingsError(
                "no address of Kubeflow Pipelines",
                where=self._where,
                remedy="write host: https://…/pipeline, or backend: local",
            )

    @property
    def host(self) -> str:
        return self._settings.host.rstrip("/")

    def client(self) -> kfp_server_api.ApiClient:
        """A client with the token as it is now: Kubernetes renews it."""
        configuration = kfp_server_api.Configuration(host=self.host)
        configuration.retries = False
        if self._settings.ca_file is not None:
            configuration.ssl_ca_cert = str(self._settings.ca_file)
        token = self._token()
        if token:
            configuration.api_key["authorization"] = token
            configuration.api_key_prefix["authorization"] = "Bearer"
        return kfp_server_api.ApiClient(configuration)

    def call(self, what: str, ask: Callable[[kfp_server_api.ApiClient, dict[str, Any]], Answer]) -> Answer:
        """What ``ask`` answers; it gets a client and the options that every call takes.

        Raises :class:`SettingsError` (address, token), :class:`KubeflowNotFoundError`, :class:`TerminalError` (it
        refuses what was sent) and :class:`KubeflowError` (it cannot be reached, or not answer now).
        """
        try:
            with self.client() as client:
                return ask(client, {"_request_timeout": _TIMEOUT})
        except ApiException as error:
            raise self._meaning(what, error) from error
        except (HTTPError, OSError) as error:
            raise KubeflowError(
                f"Kubeflow Pipelines cannot be reached: {error}",
                where=self.host,
                not_affected=_NOT_AFFECTED,
                remedy="the next try asks again; is provender.kubeflow.host right?",
            ) from error
        except ValueError as error:
            raise KubeflowError(
                f"{what}: the answer is not one of Kubeflow Pipelines: {error}",
                where=self.host,
                not_affected=_NOT_AFFECTED,
            ) from error

    def _token(self) -> str:
        file = self._settings.token_file
        if file is None:
            return IN_CLUSTER_TOKEN.read_text().strip() if IN_CLUSTER_TOKEN.exists() else ""
        try:
            return file.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise SettingsError(
                f"the token cannot be read: {error}",
                where=f"{self._where}.token_file",
                remedy="fix the path",
            ) from error

    def _meaning(self, what: str, error: ApiException) -> ProvenderError:
        said = f"{what}: {error.status} {_message(error)}"
        if error.status in (401, 403):
            return SettingsError(
                f"Kubeflow Pipelines refused the credentials: {said}",
                where=f"{self.host}, namespace {self._settings.namespace}",
                not_affected=_NOT_AFFECTED,
                remedy="see to provender.kubeflow.token_file and to the rights of its service account",
            )
        if error.status == 404:
            return KubeflowNotFoundError(
                f"Kubeflow Pipelines does not know that: {said}", where=self.host, not_affected=_NOT_AFFECTED
            )
        if error.status == 429 or error.status is None or error.status >= 500:
            return KubeflowError(
                f"Kubeflow Pipelines cannot answer now: {said}",
                where=self.host,
                not_affected=_NOT_AFFECTED,
                remedy="the next try asks again",
            )
        return TerminalError(
            f"Kubeflow Pipelines refuses this: {said}",
            where=self.host,
            not_affected=_NOT_AFFECTED,
            remedy="is the server's version 2.x, and does training/pipeline.yaml compile for it?",
        )


def _message(error: ApiException) -> str:
    """The server's own words, or its reason."""
    try:
        document = json.loads(error.body)
        return str(document.get("error_message") or document["message"])[:500]
    except (TypeError, ValueError, KeyError, AttributeError):
        return str(error.reason)

"""Which place serves models: ``provender.serving.backend`` in the settings."""

from __future__ import annotations

from typing import Any

from provender.errors import SettingsError
from provender.serving_backends.base import ServingBackend
from provender.settings import SETTINGS_FILE, Settings


def backend_for(settings: Settings, api_client: Any = None) -> ServingBackend:
    """The backend that the settings name.

    ``api_client``: a ``kubernetes.client.ApiClient``; None: of this process' own cluster, or of ``~/.kube/config``.
    Raises :class:`SettingsError` if a cluster is wanted and neither is there.
    """
    if settings.serving.backend == "local":
        from provender.serving_backends.local import LocalServingBackend

        return LocalServingBackend(settings)
    from provender.serving_backends.kserve import KServeBackend
    from provender.serving_backends.kserve_api import InferenceServices

    client = api_client if api_client is not None else _own_client(settings)
    return KServeBackend(settings, InferenceServices(client, settings.serving.namespace))


def _own_client(settings: Settings) -> Any:
    from kubernetes import config  # type: ignore[import-untyped]
    from kubernetes.client import ApiClient  # type: ignore[import-untyped]

    try:
        config.load_config()
    except config.ConfigException as error:
        raise SettingsError(
            f"no Kubernetes cluster is configured here: {error}",
            where=f"{settings.repo / SETTINGS_FILE}, provender.serving.backend: kserve",
            not_affected="whatever serves now",
            remedy="set KUBECONFIG, run it within the cluster, or write backend: local",
        ) from error
    return ApiClient()

"""The serving backend the settings name, its cluster taken from an Airflow connection."""

from __future__ import annotations

from provender.serving_backends.base import ServingBackend
from provender.serving_backends.choice import backend_for
from provender.settings import Settings


def serving_backend(settings: Settings, kubernetes_conn_id: str) -> ServingBackend:
    """Raises :class:`provender.errors.SettingsError` for a backend that is not available."""
    if settings.serving.backend == "local":
        return backend_for(settings)
    from airflow.providers.cncf.kubernetes.hooks.kubernetes import (
        KubernetesHook,  # seconds, too slow for parsing
    )

    return backend_for(settings, KubernetesHook(conn_id=kubernetes_conn_id).get_conn())

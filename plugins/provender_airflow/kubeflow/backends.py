"""Choose where training pipelines run: what ``provender.kubeflow.backend`` names."""

from __future__ import annotations

from provender.settings import Settings
from provender_airflow.kubeflow.backend import KubeflowBackend


def backend_for(settings: Settings) -> KubeflowBackend:
    """The backend that ``provender.kubeflow.backend`` names."""
    if settings.kubeflow.backend == "api":
        from provender_airflow.kubeflow.api import ApiBackend

        return ApiBackend(settings)
    from provender_airflow.kubeflow.local import LocalBackend

    return LocalBackend(settings)

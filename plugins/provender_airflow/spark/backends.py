"""Choose where Spark applications run: what ``provender.spark.backend`` names."""

from __future__ import annotations

from provender.errors import SettingsError
from provender.settings import SETTINGS_FILE, Settings
from provender_airflow.spark.backend import SparkBackend


def backend_for(settings: Settings, *, needs_spark: bool = True) -> SparkBackend:
    """The backend that ``provender.spark.backend`` names; for a job without Spark, this machine.

    Raises :class:`SettingsError`.
    """
    name = settings.spark.backend if needs_spark else "local"
    if name == "local":
        from provender_airflow.spark.local import LocalBackend

        return LocalBackend(settings)
    if name == "kubernetes":
        from provender_airflow.spark.kubernetes import KubernetesBackend

        return KubernetesBackend.of(settings)
    if name == "dataproc":
        from provender_airflow.spark.dataproc import DataprocBackend

        return DataprocBackend.of(settings)
    raise SettingsError(
        f"there is no Spark backend {name!r}",
        where=f"{settings.repo / SETTINGS_FILE}, provender.spark.backend",
        remedy="write: backend: local, kubernetes or dataproc",
    )

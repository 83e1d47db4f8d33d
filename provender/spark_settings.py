"""The section ``provender.spark``: where Spark applications run, and with what. See :mod:`provender.settings`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Conf = dict[str, str | int | bool]

IMAGE_REPO = "/opt/provender/feature_defs"
"""The feature repo in the image of ``deploy/images/spark``."""
LAUNCHER = "/opt/venv/lib/python3.11/site-packages/spark_jobs/launch.py"
"""The program in that image which runs a module of ours."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Toleration(_Section):
    """Of a node's taint, in Kubernetes' words."""

    key: str = ""
    """Empty: any."""
    operator: Literal["Exists", "Equal"] = "Exists"
    value: str = ""
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = ""

    @model_validator(mode="after")
    def _as_kubernetes_takes_it(self) -> Self:
        if self.operator == "Exists" and self.value:
            raise ValueError("a toleration with a value needs operator: Equal")
        if self.operator == "Equal" and not self.key:
            raise ValueError("a toleration with operator: Equal needs a key")
        return self


class PodSettings(_Section):
    """Driver or executor. Memory in Spark's units (``4g``), CPU in Kubernetes' (``500m``)."""

    cores: int = Field(default=1, ge=1)
    memory: str = "2g"
    memory_overhead: str = ""
    """Beside the JVM's heap, for Python; default: Spark's 40% of it."""
    core_request: str = ""
    """What the pod is scheduled by; default: ``cores``."""
    core_limit: str = ""
    java_options: str = ""
    node_selector: dict[str, str] = {}
    tolerations: tuple[Toleration, ...] = ()
    annotations: dict[str, str] = {}


class ExecutorSettings(PodSettings):
    """Executors, and how many."""

    instances: int = Field(default=2, ge=1)


class DynamicAllocation(_Section):
    """Executors come and go with the work; takes the place of ``executor.instances``."""

    min_executors: int = Field(default=1, ge=0)
    max_executors: int = Field(ge=1)
    initial_executors: int | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        first = self.min_executors if self.initial_executors is None else self.initial_executors
        if not self.min_executors <= first <= self.max_executors:
            raise ValueError("min_executors <= initial_executors <= max_executors does not hold")
        return self


class KubernetesSparkSettings(_Section):
    """Applications as ``SparkApplication`` objects of the Spark operator."""

    connection_id: str = "kubernetes_default"
    """Airflow connection; one that does not exist by this name means the cluster Airflow runs in."""
    namespace: str = "default"
    image: str = ""
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    image_pull_secrets: tuple[str, ...] = ()
    service_account: str = "spark"
    """Of the driver, which starts executors, and of the executors."""
    google_key_secret: str = ""
    """Secret with a service account's key as ``key.json``; none is needed with workload identity."""
    redis_secret: str = ""
    """Secret whose key ``connection_string`` becomes ``PROVENDER_REDIS``."""
    registry_secret: str = ""
    """Secret whose key ``url`` becomes the driver's ``PROVENDER_REGISTRY``: where a training set's features are
    resolved."""
    env: dict[str, str] = {}
    env_from_secrets: tuple[str, ...] = ()
    """Secrets all of whose keys become variables."""
    driver: PodSettings = PodSettings()
    executor: ExecutorSettings = ExecutorSettings()
    dynamic_allocation: DynamicAllocation | None = None
    jars: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    """Maven coordinates, resolved anew at each start: jars in the image start sooner."""
    py_files: tuple[str, ...] = ()
    time_to_live_seconds: int = Field(default=86_400, ge=600)
    """How long an ended application, its pods and their logs are kept."""
    spark_version: str = "4.1.1"
    repo: str = IMAGE_REPO
    launcher: str = f"local://{LAUNCHER}"


class DataprocSettings(_Section):
    """Applications as Dataproc serverless batches or, with ``cluster``, as jobs of a cluster that is there."""

    connection_id: str = ""
    """Airflow connection; default: ``provender.google_connection_id``, else ``google_cloud_default``."""
    project: str = ""
    """Default: the connection's."""
    region: str = ""
    cluster: str = ""
    image: str = ""
    """Container image of a batch."""
    runtime_version: str = ""
    service_account: str = ""
    subnetwork: str = ""
    network_tags: tuple[str, ...] = ()
    staging_bucket: str = ""
    history_server: str = ""
    """``projects/P/regions/R/clusters/C`` of a Spark history server."""
    ttl_seconds: int | None = Field(default=None, ge=600)
    """Google ends a batch that runs longer, whoever awaits it."""
    labels: dict[str, str] = {}
    jars: tuple[str, ...] = ()
    py_files: tuple[str, ...] = ()
    env: dict[str, str] = {}
    """Of the driver. Not for secrets: they are in the batch's description."""
    secrets: dict[str, str] = {}
    """Variable to ``projects/P/secrets/S/versions/V`` of Secret Manager, which the driver reads when it starts."""
    repo: str = IMAGE_REPO
    launcher: str = f"file://{LAUNCHER}"

    @model_validator(mode="after")
    def _of_one_kind(self) -> Self:
        of_batches = (
            *("image", "runtime_version", "service_account", "subnetwork", "network_tags"),
            *("staging_bucket", "history_server", "ttl_seconds"),
        )
        if self.cluster and (wrong := [name for name in of_batches if getattr(self, name)]):
            raise ValueError(f"{', '.join(wrong)}: the cluster has its own; leave it out, or cluster")
        return self


class SparkSettings(_Section):
    """How Spark applications run."""

    backend: Literal["local", "kubernetes", "dataproc"] = "local"
    driver_memory: str = "2g"
    cores: int | None = Field(default=None, ge=1)
    idle_minutes: float = Field(default=15, gt=0)
    jars_dir: Path = Path("jars")
    remote: str | None = None
    conf: Conf = {}
    pool: str = ""
    """Airflow pool of the tasks that submit; empty: none of their own."""
    pool_slots: int = Field(default=32, ge=1)
    """Its size where provender makes it."""
    kubernetes: KubernetesSparkSettings = KubernetesSparkSettings()
    dataproc: DataprocSettings = DataprocSettings()

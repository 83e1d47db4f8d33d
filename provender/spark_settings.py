"""The section ``provender.spark``: where Spark applications run, and with what. See :mod:`provender.settings`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from provender.kubernetes_fields import (
    Cpu,
    HeapSize,
    LabelKey,
    LabelValue,
    Namespace,
    ObjectName,
    SparkSize,
    VariableName,
    quantity,
)

Conf = dict[str, str | int | bool]

IMAGE_REPO = "/opt/provender/feature_defs"
"""The feature repo in the image of ``deploy/images/spark``."""
LAUNCHER = "/opt/venv/lib/python3.11/site-packages/spark_jobs/launch.py"
"""The program in that image which runs a module of ours."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Toleration(_Section):
    """A toleration of a node's taint, in Kubernetes' terms."""

    key: LabelKey = ""
    """Key of the taint. Empty: any."""
    operator: Literal["Exists", "Equal"] = "Exists"
    """``Exists``, or ``Equal`` to ``value``."""
    value: LabelValue = ""
    """Value of the taint, for ``Equal``."""
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = ""
    """Effect of the taint. Empty: any."""

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
    """Cores as Spark counts them: tasks at once."""
    memory: HeapSize = "2g"
    """The JVM's heap."""
    memory_overhead: SparkSize = ""
    """Memory beside the JVM's heap, for Python. Default: Spark's 40% of the heap."""
    core_request: Cpu = ""
    """CPU request that the pod is scheduled by. Default: ``cores``."""
    core_limit: Cpu = ""
    """CPU limit of the pod. Default: none."""
    java_options: str = ""
    """Extra options for the JVM."""
    node_selector: dict[LabelKey, LabelValue] = {}
    """Node labels that the pod requires."""
    tolerations: tuple[Toleration, ...] = ()
    """Taints that the pod tolerates."""
    annotations: dict[LabelKey, str] = {}
    """Annotations of the pod."""

    @model_validator(mode="after")
    def _request_within_limit(self) -> Self:
        request = self.core_request or str(self.cores)
        if self.core_limit and quantity(request) > quantity(self.core_limit):
            raise ValueError(f"core_limit {self.core_limit} is less than the request of {request}")
        return self


class ExecutorSettings(PodSettings):
    """Executors, and how many."""

    memory: Annotated[SparkSize, Field(min_length=1)] = "2g"
    """The JVM's heap."""
    instances: int = Field(default=2, ge=1)
    """Number of executors."""


class DynamicAllocation(_Section):
    """Number of executors that follows the load; replaces ``executor.instances``."""

    min_executors: int = Field(default=1, ge=0)
    """Fewest executors."""
    max_executors: int = Field(ge=1)
    """Most executors."""
    initial_executors: int | None = Field(default=None, ge=0)
    """Executors at the start. Default: ``min_executors``."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        first = self.min_executors if self.initial_executors is None else self.initial_executors
        if not self.min_executors <= first <= self.max_executors:
            raise ValueError("min_executors <= initial_executors <= max_executors does not hold")
        return self


class KubernetesSparkSettings(_Section):
    """Applications as ``SparkApplication`` objects of the Spark operator."""

    connection_id: str = "kubernetes_default"
    """Airflow connection to the cluster. If there is none of this name: the cluster that Airflow runs in."""
    namespace: Namespace = "default"
    """Kubernetes namespace of the applications."""
    image: str = ""
    """Container image of driver and executors."""
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    """When the image is pulled."""
    image_pull_secrets: tuple[ObjectName, ...] = ()
    """Secrets for the image registry."""
    service_account: ObjectName = "spark"
    """Kubernetes service account of the driver, which starts executors, and of the executors."""
    google_key_secret: ObjectName = ""
    """Secret with a service account's key as ``key.json``. Not needed with workload identity."""
    redis_secret: ObjectName = ""
    """Secret whose key ``connection_string`` becomes ``PROVENDER_REDIS``."""
    registry_secret: ObjectName = ""
    """Secret whose key ``url`` becomes the driver's ``PROVENDER_REGISTRY``: Feast's registry, in which a training set's
    features are resolved."""
    env: dict[VariableName, str] = {}
    """Environment variables of driver and executors. Not for secrets."""
    env_from_secrets: tuple[ObjectName, ...] = ()
    """Secrets all of whose keys become environment variables."""
    driver: PodSettings = PodSettings()
    """The driver's pod."""
    executor: ExecutorSettings = ExecutorSettings()
    """The executors' pods."""
    dynamic_allocation: DynamicAllocation | None = None
    """Number of executors that follows the load. Default: ``executor.instances``."""
    jars: tuple[str, ...] = ()
    """URIs of extra jars."""
    packages: tuple[str, ...] = ()
    """Maven coordinates, resolved at each start: jars in the image start faster."""
    py_files: tuple[str, ...] = ()
    """URIs of extra Python files."""
    time_to_live_seconds: int = Field(default=86_400, ge=600)
    """Seconds for which an ended application, its pods and their logs are kept."""
    spark_version: str = "4.1.1"
    """Spark version of the image."""
    repo: str = IMAGE_REPO
    """Folder of the feature repo in the image."""
    launcher: str = f"local://{LAUNCHER}"
    """Program in the image that runs a module of this project."""


class DataprocSettings(_Section):
    """Applications as Dataproc serverless batches or, with ``cluster``, as jobs of a cluster that is there."""

    connection_id: str = ""
    """Airflow connection. Default: ``provender.google_connection_id``, else ``google_cloud_default``."""
    project: str = ""
    """Google Cloud project. Default: the connection's."""
    region: str = ""
    """Dataproc region, such as ``europe-west1``."""
    cluster: str = ""
    """Name of a cluster to run jobs on. Default: a serverless batch."""
    image: str = ""
    """Container image of a batch."""
    runtime_version: str = ""
    """Dataproc runtime version of a batch."""
    service_account: str = ""
    """Google service account that a batch runs as."""
    subnetwork: str = ""
    """Subnetwork of a batch."""
    network_tags: tuple[str, ...] = ()
    """Network tags of a batch."""
    staging_bucket: str = ""
    """Bucket that Dataproc stages a batch's files in."""
    history_server: str = ""
    """Spark history server, as ``projects/P/regions/R/clusters/C``."""
    ttl_seconds: int | None = Field(default=None, ge=600)
    """Seconds after which Google ends a batch. Default: no limit."""
    labels: dict[str, str] = {}
    """Labels of the batch or job."""
    jars: tuple[str, ...] = ()
    """URIs of extra jars."""
    py_files: tuple[str, ...] = ()
    """URIs of extra Python files."""
    env: dict[str, str] = {}
    """Environment variables of the driver. Not for secrets: a batch's description shows them."""
    secrets: dict[str, str] = {}
    """Environment variable to ``projects/P/secrets/S/versions/V`` of Secret Manager; the driver reads it at start."""
    repo: str = IMAGE_REPO
    """Folder of the feature repo in the image."""
    launcher: str = f"file://{LAUNCHER}"
    """Program in the image that runs a module of this project."""

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
    """``local``, ``kubernetes`` (the Spark operator) or ``dataproc`` (``docs/spark-backends.md``)."""
    driver_memory: HeapSize = "2g"
    """Memory of the local engine."""
    cores: int | None = Field(default=None, ge=1)
    """Cores of the local engine. Default: all of this machine's."""
    idle_minutes: float = Field(default=15, gt=0)
    """Minutes without work after which the local engine ends itself."""
    jars_dir: Path = Path("jars")
    """Folder of the local engine's jars, relative to ``state_dir``."""
    remote: str | None = None
    """A Spark Connect server that is managed elsewhere, such as ``sc://127.0.0.1:15002``. Default: the local engine."""
    conf: Conf = {}
    """Spark configuration, such as ``spark.sql.shuffle.partitions: 4``."""
    pool: str = ""
    """Airflow pool of the tasks that submit applications. Default: Airflow's default pool."""
    pool_slots: int = Field(default=32, ge=1)
    """Size of the pool where provender creates it."""
    kubernetes: KubernetesSparkSettings = KubernetesSparkSettings()
    """Settings of the backend ``kubernetes``."""
    dataproc: DataprocSettings = DataprocSettings()
    """Settings of the backend ``dataproc``."""

"""The one settings file: ``feature_store.yaml``.

Feast reads its own keys there (project, registry, stores). Everything else of the platform is under one more
key, ``provender``, which Feast ignores:

    provender:
      storage_root: ../.provender/storage    # a folder (relative to this file), a file:// or a gs:// URI
      state_dir: ../.provender               # pids, logs, locks and jars of this machine
      private: true                          # what is written here is this user's alone (docs/security.md)
      statsd: 127.0.0.1:8125                 # where metrics go; leave out for nowhere
      redis_connection_id: redis_online      # Airflow connection behind connection_string: ${PROVENDER_REDIS}
      google_connection_id: google_cloud_default # Airflow connection with the service account's key; default: ambient
      connections:                           # SQL databases that sources name; ${VARIABLE} is the environment's
        warehouse: postgresql+psycopg://reader:${WAREHOUSE_PASSWORD}@db.example.com/shop
        lake: bigquery://my-project?location=EU
      bigquery:                              # leave out for none: feature tables published there (docs/bigquery.md)
        project: my-project
        dataset: features
        location: europe-west1               # of the data set, and so of its bucket
        billing_project: my-other-project    # where jobs run; default: project
        staging: gs://bucket/folder          # for Parquet on its way, where storage_root is not on gs://
      staging:
        settle_seconds: 2                    # how long a raw file's size and time have to stand still; 0: at once
      spark:
        backend: local                       # local, kubernetes (the Spark operator) or dataproc
        driver_memory: 2g
        cores: 2                             # default: all of this machine's
        idle_minutes: 15                     # a warm engine nobody uses ends itself
        jars_dir: jars                       # extra jars, relative to state_dir
        remote: sc://127.0.0.1:15002         # a Spark Connect server run by somebody else; default: our own
        conf: {spark.sql.shuffle.partitions: 4}
        pool: provender_spark                # Airflow pool of the tasks that submit (docs/spark-backends.md)
        pool_slots: 32
        kubernetes:                          # every key: provender/spark_settings.py
          namespace: provender-spark
          image: registry.example.com/provender-spark:0.1.0
          service_account: spark
          redis_secret: feast-redis          # secret with the key connection_string
          google_key_secret: user-gcp-sa     # secret with key.json; none is needed with workload identity
          driver: {cores: 1, memory: 4g}
          executor: {instances: 4, cores: 2, memory: 8g, memory_overhead: 3g}
        dataproc:
          region: europe-west1               # a serverless batch; with cluster: NAME a job of that cluster
          image: europe-docker.pkg.dev/my-project/provender/spark:0.1.0
          secrets: {PROVENDER_REDIS: projects/my-project/secrets/redis/versions/latest}
      kubeflow:
        backend: local                       # local (a process of this machine) or api (Kubeflow Pipelines)
        host: https://kubeflow.example.com/pipeline
        namespace: team-a
        experiment: provender
        token_file: /var/run/secrets/kubeflow/token
        ca_file: /etc/ssl/kubeflow.pem       # default: the system's
        pipeline_root: gs://bucket/pipelines # default: Kubeflow's own
        image: registry.example.com/provender-training:0.1.0
        workspace_claim: provender-workspace # PersistentVolumeClaim that all steps of a run share
        service_account_secret: gcp-key      # secret with key.json; none is needed with workload identity
      serving:
        backend: local                       # local (a process of this machine) or kserve
        port: 8085                           # of the local predictor
        listen: 127.0.0.1                    # its address; 0.0.0.0 in a container
        namespace: models
        image: registry.example.com/provender-serving:0.1.0
        service_account: provender-serving
        redis_secret: provender-redis        # secret with the key connection_string
        url: http://{name}.models.example.com # default: the InferenceService's own status.url

Imports neither Spark, Feast nor Airflow.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from provender.embedded_redis import with_password
from provender.errors import SettingsError
from provender.spark_settings import SparkSettings

REPO_VARIABLE = "PROVENDER_REPO"
REDIS_VARIABLE = "PROVENDER_REDIS"
"""What ``connection_string: ${PROVENDER_REDIS}`` stands for."""
REGISTRY_VARIABLE = "PROVENDER_REGISTRY"
"""What the registry's ``path: ${PROVENDER_REGISTRY}`` stands for."""
SETTINGS_FILE = "feature_store.yaml"


class KubeflowSettings(BaseModel):
    """Where training pipelines run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    backend: Literal["local", "api"] = "local"
    host: str = ""
    namespace: str = "kubeflow"
    experiment: str = "provender"
    token_file: Path | None = None
    """File with a bearer token, read anew for each request, since Kubernetes renews it."""
    ca_file: Path | None = None
    pipeline_root: str = ""
    image: str = ""
    """Of the steps; empty: the one that the compiled pipeline names."""
    workspace_claim: str = ""
    service_account_secret: str = ""


class ServingSettings(BaseModel):
    """Where models are served."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    backend: Literal["local", "kserve"] = "local"
    port: int = Field(default=8085, ge=1, le=65535)
    listen: str = "127.0.0.1"
    namespace: str = "default"
    image: str = ""
    service_account: str = ""
    redis_secret: str = ""
    url: str = ""


class BigQuerySettings(BaseModel):
    """The data set that feature tables are published to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    project: str = Field(pattern=r"^[a-z][a-z0-9:.-]*[a-z0-9]$")
    dataset: str = Field(pattern=r"^[A-Za-z0-9_]+$")
    location: str | None = None
    billing_project: str = Field(default="", pattern=r"^([a-z][a-z0-9:.-]*[a-z0-9])?$")
    staging: str = Field(default="", pattern=r"^(gs://[^/]+.*)?$")


class StagingSettings(BaseModel):
    """How raw files are taken."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    settle_seconds: float = Field(default=2.0, ge=0.0, allow_inf_nan=False)
    """How long a raw file's size and time have to stand still before it counts as delivered."""


class Settings(BaseModel):
    """The effective settings, every path absolute."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    repo: Path
    """Folder of ``feature_store.yaml``, ``sources/``, ``views/`` and ``models/``."""
    project: str
    storage_root: str
    """URI without a trailing slash."""
    state_dir: Path
    private: bool = True
    """Whether files and folders are for this user alone; see :mod:`provender.private`."""
    statsd: str | None = None
    google_connection_id: str | None = None
    """An Airflow connection from which tasks take Google's credentials."""
    connections: dict[str, SecretStr] = {}
    """SQLAlchemy URLs by name, as they stand in the file."""
    staging: StagingSettings = StagingSettings()
    spark: SparkSettings = SparkSettings()
    kubeflow: KubeflowSettings = KubeflowSettings()
    serving: ServingSettings = ServingSettings()
    bigquery: BigQuerySettings | None = None
    offline_store: str = ""
    """Feast's ``offline_store.type``."""
    redis: str = Field(default="", repr=False)
    """Feast's ``online_store.connection_string``, variables of the environment put in as Feast does (one that is not
    set stays as it is, and is an error when it is needed); with ``cluster=true`` where ``redis_type`` says so, and the
    password of this machine's own Redis where it names that one."""
    redis_connection_id: str | None = None
    """An Airflow connection from which tasks take :data:`REDIS_VARIABLE`."""
    redis_key_ttl_seconds: int | None = None
    """Feast's ``online_store.key_ttl_seconds``."""


def find_repo(start: Path | None = None) -> Path:
    """The feature repo: ``$PROVENDER_REPO``, else the nearest ``feature_defs/`` (or folder with the settings
    file) from ``start`` (default: the current directory) upwards. Raises :class:`SettingsError`."""
    named = os.environ.get(REPO_VARIABLE)
    if named:
        return Path(named).resolve()
    origin = (start or Path.cwd()).resolve()
    for folder in (origin, *origin.parents):
        for candidate in (folder, folder / "feature_defs"):
            if (candidate / SETTINGS_FILE).is_file():
                return candidate
    raise SettingsError(
        f"no {SETTINGS_FILE} found",
        where=f"{origin} and the folders above it",
        remedy=f"change into the project, pass --repo FOLDER, or set {REPO_VARIABLE}",
    )


def load_settings(repo: Path | str | None = None) -> Settings:
    """Reads ``<repo>/feature_store.yaml``. Raises :class:`SettingsError` with file and remedy."""
    folder = Path(repo).resolve() if repo is not None else find_repo()
    path = folder / SETTINGS_FILE
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SettingsError(
            f"no {SETTINGS_FILE} there", where=str(folder), remedy="pass the feature repo"
        ) from error
    except yaml.YAMLError as error:
        raise SettingsError(f"not YAML: {error}", where=str(path)) from error
    if not isinstance(document, dict) or "project" not in document:
        raise SettingsError("no 'project' in the settings", where=str(path), remedy="add: project: <name>")
    return _from_document(folder, path, document)


def _from_document(folder: Path, path: Path, document: dict[str, Any]) -> Settings:
    ours = dict(document.get("provender") or {})
    online = document.get("online_store")
    online = online if isinstance(online, dict) else {}
    offline = document.get("offline_store")
    storage_root = str(ours.pop("storage_root", "../.provender/storage"))
    state_dir = Path(ours.pop("state_dir", "../.provender"))
    try:
        return Settings(
            repo=folder,
            project=str(document["project"]),
            storage_root=_absolute_uri(folder, storage_root),
            state_dir=(folder / state_dir).resolve(),
            offline_store=str(offline.get("type", "") if isinstance(offline, dict) else offline or ""),
            redis=with_password(_redis(online), (folder / state_dir).resolve()),
            redis_key_ttl_seconds=online.get("key_ttl_seconds"),
            **ours,
        )
    except ValidationError as error:
        problems = "; ".join(f"provender.{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise SettingsError(
            problems, where=str(path), remedy="see provender/settings.py for the keys"
        ) from error


def _redis(online: dict[str, Any]) -> str:
    text = os.path.expandvars(str(online.get("connection_string", "")))
    return f"{text},cluster=true" if text and online.get("redis_type") == "redis_cluster" else text


def _absolute_uri(folder: Path, text: str) -> str:
    if "://" in text:
        return text.rstrip("/")
    return (folder / text).resolve().as_uri()

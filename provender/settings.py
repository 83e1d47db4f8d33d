"""Read the one settings file, ``feature_store.yaml``.

Feast reads its own keys there (project, registry, stores). Everything else of the platform is under one more key,
``provender``, which Feast ignores. The docs of the fields below are the reference: ``docs/reference/settings.md`` is
generated from them (:mod:`docs.tooling.reference`).

Imports neither Spark, Feast nor Airflow.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from provender.embedded_redis import with_password
from provender.engine_settings import BatchEngineSettings, EngineChoice
from provender.errors import SettingsError
from provender.kubernetes_fields import Namespace, ObjectName
from provender.spark_settings import SparkSettings

REPO_VARIABLE = "PROVENDER_REPO"
REDIS_VARIABLE = "PROVENDER_REDIS"
"""What ``connection_string: ${PROVENDER_REDIS}`` stands for."""
REGISTRY_VARIABLE = "PROVENDER_REGISTRY"
"""What the registry's ``path: ${PROVENDER_REGISTRY}`` stands for."""
SETTINGS_FILE = "feature_store.yaml"
_FEASTS = {"join": "offline_store", "batch_engine": "batch_engine"}
"""Fields of :class:`Settings` that are read from a section of Feast's, and that section."""


class KubeflowSettings(BaseModel):
    """Where training pipelines run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    backend: Literal["local", "api"] = "local"
    """``local`` (a process on this machine) or ``api`` (Kubeflow Pipelines)."""
    host: str = ""
    """URL of the Kubeflow Pipelines API, such as ``https://kubeflow.example.com/pipeline``."""
    namespace: Namespace = "kubeflow"
    """Kubernetes namespace that runs are created in."""
    experiment: str = "provender"
    """Kubeflow experiment that runs belong to."""
    token_file: Path | None = None
    """File with a bearer token. It is read again for each request, since Kubernetes renews it."""
    ca_file: Path | None = None
    """CA certificates to verify ``host`` with. Default: the system's."""
    pipeline_root: str = ""
    """URI under which Kubeflow keeps artifacts, such as ``gs://bucket/pipelines``. Default: Kubeflow's own."""
    image: str = ""
    """Container image of the steps. Default: the one that the compiled pipeline names."""
    workspace_claim: str = ""
    """PersistentVolumeClaim that all steps of a run share."""
    service_account_secret: str = ""
    """Kubernetes secret with ``key.json``. Not needed with workload identity."""


class ServingSettings(BaseModel):
    """Where models are served."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    backend: Literal["local", "kserve"] = "local"
    """``local`` (a process on this machine) or ``kserve``."""
    port: int = Field(default=8085, ge=1, le=65535)
    """Port of the local predictor."""
    listen: str = "127.0.0.1"
    """Address that the local predictor binds to; ``0.0.0.0`` in a container."""
    namespace: Namespace = "default"
    """Kubernetes namespace of the InferenceServices."""
    image: str = ""
    """Container image of the predictor."""
    service_account: ObjectName = ""
    """Kubernetes service account of the predictor."""
    redis_secret: ObjectName = ""
    """Kubernetes secret with the key ``connection_string``."""
    url: str = ""
    """URL of a model's predictor, ``{name}`` being the model. Default: the InferenceService's ``status.url``."""


class BigQuerySettings(BaseModel):
    """The dataset that feature tables are published to (``docs/bigquery.md``)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    project: str = Field(pattern=r"^[a-z][a-z0-9:.-]*[a-z0-9]$")
    """Google Cloud project of the dataset."""
    dataset: str = Field(pattern=r"^[A-Za-z0-9_]+$")
    """Dataset that the tables are created in."""
    location: str | None = None
    """Location of the dataset, and so of the staging bucket, such as ``europe-west1``."""
    billing_project: str = Field(default="", pattern=r"^([a-z][a-z0-9:.-]*[a-z0-9])?$")
    """Project that jobs run in and are billed to. Default: ``project``."""
    staging: str = Field(default="", pattern=r"^(gs://[^/]+.*)?$")
    """Folder on ``gs://`` for Parquet files that are being loaded. Default: the storage root, if it is on ``gs://``."""


class StagingSettings(BaseModel):
    """How raw files are picked up."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    settle_seconds: float = Field(default=2.0, ge=0.0, allow_inf_nan=False)
    """Seconds for which a raw file's size and modification time must not change before it counts as delivered;
    0: no wait."""


class Settings(BaseModel):
    """The effective settings, every path absolute."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    repo: Path
    """Folder of ``feature_store.yaml``, ``sources/``, ``views/`` and ``models/``."""
    project: str
    """Feast's ``project``."""
    storage_root: str
    """Where tables, staged files and the ledger are: a folder (relative to ``feature_store.yaml``), a ``file://`` or a
    ``gs://`` URI. Default: ``../.provender/storage``."""
    state_dir: Path
    """Folder for this machine's pid files, logs, locks and jars. Default: ``../.provender``."""
    private: bool = True
    """Whether written files and folders are accessible to this user only (``docs/security.md``)."""
    statsd: str | None = None
    """``host:port`` that metrics are sent to. Default: none are sent."""
    google_connection_id: str | None = None
    """Airflow connection that provides Google credentials to tasks. Default: ambient credentials."""
    connections: dict[str, SecretStr] = {}
    """SQL databases that sources refer to: name to SQLAlchemy URL. ``${VARIABLE}`` is replaced from the environment."""
    staging: StagingSettings = StagingSettings()
    """How raw files are picked up."""
    spark: SparkSettings = SparkSettings()
    """Where Spark applications run."""
    kubeflow: KubeflowSettings = KubeflowSettings()
    """Where training pipelines run."""
    serving: ServingSettings = ServingSettings()
    """Where models are served."""
    bigquery: BigQuerySettings | None = None
    """The dataset that feature tables are published to. Default: nothing is published."""
    offline_store: str = ""
    """Feast's ``offline_store.type``."""
    join: EngineChoice = EngineChoice()
    """The rest of ``offline_store``, where its type is ours."""
    batch_engine: BatchEngineSettings = BatchEngineSettings()
    """Feast's ``batch_engine``, where its type is ours."""
    redis: str = Field(default="", repr=False)
    """Feast's ``online_store.connection_string`` with environment variables substituted as Feast does (an unset one is
    left in place, and is an error when the value is needed); with ``cluster=true`` for ``redis_type: redis_cluster``,
    and the password of this machine's own Redis if it names that one."""
    redis_connection_id: str | None = None
    """Airflow connection that stands behind ``connection_string: ${PROVENDER_REDIS}`` in tasks."""
    redis_key_ttl_seconds: int | None = None
    """Feast's ``online_store.key_ttl_seconds``."""


def find_repo(start: Path | None = None) -> Path:
    """Find the feature repo: ``$PROVENDER_REPO``, else the nearest ``feature_defs/`` (or folder with the settings
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
    """Read ``<repo>/feature_store.yaml``. Raises :class:`SettingsError` with file and remedy."""
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
    offline, batch = document.get("offline_store"), document.get("batch_engine")
    storage_root = str(ours.pop("storage_root", "../.provender/storage"))
    state_dir = Path(ours.pop("state_dir", "../.provender"))
    try:
        return Settings.model_validate(
            {
                "repo": folder,
                "project": str(document["project"]),
                "storage_root": _absolute_uri(folder, storage_root),
                "state_dir": (folder / state_dir).resolve(),
                "offline_store": str(offline.get("type", "") if isinstance(offline, dict) else offline or ""),
                "join": offline if isinstance(offline, dict) else {},
                "batch_engine": batch if isinstance(batch, dict) else {},
                "redis": with_password(_redis(online), (folder / state_dir).resolve()),
                "redis_key_ttl_seconds": online.get("key_ttl_seconds"),
                **ours,
            }
        )
    except ValidationError as error:
        problems = "; ".join(f"{_key_of(e['loc'])}: {e['msg']}" for e in error.errors())
        raise SettingsError(
            problems, where=str(path), remedy="see docs/reference/settings.md for the keys"
        ) from error


def _key_of(location: tuple[int | str, ...]) -> str:
    first, *rest = map(str, location)
    return ".".join([_FEASTS.get(first, f"provender.{first}"), *rest])


def _redis(online: dict[str, Any]) -> str:
    text = os.path.expandvars(str(online.get("connection_string", "")))
    return f"{text},cluster=true" if text and online.get("redis_type") == "redis_cluster" else text


def _absolute_uri(folder: Path, text: str) -> str:
    if "://" in text:
        return text.rstrip("/")
    return (folder / text).resolve().as_uri()

"""What Airflow stores and what clusters are sent names secrets, and has none in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from provender.serving_backends.base import Served
from provender.serving_backends.inference_service import inference_service
from provender.settings import Settings, load_settings
from provender.specs.models.spec import Serving
from provender_airflow.spark.application import spark_application
from provender_airflow.spark.dataproc_bodies import batch, cluster_job
from provender_airflow.spark.job import SparkJob
from tests.engine import CHECKOUT
from tests.marked import MARK, PASSWORDS

pytestmark = pytest.mark.airflow
JOB = SparkJob("spark_jobs.ingest", ("--repo", "{repo}", "--attempt", "{attempt}"), "ingest-trips")


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The cluster's settings, with every secret in the environment, and the project's own sources and models."""
    repo = tmp_path / "feature_defs"
    repo.mkdir()
    for name in ("sources", "views", "models"):
        (repo / name).symlink_to(CHECKOUT / "feature_defs" / name)
    document = yaml.safe_load((CHECKOUT / "deploy/kubernetes/feature_store.yaml").read_text())
    document["provender"]["connections"] = {"shop": "postgresql+psycopg://reader:${SHOP_PASSWORD}@db/shop"}
    document["provender"]["spark"]["dataproc"] = {
        "region": "europe-west1",
        "secrets": {"PROVENDER_REDIS": "projects/p/secrets/redis/versions/latest"},
    }
    (repo / "feature_store.yaml").write_text(yaml.safe_dump(document))
    for name, value in PASSWORDS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PROVENDER_REDIS", f"redis:6379,password={PASSWORDS['REDIS_PASSWORD']}")
    monkeypatch.setenv("PROVENDER_REGISTRY", f"postgresql://feast:{PASSWORDS['REGISTRY_PASSWORD']}@db/feast")
    monkeypatch.setenv("PROVENDER_REPO", str(repo))
    return load_settings(repo)


def test_the_settings_have_the_secret_and_do_not_show_it(settings: Settings) -> None:
    assert MARK in settings.redis
    assert MARK not in repr(settings)


STORE = """
import json
from pathlib import Path
from airflow.serialization.serialized_objects import DagSerialization
from provender_airflow.dag_factory import features_dags
from provender_airflow.model_dag_factory import model_dags
from provender.settings import find_repo
dags = [*features_dags(find_repo()), *model_dags(find_repo())]
print("STORED", json.dumps({dag.dag_id: DagSerialization.to_dict(dag) for dag in dags}))
"""


def test_dags_as_airflow_stores_them(settings: Settings) -> None:
    """In a process with the plugin: the timetable of models is known to Airflow by it."""
    plugins = str(CHECKOUT / "plugins")
    done = subprocess.run(
        [sys.executable, "-c", STORE],
        env={**os.environ, "AIRFLOW__CORE__PLUGINS_FOLDER": plugins, "PYTHONPATH": f"{CHECKOUT}:{plugins}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    stored = json.loads(done.stdout.partition("STORED ")[2])
    assert {"features__flights", "model__flight_delay"} <= stored.keys()
    assert MARK not in done.stdout + done.stderr


SENT: dict[str, Callable[[Settings], dict[str, Any]]] = {
    "spark_operator": lambda settings: spark_application(settings, JOB, "ingest-trips-1", "a"),
    "dataproc_batch": lambda settings: batch(settings, JOB, "a"),
    "dataproc_job": lambda settings: cluster_job(settings, JOB, "ingest-trips-1", "a", "p"),
    "kserve": lambda settings: inference_service(
        settings,
        Served("flight_delay", "v1", {"artifact": "gs://x", "online": {"project": "provender"}}, Serving()),
        100,
        None,
    ),
}


@pytest.mark.parametrize("name", SENT)
def test_what_a_cluster_is_sent(settings: Settings, name: str) -> None:
    text = json.dumps(SENT[name](settings), default=str)
    assert MARK not in text
    is_told_where = "feast-redis" in text or "secrets/redis" in text
    assert is_told_where


def test_pods_take_addresses_from_secrets(settings: Settings) -> None:
    spark = SENT["spark_operator"](settings)["spec"]
    served = SENT["kserve"](settings)["spec"]["predictor"]["containers"][0]
    redis = {"secretKeyRef": {"name": "feast-redis", "key": "connection_string"}}
    registry = {"secretKeyRef": {"name": "feast-registry", "key": "url"}}
    # Executors write online; only the driver asks the registry.
    assert from_secrets(spark["driver"]) == [redis, registry]
    assert from_secrets(spark["executor"]) == [redis]
    assert from_secrets(served) == [redis]


def from_secrets(pod: dict[str, Any]) -> list[Any]:
    return [each["valueFrom"] for each in pod["env"] if "valueFrom" in each]

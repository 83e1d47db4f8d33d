"""Settings that an API server, the Spark operator or a JVM refuses are refused when they are read."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from provender.errors import SettingsError
from provender.kubernetes_fields import quantity
from provender.settings import load_settings
from provender.specs.models.spec import Resources


def load(folder: Path, **ours: Any) -> Any:
    document = {"project": "test", "provender": ours}
    (folder / "feature_store.yaml").write_text(yaml.safe_dump(document))
    return load_settings(folder)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("driver.memory", "2x"),
        ("driver.memory", "2gb"),  # -Xmx takes one letter
        ("driver.memory", "2048"),  # Spark means MiB, the JVM bytes
        ("driver.memory", "0g"),
        ("driver.memory", ""),
        ("executor.memory", "2 g"),
        ("executor.memory", ""),
        ("executor.memory_overhead", "1Gi"),
        ("driver.core_request", "half"),
        ("driver.core_request", "0.5m"),
        ("driver.core_request", "0"),
        ("driver.core_limit", "-1"),
        ("driver.node_selector", {"a b": "c"}),
        ("driver.node_selector", {"pool": "not/a/value"}),
        ("driver.annotations", {"a/b/c": ""}),
        ("driver.tolerations", [{"key": "-spot"}]),
        ("namespace", "Provender"),
        ("namespace", ""),
        ("namespace", "a" * 64),
        ("service_account", "spark_driver"),
        ("redis_secret", "Feast"),
        ("image_pull_secrets", ["a/b"]),
        ("env_from_secrets", ["a..b"]),
        ("env", {"A=B": "c"}),
        ("env", {"": "c"}),
    ],
)
def test_what_a_cluster_refuses_is_refused_on_load(tmp_path: Path, key: str, value: Any) -> None:
    first, _, second = key.partition(".")
    given = {first: {second: value}} if second else {first: value}
    with pytest.raises(SettingsError) as raised:
        load(tmp_path, spark={"kubernetes": given})
    assert key in raised.value.what
    assert "feature_store.yaml" in raised.value.where


def test_a_limit_below_the_request_is_refused(tmp_path: Path) -> None:
    for wrong in ({"cores": 2, "core_limit": "1500m"}, {"core_request": "2", "core_limit": "1"}):
        with pytest.raises(SettingsError, match="is less than the request of 2"):
            load(tmp_path, spark={"kubernetes": {"executor": wrong}})


def test_what_a_cluster_takes_passes(tmp_path: Path) -> None:
    pod = {
        "memory": "4G",
        "memory_overhead": "512",
        "core_request": "0.5",
        "core_limit": "1500m",
        "node_selector": {"cloud.google.com/gke-spot": "true", "pool": ""},
        "annotations": {"example.com/any": "text with spaces, and /"},
    }
    executor = {**pod, "memory": "4096mb"}
    kubernetes = {"namespace": "spark-1", "driver": pod, "executor": executor, "env": {"A.b-c": "d"}}
    settings = load(tmp_path, spark={"kubernetes": kubernetes})
    assert settings.spark.kubernetes.executor.memory == "4096mb"


@pytest.mark.parametrize(
    "wrong", [{"cpu": "one"}, {"cpu": ""}, {"memory": "1GB"}, {"memory": "100m"}, {"memory": ""}]
)
def test_a_models_resources_are_quantities(wrong: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        Resources(**wrong)


@pytest.mark.parametrize(
    ("serving", "key"), [({"namespace": "A"}, "namespace"), ({"redis_secret": "a_b"}, "redis_secret")]
)
def test_serving_names_are_names(tmp_path: Path, serving: dict[str, str], key: str) -> None:
    with pytest.raises(SettingsError, match=key):
        load(tmp_path, serving=serving)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("500m", "0.5"),
        ("2", "2"),
        ("1.5Gi", "1610612736"),
        ("1e3", "1000"),
        (".5", "0.5"),
        ("2k", "2000"),
        ("3Ei", str(3 * 2**60)),
    ],
)
def test_quantities(text: str, value: str) -> None:
    assert quantity(text) == Decimal(value)

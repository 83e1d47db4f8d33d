"""What KServe's deployments ask of the Kubernetes API is what the Role allows (Spark's: test_spark_on_kubernetes)."""

from __future__ import annotations

import re
from typing import Any

import pytest
from kubernetes.client import ApiClient, Configuration

from provender.clients.kubernetes_api import KubernetesApi
from provender.serving_backends.kserve import KServeBackend
from provender.serving_backends.kserve_api import InferenceServices
from provender.settings import ServingSettings
from provender.specs.models.spec import Serving
from provender_airflow.kubernetes_calls import CALLS, SERVING_CALLS, SPARK_CALLS
from tests.airflow.spark_cluster import call_of
from tests.kserve.cluster import Cluster, running
from tests.models.shelf import Shelf, answer_document
from tests.models.world import make_world, run
from tests.servers import RedisServer

pytestmark = [pytest.mark.airflow, pytest.mark.redis]


def test_a_deployment_and_its_withdrawal_make_every_call_and_no_other(
    tmp_path: Any, redis_server: RedisServer
) -> None:
    world = make_world(tmp_path, redis_server.address)
    serving = ServingSettings(
        backend="kserve", namespace="models", image="registry/serving:1", redis_secret="redis"
    )
    settings = world.project.settings.model_copy(update={"serving": serving})
    shelf = Shelf(world)
    with running(Cluster(lambda *asked: answer_document(shelf, *asked))) as cluster:
        configuration = Configuration(host=cluster.url)
        configuration.retries = False
        backend = KServeBackend(
            settings, InferenceServices(KubernetesApi(ApiClient(configuration)), "models")
        )
        backend.poll_seconds = 0.01
        run(
            world.rollout(
                backend, world.write_version(b"first"), attempt="first", serving=Serving(smoke_entities=1)
            )
        )
        backend.restore("late", None)
    calls = {call_of(method, path) for method, path in cluster.requests}
    new_objects = {("serving.kserve.io", "inferenceservices", "create")}  # apply, where there is none yet
    assert calls | new_objects == SERVING_CALLS


def test_no_call_is_a_wildcard_and_none_reads_secrets() -> None:
    assert CALLS == SPARK_CALLS | SERVING_CALLS
    assert all(re.fullmatch("[a-z/]+", part) for _, resource, verb in CALLS for part in (resource, verb))
    assert not any(resource == "secrets" for _, resource, _ in CALLS)

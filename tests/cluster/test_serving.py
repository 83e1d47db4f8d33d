"""The life of an InferenceService on a real API server, with the rights and the token of Airflow's workers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from provender.clients.kubernetes_api import APPLY_PATCH, MERGE_PATCH, KubernetesApi
from provender.errors import DeployError
from provender.rollout.rollback import roll_back
from provender.serving_backends.inference_service import inference_service
from provender.serving_backends.kserve import KServeBackend
from provender.serving_backends.kserve_api import InferenceServices
from provender.settings import ServingSettings
from provender.specs.models.spec import Replicas, Serving
from tests.cluster.operators import KServe, Operators
from tests.cluster.operators import running as controller_running
from tests.cluster.sandbox import SERVICES, Document, eventually
from tests.kserve.cluster import Cluster, running
from tests.models.shelf import Shelf, answer_document
from tests.models.world import World, make_world, run
from tests.servers import RedisServer

pytestmark = [pytest.mark.cluster, pytest.mark.redis]

SERVING = Serving(
    canary=(10, 50), smoke_entities=2, timeout=timedelta(seconds=30), replicas=Replicas(min=1, max=3)
)


@pytest.fixture
def world(tmp_path: Path, redis_server: RedisServer, models_namespace: str) -> World:
    world = make_world(tmp_path, redis_server.address)
    serving = ServingSettings(
        backend="kserve",
        namespace=models_namespace,
        image="registry.invalid/serving:1",
        redis_secret="feast-redis",
        service_account="serving",
    )
    world.project.settings = world.project.settings.model_copy(update={"serving": serving})
    return world


@pytest.fixture
def shelf(world: World) -> Shelf:
    return Shelf(world)


@pytest.fixture
def services(airflow: KubernetesApi, models_namespace: str) -> Iterator[InferenceServices]:
    made = InferenceServices(airflow, models_namespace)
    yield made
    made.delete("late")
    eventually("the InferenceService is gone", lambda: made.get("late") is None, 120)


@pytest.fixture
def cluster(
    api: KubernetesApi, shelf: Shelf, services: InferenceServices, operators: Operators
) -> Iterator[Cluster]:
    """What KServe's controller made, and the ingress."""
    if operators.kserve:
        pytest.skip("KServe runs here, and an image that no registry has never gets ready")
    with running(Cluster(lambda *asked: answer_document(shelf, *asked))) as cluster:
        with controller_running(KServe(api, services.namespace, cluster)):
            yield cluster


@pytest.fixture
def backend(world: World, services: InferenceServices) -> KServeBackend:
    backend = KServeBackend(world.project.settings, services)
    backend.poll_seconds = 0.05
    return backend


@pytest.fixture
def old(world: World, backend: KServeBackend, cluster: Cluster) -> str:
    version = world.write_version(b"old")
    run(world.rollout(backend, version, attempt="first", serving=SERVING))
    return version


def comes_to(cluster: Cluster, shares: dict[str, int]) -> None:
    eventually(f"the traffic is {shares}", lambda: cluster.serving("late") == shares)


def there(services: InferenceServices) -> Document:
    found = services.get("late")
    assert found is not None
    return found


def test_the_first_version_is_made_and_serves(
    world: World, cluster: Cluster, services: InferenceServices, old: str
) -> None:
    comes_to(cluster, {old: 100})
    assert there(services)["metadata"]["annotations"]["provender.dev/version"] == old
    assert world.store.state().version == old


def test_a_canary_is_promoted_step_by_step_and_rolled_back(
    world: World, cluster: Cluster, backend: KServeBackend, services: InferenceServices, old: str
) -> None:
    new = world.write_version(b"new")
    rollout = world.rollout(backend, new, serving=SERVING)
    percent, shares = rollout.start(), []
    while percent is not None:
        rollout.begin(percent)
        rollout.await_ready(percent)
        wanted = {new: percent, old: 100 - percent} if percent < 100 else {new: 100}
        comes_to(cluster, wanted)
        shares.append(percent)
        percent = rollout.finish(percent)
    assert shares == [10, 50, 100]
    assert "canaryTrafficPercent" not in there(services)["spec"]["predictor"]
    roll_back(world.project.settings, backend, "late", SERVING, to=None, attempt="cli")
    comes_to(cluster, {old: 100})
    assert world.store.state().version == old


def test_a_version_that_answers_otherwise_goes_and_the_old_one_serves(
    world: World, cluster: Cluster, backend: KServeBackend, shelf: Shelf, old: str
) -> None:
    new = world.write_version(b"new")
    shelf.predicts = lambda version, value: value + (version == new)
    with pytest.raises(DeployError, match="predicts something else"):
        run(world.rollout(backend, new, serving=SERVING))
    comes_to(cluster, {old: 100})
    assert world.store.state().version == old


def test_whatever_is_raised_the_old_version_serves(
    world: World, cluster: Cluster, backend: KServeBackend, old: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rollout = world.rollout(backend, world.write_version(b"new"), serving=SERVING)
    percent = rollout.start()
    assert percent == 10
    rollout.begin(percent)
    rollout.await_ready(percent)
    monkeypatch.setattr(backend, "client", lambda *_: {}["no such thing"])
    with pytest.raises(KeyError, match="no such thing"):
        rollout.finish(percent)
    comes_to(cluster, {old: 100})
    assert world.store.state().trying is None


def test_what_another_field_manager_set_does_not_keep_a_version_from_all_the_traffic(
    api: KubernetesApi,
    world: World,
    cluster: Cluster,
    backend: KServeBackend,
    services: InferenceServices,
    old: str,
) -> None:
    path = SERVICES.path(services.namespace, "late")
    edit: Document = {
        "metadata": {"labels": {"team": "travel"}},
        "spec": {"predictor": {"canaryTrafficPercent": 20, "minReplicas": 2}},
    }
    api.send("PATCH", path, edit, MERGE_PATCH, fieldManager="kubectl-edit")
    new = world.write_version(b"new")
    run(world.rollout(backend, new, serving=SERVING))
    comes_to(cluster, {new: 100})
    found = there(services)
    assert "canaryTrafficPercent" not in found["spec"]["predictor"]
    assert found["spec"]["predictor"]["minReplicas"] == 1
    assert found["metadata"]["labels"]["team"] == "travel"  # not ours: it stays


def test_fields_that_another_manager_applied_are_taken_over(
    api: KubernetesApi,
    world: World,
    backend: KServeBackend,
    services: InferenceServices,
    cluster: Cluster,
    old: str,
) -> None:
    theirs: Document = {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "late"},
        "spec": {"predictor": {"maxReplicas": 9}},
    }
    path = SERVICES.path(services.namespace, "late")
    api.send("PATCH", path, theirs, APPLY_PATCH, fieldManager="gitops", force="true")
    run(world.rollout(backend, world.write_version(b"new"), serving=SERVING))
    assert there(services)["spec"]["predictor"]["maxReplicas"] == 3


def test_a_field_that_kserve_does_not_know_is_final(
    world: World, services: InferenceServices, backend: KServeBackend
) -> None:
    rollout = world.rollout(backend, world.write_version(b"new"), serving=SERVING)
    document: dict[str, Any] = inference_service(world.project.settings, rollout.served, 100, None)
    document["spec"]["predictor"]["canaryTraficPercent"] = 10
    with pytest.raises(DeployError, match="canaryTraficPercent"):
        services.apply(document)
    assert services.get("late") is None


def test_one_that_fails_first_is_deleted(
    world: World, cluster: Cluster, backend: KServeBackend, shelf: Shelf, services: InferenceServices
) -> None:
    shelf.predicts = lambda _, value: value + 1
    with pytest.raises(DeployError):
        run(world.rollout(backend, world.write_version(b"new"), serving=SERVING))
    assert services.get("late") is None
    services.delete("late")  # gone already: no error


def test_a_controller_that_runs_is_waited_for(
    world: World, backend: KServeBackend, services: InferenceServices, operators: Operators
) -> None:
    if not operators.kserve:
        pytest.skip("KServe does not run here")
    rollout = world.rollout(backend, world.write_version(b"new"), serving=SERVING)
    backend.stage(rollout.served, 100)
    eventually("KServe has written a status", lambda: there(services).get("status"), 120)
    backend.restore("late", None)

"""Deployments to KServe against a cluster that is strict, slow, ill, or says no."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from kubernetes.client import ApiClient, Configuration

from provender.errors import DeployError, PredictorError, ProvenderError
from provender.rollout.deploy import Rollout
from provender.rollout.rollback import roll_back
from provender.serving_backends.kserve import KServeBackend
from provender.serving_backends.kserve_api import InferenceServices
from provender.settings import ServingSettings
from provender.specs.models.spec import Replicas, Serving
from tests.kserve.cluster import Cluster, running
from tests.models.shelf import Shelf, answer_document
from tests.models.world import World, make_world, run
from tests.servers import RedisServer

pytestmark = pytest.mark.redis

SERVING = Serving(
    canary=(10, 50), smoke_entities=2, timeout=timedelta(seconds=5), replicas=Replicas(min=1, max=3)
)


@pytest.fixture
def world(tmp_path: Path, redis_server: RedisServer) -> World:
    world = make_world(tmp_path, redis_server.address)
    serving = ServingSettings(
        backend="kserve",
        namespace="models",
        image="registry/serving:1",
        redis_secret="redis",
        service_account="models",
    )
    world.project.settings = world.project.settings.model_copy(update={"serving": serving})
    return world


@pytest.fixture
def shelf(world: World) -> Shelf:
    """Says how versions answer."""
    return Shelf(world)


@pytest.fixture
def cluster(shelf: Shelf) -> Iterator[Cluster]:
    def predict(*asked: Any) -> dict[str, Any]:
        return answer_document(shelf, *asked)

    with running(Cluster(predict)) as cluster:
        yield cluster


@pytest.fixture
def backend(world: World, cluster: Cluster) -> KServeBackend:
    configuration = Configuration(host=cluster.url)
    configuration.retries = False
    backend = KServeBackend(world.project.settings, InferenceServices(ApiClient(configuration), "models"))
    backend.poll_seconds = 0.01
    return backend


@pytest.fixture
def old(world: World, backend: KServeBackend) -> str:
    version = world.write_version(b"old")
    run(world.rollout(backend, version, attempt="first", serving=SERVING))
    return version


def deploy(world: World, backend: KServeBackend, version: str, **more: Any) -> None:
    run(world.rollout(backend, version, **{"serving": SERVING, **more}))


def fails(world: World, backend: KServeBackend, version: str, **more: Any) -> ProvenderError:
    with pytest.raises(ProvenderError) as raised:
        deploy(world, backend, version, **more)
    return raised.value


def predictor_of(cluster: Cluster) -> dict[str, Any]:
    found: dict[str, Any] = cluster.services["late"].document["spec"]["predictor"]
    return found


def percents(world: World, version: str) -> list[int | None]:
    return [each.percent for each in world.store.log.all() if each.version == version]


def test_the_first_version_gets_all_the_traffic(world: World, cluster: Cluster, old: str) -> None:
    assert cluster.serving("late") == {old: 100}
    assert percents(world, old) == [100, 100]
    document = cluster.services["late"].document
    assert document["metadata"]["annotations"]["provender.dev/version"] == old
    predictor = predictor_of(cluster)
    assert (predictor["minReplicas"], predictor["maxReplicas"]) == (1, 3)
    assert predictor["serviceAccountName"] == "models"
    (container,) = predictor["containers"]
    assert container["image"] == "registry/serving:1"
    assert container["resources"]["limits"] == {"cpu": "1", "memory": "1Gi"}


def test_the_connection_string_is_a_secrets(world: World, cluster: Cluster, old: str) -> None:
    document = str(cluster.services["late"].document)
    assert world.project.settings.redis not in document
    assert "'secretKeyRef': {'name': 'redis', 'key': 'connection_string'}" in document


def test_a_canary_gets_more_and_more_of_the_traffic(
    world: World, cluster: Cluster, backend: KServeBackend, old: str
) -> None:
    new = world.write_version(b"new")
    rollout = world.rollout(backend, new, serving=SERVING)
    percent, shares = rollout.start(), []
    while percent is not None:
        rollout.begin(percent)
        rollout.await_ready(percent)
        shares.append(cluster.serving("late"))
        percent = rollout.finish(percent)
    assert shares == [{new: 10, old: 90}, {new: 50, old: 50}, {new: 100}]
    assert "canaryTrafficPercent" not in predictor_of(cluster)
    assert world.store.state().version == new
    assert percents(world, new) == [10, 50, 100, 100]


def test_without_canary_steps_a_version_is_ready_before_it_has_traffic(
    world: World, cluster: Cluster, backend: KServeBackend, old: str
) -> None:
    new = world.write_version(b"new")
    deploy(world, backend, new, serving=Serving(timeout=timedelta(seconds=5)))
    assert percents(world, new) == [0, 100, 100]
    assert cluster.serving("late") == {new: 100}


def test_a_version_that_takes_its_time_is_waited_for(
    world: World, cluster: Cluster, backend: KServeBackend, old: str
) -> None:
    cluster.ready_after = 4
    new = world.write_version(b"new")
    deploy(world, backend, new)
    assert cluster.serving("late") == {new: 100}


def test_a_version_that_is_never_ready_is_rolled_back(
    world: World, cluster: Cluster, backend: KServeBackend, old: str
) -> None:
    rollout = world.rollout(backend, world.write_version(b"new"), serving=SERVING)
    rollout.serving = SERVING.model_copy(update={"timeout": timedelta(seconds=0.1)})
    percent = rollout.start()
    assert percent == 10
    old_looks = cluster.services["late"].latest.looks
    cluster.ready_after = old_looks
    rollout.begin(percent)
    cluster.services["late"].latest.looks = -1000
    with pytest.raises(DeployError) as raised:
        rollout.await_ready(percent)
    assert "did not become ready within 0:00:00.1" in raised.value.what
    assert "late-predictor-00002 is starting" in raised.value.what
    assert cluster.serving("late") == {old: 100}
    assert predictor_of(cluster)["canaryTrafficPercent"] == 0
    assert (world.store.state().version, world.store.state().trying) == (old, None)


def test_a_model_that_does_not_load_is_rolled_back_at_once_with_kserves_reason(
    world: World, cluster: Cluster, backend: KServeBackend, old: str
) -> None:
    rollout = world.rollout(backend, world.write_version(b"new"), serving=SERVING)
    percent = rollout.start()
    assert percent is not None
    rollout.begin(percent)
    cluster.load_failure = "ValueError: no model in there"
    with pytest.raises(DeployError, match="ModelLoadFailed ValueError: no model in there"):
        rollout.await_ready(percent)
    cluster.load_failure = ""
    assert cluster.serving("late") == {old: 100}


def test_a_version_that_answers_otherwise_is_rolled_back_at_its_first_step(
    world: World, cluster: Cluster, backend: KServeBackend, shelf: Shelf, old: str
) -> None:
    new = world.write_version(b"new")
    shelf.predicts = lambda version, value: value + (version == new)
    error = fails(world, backend, new)
    assert "it predicts something else than when it was trained" in error.what
    assert percents(world, new) == [10, None]
    assert cluster.serving("late") == {old: 100}


def test_a_version_that_fails_with_all_the_traffic_is_replaced_by_the_one_before(
    world: World, cluster: Cluster, backend: KServeBackend, shelf: Shelf, old: str
) -> None:
    new = world.write_version(b"new")
    rollout = world.rollout(backend, new, serving=SERVING)
    for percent in (10, 50):
        rollout.start() if percent == 10 else None
        rollout.begin(percent)
        rollout.await_ready(percent)
        rollout.finish(percent)
    rollout.begin(100)
    rollout.await_ready(100)
    shelf.predicts = lambda version, value: value + (version == new)
    with pytest.raises(DeployError):
        rollout.finish(100)
    assert cluster.serving("late") == {old: 100}
    assert world.store.state().version == old


def test_after_a_rollback_the_next_version_gets_its_canary(
    world: World, cluster: Cluster, backend: KServeBackend, shelf: Shelf, old: str
) -> None:
    bad, good = world.write_version(b"bad"), world.write_version(b"good")
    shelf.predicts = lambda version, value: value + (version == bad)
    fails(world, backend, bad)
    rollout = world.rollout(backend, good, attempt="attempt-2", serving=SERVING)
    percent = rollout.start()
    assert percent == 10
    rollout.begin(percent)
    rollout.await_ready(percent)
    assert cluster.serving("late") == {good: 10, old: 90}
    run(rollout)
    assert cluster.serving("late") == {good: 100}


def test_without_addresses_of_their_own_revisions_are_asked_through_the_service(
    world: World, cluster: Cluster, backend: KServeBackend, shelf: Shelf, old: str
) -> None:
    cluster.has_tags = False
    new, bad = world.write_version(b"new"), world.write_version(b"bad")
    deploy(world, backend, new)
    assert cluster.serving("late") == {new: 100}
    shelf.predicts = lambda version, value: value + (version == bad)
    fails(world, backend, bad, attempt="attempt-2")
    assert cluster.serving("late") == {new: 100}


def test_a_server_that_is_ill_is_rolled_back_and_tried_again(
    world: World, cluster: Cluster, backend: KServeBackend, old: str
) -> None:
    cluster.raises = 503
    new = world.write_version(b"new")
    error = fails(world, backend, new)
    assert isinstance(error, PredictorError)
    assert "503" in error.what and "the server is ill" in error.what
    assert cluster.serving("late") == {old: 100}
    cluster.raises = 0
    deploy(world, backend, new)
    assert cluster.serving("late") == {new: 100}


def test_the_first_version_that_fails_is_deleted(
    world: World, cluster: Cluster, backend: KServeBackend, shelf: Shelf
) -> None:
    shelf.predicts = lambda _, value: value + 1
    fails(world, backend, world.write_version(b"new"))
    assert cluster.services == {}


@pytest.mark.parametrize("code", [409, 429, 500, 503])
def test_an_api_that_is_busy_or_ill_can_be_tried_again(
    world: World, cluster: Cluster, backend: KServeBackend, old: str, code: int
) -> None:
    new = world.write_version(b"new")
    rollout = world.rollout(backend, new, serving=SERVING)
    percent = rollout.start()
    assert percent is not None
    cluster.failures = [code]
    with pytest.raises(PredictorError, match=f"answered {code}"):
        rollout.begin(percent)
    assert cluster.serving("late") == {old: 100}
    deploy(world, backend, new)
    assert cluster.serving("late") == {new: 100}


def test_an_api_that_stays_ill_is_said_and_the_next_try_takes_it_up(
    world: World, cluster: Cluster, backend: KServeBackend, old: str
) -> None:
    new = world.write_version(b"new")
    rollout = world.rollout(backend, new, serving=SERVING)
    percent = rollout.start()
    assert percent is not None
    cluster.failures = [500] * 4
    with pytest.raises(PredictorError, match="could not be put back"):
        rollout.begin(percent)
    assert world.store.state().trying is not None
    cluster.failures = []
    deploy(world, backend, new)
    assert cluster.serving("late") == {new: 100}


def test_an_api_that_is_ill_while_a_version_gets_ready_is_waited_for(
    world: World, cluster: Cluster, backend: KServeBackend, old: str
) -> None:
    new = world.write_version(b"new")
    rollout = world.rollout(backend, new, serving=SERVING)
    percent = rollout.start()
    assert percent is not None
    rollout.begin(percent)
    cluster.failures = [500, 429, 503]
    rollout.await_ready(percent)
    assert cluster.failures == []


@pytest.mark.parametrize("code", [401, 403, 422])
def test_what_the_api_refuses_no_retry_mends(
    world: World, cluster: Cluster, backend: KServeBackend, old: str, code: int
) -> None:
    rollout = world.rollout(backend, world.write_version(b"new"), serving=SERVING)
    percent = rollout.start()
    assert percent is not None
    cluster.failures = [code]
    with pytest.raises(DeployError, match=f"answered {code}"):
        rollout.begin(percent)
    assert cluster.serving("late") == {old: 100}


def test_a_misspelt_field_is_refused_and_not_dropped(
    world: World, cluster: Cluster, backend: KServeBackend, old: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from provender.serving_backends import kserve as module

    make = module.inference_service

    def misspelt(*arguments: Any) -> dict[str, Any]:
        document = make(*arguments)
        predictor = document["spec"]["predictor"]
        if predictor.get("canaryTrafficPercent"):
            predictor["canaryTraficPercent"] = predictor.pop("canaryTrafficPercent")
        return document

    monkeypatch.setattr(module, "inference_service", misspelt)
    error = fails(world, backend, world.write_version(b"new"))
    assert "canaryTraficPercent" in error.what
    assert cluster.serving("late") == {old: 100}


def test_a_cluster_that_is_away(world: World, backend: KServeBackend, cluster: Cluster, old: str) -> None:
    away = KServeBackend(
        world.project.settings,
        InferenceServices(ApiClient(Configuration(host="http://127.0.0.1:1")), "models"),
    )
    error = fails(world, away, world.write_version(b"new"))
    assert isinstance(error, PredictorError)
    assert "cannot be reached" in error.what


def test_another_namespace_or_no_kserve_is_said(
    world: World, cluster: Cluster, backend: KServeBackend
) -> None:
    cluster.namespace = "elsewhere"
    error = fails(world, backend, world.write_version(b"new"))
    assert "does not know InferenceServices, or the namespace models" in error.what


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"image": ""}, "provender.serving.image is not set"),
        ({"redis_secret": ""}, "redis_secret is not set"),
    ],
)
def test_settings_that_lack_something_are_said_before_anything_is_sent(
    world: World, cluster: Cluster, backend: KServeBackend, change: dict[str, str], said: str
) -> None:
    serving = world.project.settings.serving.model_copy(update=change)
    settings = world.project.settings.model_copy(update={"serving": serving})
    incomplete = KServeBackend(settings, backend._services)
    error = fails(world, incomplete, world.write_version(b"new"))
    assert said in error.what
    assert cluster.services == {}


def test_replicas_and_percentages_that_kserves_schema_lets_through_are_refused(
    world: World, cluster: Cluster, backend: KServeBackend
) -> None:
    rollout: Rollout = world.rollout(backend, world.write_version(b"new"), serving=SERVING)
    wrong = SERVING.model_copy(update={"replicas": Replicas.model_construct(min=3, max=1)})
    served = type(rollout.served)("late", rollout.version, rollout.served.pointer, wrong)
    with pytest.raises(DeployError, match="canaryTrafficPercent 101 is not between 0 and 100; minReplicas 3"):
        backend.stage(served, 101)
    assert cluster.services == {}


def test_a_person_rolls_back(world: World, cluster: Cluster, backend: KServeBackend, old: str) -> None:
    new = world.write_version(b"new")
    deploy(world, backend, new)
    done = roll_back(world.project.settings, backend, "late", SERVING, to=None, attempt="cli")
    assert done.version == old
    assert cluster.serving("late") == {old: 100}


def test_a_deployment_whose_task_was_killed_is_taken_up_at_its_step(
    world: World, cluster: Cluster, backend: KServeBackend, old: str
) -> None:
    new = world.write_version(b"new")
    rollout = world.rollout(backend, new, serving=SERVING)
    for percent in (10, 50):
        rollout.start() if percent == 10 else None
        rollout.begin(percent)
        rollout.await_ready(percent)
        if percent == 10:
            rollout.finish(percent)
    again = world.rollout(backend, new, serving=SERVING)
    assert again.start() == 50
    run(again)
    assert cluster.serving("late") == {new: 100}
    assert len(cluster.services["late"].revisions) == 2

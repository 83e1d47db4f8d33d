"""The gate and the deployment as Airflow calls them: a real store, a real hook, a cluster that answers."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from airflow.sdk import DAG, BaseOperator
from airflow.sdk.exceptions import AirflowSkipException, DownstreamTasksSkipped, TaskDeferred

from provender.errors import DeployError, SpecError
from provender.model_registry.deployments import Action
from provender_airflow.operators.models import DeployModelOperator, GateOperator
from provender_airflow.triggers.kserve import ModelReadyTrigger, deadline_after
from tests.kserve.cluster import Cluster, running
from tests.models.shelf import Shelf, answer_document
from tests.models.world import KEY, World, make_world
from tests.servers import RedisServer

pytestmark = [pytest.mark.airflow, pytest.mark.redis]

SOURCE = {
    "name": "flights",
    "owner": "travel",
    "cadence": "daily",
    "delay": "3h",
    "start": "2026-01-05",
    "raw": {"uri": "x/{partition}.csv"},
    "event_timestamp": {"column": "at"},
    "columns": [
        {"name": "carrier", "type": "STRING"},
        {"name": "at", "type": "TIMESTAMP"},
        {"name": "delay", "type": "DOUBLE"},
    ],
    "tables": [{"name": "carrier", "keys": ["carrier"]}],
}
VIEW = """
from feast import Entity, FeatureView
import provender

carrier = Entity(name="carrier", join_keys=["carrier"])
carrier_day = FeatureView(
    name="carrier_day",
    entities=[carrier],
    schema=provender.schema("flights"),
    source=provender.source("flights"),
)
"""
MODEL = {
    "name": "late",
    "owner": "travel",
    "entities": {"uri": "rows.parquet"},
    "label": "is_late",
    "features": ["carrier_day:delay"],
    "request": [{"name": "hour", "type": "INT32"}],
    "gate": [{"metric": "roc_auc", "min": 0.6}, {"metric": "roc_auc", "max_drop": 0.01}],
    "serving": {"canary": [10], "smoke_entities": 2, "timeout": "5s"},
}
SERVING = {"backend": "kserve", "namespace": "models", "image": "serving:1", "redis_secret": "redis"}


@pytest.fixture
def world(tmp_path: Path, redis_server: RedisServer) -> World:
    world = make_world(tmp_path, redis_server.address)
    repo = world.project.settings.repo
    settings = yaml.safe_load((repo / "feature_store.yaml").read_text())
    settings["provender"]["serving"] = SERVING
    (repo / "feature_store.yaml").write_text(yaml.safe_dump(settings))
    for folder, name, text in (
        ("sources", "flights.yaml", yaml.safe_dump(SOURCE)),
        ("views", "carrier.py", VIEW),
        ("models", "late.yaml", yaml.safe_dump(MODEL)),
    ):
        (repo / folder).mkdir()
        (repo / folder / name).write_text(text)
    return world


@pytest.fixture
def shelf(world: World) -> Shelf:
    return Shelf(world)


@pytest.fixture
def cluster(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    def predict(*asked: Any) -> dict[str, Any]:
        return answer_document(shelf, *asked)

    with running(Cluster(predict)) as cluster:
        kube_config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "clusters": [{"name": "test", "cluster": {"server": cluster.url}}],
            "users": [{"name": "test", "user": {"token": "t"}}],
        }
        connection = {"conn_type": "kubernetes", "extra": {"kube_config": json.dumps(kube_config)}}
        monkeypatch.setenv("AIRFLOW_CONN_KUBERNETES_DEFAULT", json.dumps(connection))
        yield cluster


class Run:
    """A run of ``train → gate → approval → deploy``, as far as its tasks look at it."""

    def __init__(self, world: World, run_id: str = "run-1", key: str = KEY) -> None:
        self.xcoms: dict[str, Any] = {}
        self.pushed: dict[str, Any] = {}
        common: dict[str, Any] = {"repo": str(world.project.settings.repo), "model": "late", "key": key}
        with DAG("model__late", schedule=None):
            self.gate = GateOperator(task_id="gate", **common)
            self.deploy = DeployModelOperator(task_id="deploy", **common)
            self.gate >> BaseOperator(task_id="approval") >> self.deploy
        ti = SimpleNamespace(dag_id="model__late", run_id=run_id, xcom_pull=self._pull, xcom_push=self._push)
        self.context: Any = {"ti": ti}

    def trained(self, version: str, baseline: str | None = None, **metrics: float) -> Run:
        measured = {"roc_auc": 0.7, **metrics}
        served = {"version": baseline, "metrics": {"roc_auc": 0.7}, "seen_test_rows": 0} if baseline else None
        result = {"version": version, "metrics": measured, "baseline": served, "test": {"rows": 100}}
        self.xcoms["train"] = result
        return self

    def judge(self) -> dict[str, Any]:
        return self.gate.execute(self.context)

    def go(self) -> dict[str, Any]:
        """The deployment, its triggers included."""
        step, kwargs = self.deploy.execute, {}
        while True:
            try:
                return step(self.context, **kwargs)
            except TaskDeferred as deferred:
                event = asyncio.run(first_event(deferred.trigger))
                step = getattr(self.deploy, deferred.method_name)
                kwargs = {"event": event, **(deferred.kwargs or {})}

    def _pull(self, task_ids: str) -> Any:
        return self.xcoms[task_ids]

    def _push(self, key: str, value: Any) -> None:
        self.pushed[key] = value


async def first_event(trigger: Any) -> dict[str, Any]:
    path, arguments = trigger.serialize()
    assert path == "provender_airflow.triggers.kserve.ModelReadyTrigger"
    async for event in ModelReadyTrigger(**json.loads(json.dumps(arguments))).run():
        return dict(event.payload)
    raise AssertionError("the trigger ended without an event")


def test_a_version_that_gets_through_is_compared_in_the_log(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    answer = Run(world).trained("b" * 16).judge()
    assert answer["accepted"] is True
    assert "| roc_auc | 0.7" in answer["table"]
    assert "accepted: every condition holds" in answer["table"]
    assert world.store.log.all() == []


def test_a_rejected_version_skips_what_follows_and_is_recorded_once(world: World) -> None:
    run = Run(world).trained("b" * 16, roc_auc=0.5)
    for _ in range(2):
        with pytest.raises(DownstreamTasksSkipped) as skipped:
            run.judge()
    assert skipped.value.tasks == ["approval", "deploy"]
    assert run.pushed["return_value"]["accepted"] is False
    (rejected,) = world.store.log.all()
    assert (rejected.action, rejected.version, rejected.key) == (Action.REJECT, "b" * 16, KEY)
    assert "roc_auc 0.5: at least 0.6" in rejected.reason
    assert world.store.decided_keys() == {KEY: "rejected"}


def test_a_gate_that_asks_for_an_unknown_metric_fails(world: World) -> None:
    run = Run(world).trained("b" * 16)
    run.xcoms["train"]["metrics"] = {"log_loss": 0.1}
    with pytest.raises(SpecError, match="'roc_auc', which the evaluation does not measure"):
        run.judge()


def test_a_deployment_is_deferred_until_the_version_is_ready(world: World, cluster: Cluster) -> None:
    cluster.ready_after = 2
    old, new = world.write_version(b"old"), world.write_version(b"new")
    Run(world, "run-1", "2026-03-08").trained(old).go()
    done = Run(world, "run-2").trained(new).go()
    assert (done["action"], done["version"], done["previous"], done["key"]) == ("deploy", new, old, KEY)
    assert done["smoke"]["predictions"] == done["smoke"]["predictions_offline"]
    assert "serving" not in done
    assert cluster.serving("late") == {new: 100}


def test_a_deployment_that_is_run_again_changes_nothing(world: World, cluster: Cluster) -> None:
    run = Run(world).trained(world.write_version(b"old"))
    first = run.go()
    assert run.go() == first
    assert [each.action for each in world.store.log.all()].count(Action.DEPLOY) == 1


def test_a_version_that_answers_otherwise_fails_the_task_and_the_old_one_serves(
    world: World, cluster: Cluster, shelf: Shelf
) -> None:
    old, new = world.write_version(b"old"), world.write_version(b"new")
    Run(world, "run-1", "2026-03-08").trained(old).go()
    shelf.predicts = lambda version, value: value + (version == new)
    with pytest.raises(DeployError, match=f"version {new} did not pass"):
        Run(world, "run-2").trained(new).go()
    assert cluster.serving("late") == {old: 100}


def test_a_version_that_is_never_ready_fails_the_task(world: World, cluster: Cluster) -> None:
    repo = world.project.settings.repo
    (repo / "models" / "late.yaml").write_text(
        yaml.safe_dump({**MODEL, "serving": {**MODEL["serving"], "timeout": "500ms"}})  # type: ignore[dict-item]
    )
    cluster.ready_after = -1
    with pytest.raises(DeployError, match="did not become ready within 0:00:00.500000: .*is starting"):
        Run(world).trained(world.write_version(b"new")).go()
    assert cluster.services == {}
    assert world.store.state().trying is None


def test_a_version_for_an_older_key_is_skipped_with_the_reason(world: World, cluster: Cluster) -> None:
    Run(world, "run-1").trained(world.write_version(b"new")).go()
    with pytest.raises(AirflowSkipException, match=f"trained for {KEY}, serves: newer than 2026-03-08"):
        Run(world, "run-2", "2026-03-08").trained(world.write_version(b"old")).go()


def test_a_trigger_ends_when_somebody_else_deployed(world: World, cluster: Cluster) -> None:
    trigger = ModelReadyTrigger(
        str(world.project.settings.repo), "late", "b" * 16, 10, "kubernetes_default", deadline_after(60)
    )
    event = asyncio.run(first_event(trigger))
    assert event["state"] == "failed"
    assert "somebody else" in event["reason"]


def test_a_trigger_waits_out_an_api_that_is_ill(world: World, cluster: Cluster) -> None:
    run = Run(world).trained(world.write_version(b"new"))
    cluster.ready_after = 3
    with pytest.raises(TaskDeferred) as deferred:
        run.deploy.execute(run.context)
    cluster.failures = [500]
    assert asyncio.run(first_event(deferred.value.trigger))["state"] == "ready"

"""The model loop in a real Airflow: keys arrive, one model is deployed; tasks die, and nothing is half done."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from provender.local import predictor
from provender.model_registry.deployments import Action
from provender.model_registry.store import ModelStore
from provender.serving_backends.client import PredictorClient
from provender.specs.source import EVENT_TIMESTAMP
from provender.storage import storage_at
from tests.airflow import stack as stacks
from tests.airflow.stack import Stack
from tests.engine import JARS

pytestmark = [pytest.mark.airflow, pytest.mark.spark, pytest.mark.slow]

MODEL, DAG = "flight_delay", "model__flight_delay"
HISTORY = ("2013-11-24", "2013-11-30")
DAYS = ["2013-12-01", "2013-12-02", "2013-12-03"]
NEWEST = DAYS[-1]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A week of history, then the model's DAG is switched on, then three days by ``airflow backfill create``."""
    running = stacks.start(tmp_path_factory.mktemp("checkout"), JARS)
    try:
        _make_small(running.settings.repo / "models" / f"{MODEL}.yaml")
        running.wait(
            "the model's DAG", lambda: running.api.call("GET", f"/dags?dag_id_pattern={DAG}")["dags"]
        )
        for source in ("flights", "weather"):
            running.run(source, start=HISTORY[0], end=HISTORY[1])
        running.api.switch_on(DAG)
        for source in ("flights", "weather"):
            running.backfill(source, DAYS[0], NEWEST)
        running.wait(f"a model for {NEWEST}", lambda: NEWEST in store(running).decided_keys())
        yield running
    finally:
        stacks.stop(running)


def _make_small(path: Path) -> None:
    text = path.read_text()
    for old, new in (
        ("window: 330d", "window: 10d"),
        ("max_iter: 200", "max_iter: 20"),
        ("min: 0.6", "min: 0.4"),
    ):
        assert old in text
        text = text.replace(old, new)
    path.write_text(text.replace("max_drop: 0.01", "max_drop: 0.3").replace("max: 0.7", "max: 5"))


def store(stack: Stack) -> ModelStore:
    return ModelStore(storage_at(stack.settings.storage_root), MODEL)


def training_runs(stack: Stack) -> list[str]:
    """Names of all Kubeflow runs that were started."""
    return sorted(
        path.name for path in (stack.settings.state_dir / "jobs").glob("*model-flight-delay-train-*")
    )


def states(stack: Stack, run_id: str) -> dict[str, str | None]:
    return stack.api.task_states(DAG, run_id)


def by_hand(stack: Stack) -> str:
    return stack.api.trigger(DAG, partition_key=NEWEST)


def test_many_keys_train_one_model_and_the_others_say_why_not(stack: Stack) -> None:
    runs = [run for run in stack.api.runs(DAG) if run["run_type"] not in ("manual", "backfill")]
    for run in runs:
        assert stack.end_of(DAG, run["dag_run_id"]) == "success"
    assert sorted(run["partition_key"] for run in runs) == DAYS
    chosen = {run["partition_key"]: states(stack, run["dag_run_id"])["choose_key"] for run in runs}
    assert chosen == {DAYS[0]: "skipped", DAYS[1]: "skipped", NEWEST: "success"}
    assert next(each.key for each in store(stack).log.all() if each.action is Action.DEPLOY) == NEWEST


def test_the_model_answers_and_its_answer_is_the_offline_one(stack: Stack) -> None:
    serving = store(stack).state().serving
    assert serving is not None
    smoke = serving.smoke
    instances = [{**row, EVENT_TIMESTAMP: smoke["at"]} for row in smoke["entities"]]
    answer = PredictorClient(predictor.url(stack.settings), MODEL).predict(instances)
    assert answer.version == serving.version
    assert list(answer.predictions) == pytest.approx(smoke["predictions_offline"], abs=1e-9)


def test_a_backfill_of_the_model_trains_for_the_newest_key_only(stack: Stack) -> None:
    days = ("--from-date", DAYS[1], "--to-date", NEWEST)
    stack.airflow("backfill", "create", "--dag-id", DAG, *days, "--reprocess-behavior", "completed")

    def ended() -> dict[str, str] | None:
        runs = [run for run in stack.api.runs(DAG) if run["run_type"] == "backfill"]
        keys = {run["partition_key"]: run["state"] for run in runs}
        return keys if len(keys) == 2 and set(keys.values()) == {"success"} else None

    assert sorted(stack.wait("both runs", ended)) == DAYS[1:]
    runs = {
        run["partition_key"]: run["dag_run_id"]
        for run in stack.api.runs(DAG)
        if run["run_type"] == "backfill"
    }
    assert states(stack, runs[DAYS[1]])["choose_key"] == "skipped"
    assert states(stack, runs[NEWEST])["deploy"] in ("success", "skipped")


@pytest.mark.parametrize("task_id", ["training_set", "train", "gate", "deploy"])
def test_a_task_that_is_killed_is_finished_by_the_next_try(stack: Stack, task_id: str) -> None:
    before = set(training_runs(stack))
    run_id = by_hand(stack)
    stack.task_process(DAG, run_id, task_id).kill()
    assert stack.end_of(DAG, run_id) == "success", states(stack, run_id)
    assert states(stack, run_id)["deploy"] in ("success", "skipped")
    started = set(training_runs(stack)) - before
    assert len(started) == 1
    submissions = list((stack.settings.state_dir / "jobs" / started.pop()).iterdir())
    assert len(submissions) == 1
    state = store(stack).state()
    assert state.trying is None
    assert {model["name"]: model["version"] for model in predictor.models(stack.settings)} == {
        MODEL: state.version
    }


def test_a_model_that_is_rejected_is_a_skipped_deploy(stack: Stack) -> None:
    path = stack.settings.repo / "models" / f"{MODEL}.yaml"
    text = path.read_text()
    serving = store(stack).state().version
    path.write_text(text.replace("min: 0.4", "min: 0.99"))
    try:
        run_id = by_hand(stack)
        assert stack.end_of(DAG, run_id) == "success"
        assert (states(stack, run_id)["gate"], states(stack, run_id)["deploy"]) == ("success", "skipped")
        gate = stack.api.returned(DAG, run_id, "gate")
        assert not gate["accepted"]
        assert "roc_auc" in gate["reason"]
        assert store(stack).log.all()[-1].action is Action.REJECT
        assert store(stack).state().version == serving
    finally:
        path.write_text(text)

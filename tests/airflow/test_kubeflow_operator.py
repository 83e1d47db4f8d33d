"""The operator and its trigger as Airflow calls them: real processes in the place of training, a real HTTP API."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred

from provender.errors import KubeflowError, ProvenderError, SetupError, StorageError, TrainingSetError
from provender.local import jobs
from provender.model_registry.runs import write_result
from provender.model_registry.store import ModelStore
from provender.settings import Settings
from provender.specs.models import ModelCatalog, ModelSpec
from provender.storage import storage_at
from provender_airflow.kubeflow.backend import TRAINING_FOLDER_VARIABLE, JobState, RunHandle
from provender_airflow.kubeflow.local import LocalBackend
from provender_airflow.operators.kubeflow import LINK_KEY, KubeflowRunOperator
from provender_airflow.triggers.kubeflow import KubeflowRunTrigger
from tests.airflow.kubeflow_api import KubeflowApi, serving
from tests.models.artifacts import write_artifact

pytestmark = pytest.mark.airflow
BOUND_SECONDS = 20

RUNNER = '''
"""Ends as the file `behavior` beside it says."""
import argparse, json, sys, time
from pathlib import Path
from provender.errors import TrainingSetError
from provender.failures import Failure, write_failure
from provender.model_registry.runs import write_result
parser = argparse.ArgumentParser()
parser.add_argument("--arguments", type=json.loads)
parser.add_argument("--work")
given = parser.parse_args()
here = Path(__file__).parents[1]
with (here / "submissions").open("a") as file:
    file.write(json.dumps(given.arguments) + "\\n")
behavior = (here / "behavior").read_text()
print("started", behavior, flush=True)
while behavior == "wait":
    time.sleep(0.05)
    behavior = (here / "behavior").read_text()
if behavior == "refuse":
    error = TrainingSetError("the data is not what the lockfile says")
    print(error, file=sys.stderr)
    write_failure(given.arguments["output_uri"], Failure(given.arguments["run_name"], error))
    sys.exit(3)
if behavior == "die":
    sys.exit(137)
if behavior != "silent":
    run = given.arguments["run_name"]
    write_result(given.arguments["output_uri"], run, {"version": "v1", "metrics": {"roc_auc": 0.7}})
'''

SPEC = {
    "name": "late",
    "owner": "ml",
    "entities": {"uri": "rows.parquet"},
    "label": "is_late",
    "features": ["carrier_day:delay"],
    "training": {"test_share": 0.3, "parameters": {"max_iter": 10}},
}


@pytest.fixture(autouse=True)
def model(monkeypatch: pytest.MonkeyPatch) -> ModelSpec:
    """One model; its views are not what this is about."""
    spec = ModelSpec.model_validate(SPEC)
    monkeypatch.setattr(ModelCatalog, "load", lambda _repo: SimpleNamespace(model=lambda _name: spec))
    return spec


@pytest.fixture
def training(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A training environment whose pipeline does as its file ``behavior`` says."""
    folder = tmp_path / "training"
    package = folder / "provender_training"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "run.py").write_text(RUNNER)
    (folder / ".venv" / "bin").mkdir(parents=True)
    python = folder / ".venv" / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    (folder / "behavior").write_text("end")
    monkeypatch.setenv(TRAINING_FOLDER_VARIABLE, str(folder))
    yield folder
    jobs.stop_all(settings.state_dir)


def operator(settings: Settings, **changes: Any) -> KubeflowRunOperator:
    given = {"task_id": "train", "repo": str(settings.repo), "model": "late", "training_set": "file:///a/set"}
    return KubeflowRunOperator(**{**given, "key": "2026-03-01", **changes})


def context(pushed: dict[str, Any] | None = None) -> Any:
    store = {} if pushed is None else pushed
    ti = SimpleNamespace(
        dag_id="model__late",
        task_id="train",
        run_id="run-1",
        xcom_push=lambda key, value: store.update({key: value}),
    )
    return {"ti": ti}


def submissions(training: Path) -> list[dict[str, Any]]:
    file = training / "submissions"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def until(holds: Callable[[], Any]) -> None:
    deadline = time.monotonic() + BOUND_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def deferred(task: KubeflowRunOperator) -> TaskDeferred:
    with pytest.raises(TaskDeferred) as found:
        task.execute(context())
    return found.value


def event_of(trigger: Any) -> dict[str, Any]:
    async def first() -> dict[str, Any]:
        async for event in trigger.run():
            return dict(event.payload)
        raise AssertionError("no event")

    trigger.poll_seconds = 0.05
    return asyncio.run(asyncio.wait_for(first(), BOUND_SECONDS))


def through(task: KubeflowRunOperator) -> dict[str, Any]:
    """The task as Airflow runs it: deferred, awaited by the trigger, resumed."""
    try:
        return task.execute(context())
    except TaskDeferred as waits:
        arguments = dict(waits.kwargs or {})
        return task.resume(context(), event_of(waits.trigger), **arguments)


def test_a_run_ends_in_its_result(settings: Settings, training: Path) -> None:
    result = through(operator(settings))
    assert (result["version"], result["metrics"]) == ("v1", {"roc_auc": 0.7})
    assert (result["key"], result["link"]) == ("2026-03-01", "")
    (given,) = submissions(training)
    assert given["training_set_uri"] == "file:///a/set"
    assert (given["test_share"], given["parameters"], given["mode"]) == (
        0.3,
        {"max_iter": 10},
        "classification",
    )
    assert given["baseline_uri"] == ""


def test_the_serving_version_is_what_it_is_compared_with(
    settings: Settings, training: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = storage_at(settings.storage_root)
    version = write_artifact(storage)
    monkeypatch.setattr(ModelStore, "serving_artifact", lambda store: store.artifact(version))
    through(operator(settings))
    assert submissions(training)[0]["baseline_uri"] == storage.uri(f"models/late/versions/{version}")


def test_a_task_that_was_killed_finds_its_run(settings: Settings, training: Path) -> None:
    (training / "behavior").write_text("wait")
    first = deferred(operator(settings))
    second = deferred(operator(settings))
    assert first.trigger.serialize() == second.trigger.serialize()
    (training / "behavior").write_text("end")
    assert through(operator(settings))["version"] == "v1"
    assert len(submissions(training)) == 1


def test_other_parameters_start_another_run(settings: Settings, training: Path) -> None:
    through(operator(settings))
    through(operator(settings, training_set="file:///another/set"))
    assert len({given["run_name"] for given in submissions(training)}) == 2


def test_a_failed_step_fails_the_task_with_its_own_error(settings: Settings, training: Path) -> None:
    (training / "behavior").write_text("refuse")
    with pytest.raises(TrainingSetError, match="not what the lockfile says"):
        through(operator(settings))
    (training / "behavior").write_text("end")
    assert through(operator(settings))["version"] == "v1"


def test_the_log_of_the_run_is_in_the_task_log(
    settings: Settings, training: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (training / "behavior").write_text("refuse")
    task, said = operator(settings, deferrable=False), list[str]()

    def say(text: str, *arguments: Any) -> None:
        said.append(text % arguments)

    monkeypatch.setattr(type(task), "log", SimpleNamespace(info=say, warning=say))
    with pytest.raises(TrainingSetError):
        task.execute(context())
    assert "started refuse" in said
    assert said[-1] == "the data is not what the lockfile says"


def test_a_run_that_dies_is_a_case_for_a_retry(settings: Settings, training: Path) -> None:
    (training / "behavior").write_text("die")
    with pytest.raises(KubeflowError, match="without a report"):
        through(operator(settings))


def test_a_run_without_a_result_is_not_believed(settings: Settings, training: Path) -> None:
    (training / "behavior").write_text("silent")
    with pytest.raises(StorageError, match="left no result"):
        through(operator(settings))


def test_a_person_who_clears_the_waiting_task_ends_the_run(settings: Settings, training: Path) -> None:
    (training / "behavior").write_text("wait")
    waits = deferred(operator(settings))
    asyncio.run(waits.trigger.on_kill())
    handle = RunHandle(**waits.trigger.serialize()[1]["handle"])
    backend = LocalBackend(settings)
    until(lambda: backend.poll(handle).is_final)
    assert backend.poll(handle).state is JobState.CANCELLED


def test_a_triggerer_that_stops_leaves_the_run_alone(settings: Settings, training: Path) -> None:
    (training / "behavior").write_text("wait")
    waits = deferred(operator(settings))

    async def stop_while_waiting() -> None:
        waiting = asyncio.ensure_future(anext(aiter(waits.trigger.run())))
        await asyncio.sleep(0.2)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

    asyncio.run(stop_while_waiting())
    (training / "behavior").write_text("end")
    kind, arguments = waits.trigger.serialize()
    assert kind.endswith("KubeflowRunTrigger")
    assert event_of(KubeflowRunTrigger(**arguments)) == {"state": "succeeded"}


def test_a_killed_task_that_does_not_defer_ends_its_run(settings: Settings, training: Path) -> None:
    task = operator(settings, deferrable=False)
    task.on_kill()
    (training / "behavior").write_text("wait")
    with pytest.raises(ProvenderError, match="cancelled"):
        task.execute(context())


def test_an_environment_that_is_not_installed_is_one_command_away(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TRAINING_FOLDER_VARIABLE, str(tmp_path / "nothing"))
    with pytest.raises(SetupError, match="not installed") as error:
        operator(settings).execute(context())
    assert error.value.remedy == "uv sync --frozen --project training"


@pytest.fixture
def api(settings: Settings) -> Iterator[KubeflowApi]:
    """The settings file names a Kubeflow API."""
    with serving() as found:
        file = settings.repo / "feature_store.yaml"
        kubeflow = f"kubeflow: {{backend: api, host: '{found.url}', namespace: team}}"
        file.write_text(file.read_text().replace("provender: {", f"provender: {{{kubeflow}, "))
        yield found


def ended_well(api: KubeflowApi) -> None:
    (run,) = api.runs.values()
    parameters = run["runtime_config"]["parameters"]
    write_result(parameters["output_uri"], parameters["run_name"], {"version": "v2", "metrics": {}})
    api.ends(run["run_id"], "SUCCEEDED")


def test_on_a_cluster_the_task_waits_and_links_to_the_run(settings: Settings, api: KubeflowApi) -> None:
    pushed: dict[str, Any] = {}
    with pytest.raises(TaskDeferred) as found:
        operator(settings).execute(context(pushed))
    (run_id,) = api.runs
    assert pushed == {LINK_KEY: f"{api.url}/#/runs/details/{run_id}"}
    ended_well(api)
    assert event_of(found.value.trigger) == {"state": "succeeded"}
    result = operator(settings).resume(context(), {"state": "succeeded"}, **(found.value.kwargs or {}))
    assert (result["version"], result["link"]) == ("v2", pushed[LINK_KEY])


def test_on_a_cluster_a_later_try_makes_no_second_run(settings: Settings, api: KubeflowApi) -> None:
    deferred(operator(settings))
    deferred(operator(settings))
    ended_well(api)
    assert operator(settings).execute(context())["version"] == "v2"
    assert len(api.runs) == 1


def test_a_result_that_is_gone_is_made_again(settings: Settings, api: KubeflowApi) -> None:
    deferred(operator(settings))
    (run_id,) = api.runs
    api.ends(run_id, "SUCCEEDED")
    deferred(operator(settings))
    assert len(api.runs) == 2


def test_a_short_outage_is_waited_out(settings: Settings, api: KubeflowApi) -> None:
    waits = deferred(operator(settings))
    ended_well(api)
    api.fail = [503, 429, 500]
    assert event_of(waits.trigger) == {"state": "succeeded"}


def test_an_outage_that_lasts_fails_the_task(
    settings: Settings, api: KubeflowApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provender_airflow.triggers.kubeflow.PATIENCE_SECONDS", 0.1)
    waits = deferred(operator(settings))
    api.fail = [503] * 1000
    event = event_of(waits.trigger)
    with pytest.raises(KubeflowError, match="503"):
        operator(settings).resume(context(), event, **(waits.kwargs or {}))


def test_a_token_that_is_refused_is_heard_of_at_once(settings: Settings, api: KubeflowApi) -> None:
    waits = deferred(operator(settings))
    api.fail = [403]
    assert event_of(waits.trigger)["error"]["kind"] == "SettingsError"


def test_on_a_cluster_clearing_the_waiting_task_terminates_the_run(
    settings: Settings, api: KubeflowApi
) -> None:
    waits = deferred(operator(settings))
    asyncio.run(waits.trigger.on_kill())
    assert [run["state"] for run in api.runs.values()] == ["CANCELING"]


def test_the_tasks_time_ends_the_run(settings: Settings, api: KubeflowApi) -> None:
    waits = deferred(operator(settings, execution_timeout=timedelta(seconds=0.2)))
    event = event_of(waits.trigger)
    with pytest.raises(KubeflowError, match="did not end in the task's time"):
        operator(settings).resume(context(), event, **(waits.kwargs or {}))
    assert [run["state"] for run in api.runs.values()] == ["CANCELING"]


def test_a_handle_survives_the_way_through_airflows_database(settings: Settings) -> None:
    handle = RunHandle("run", "file:///models/late", "reference")
    _, arguments = KubeflowRunTrigger(str(settings.repo), asdict(handle)).serialize()
    assert RunHandle(**json.loads(json.dumps(arguments))["handle"]) == handle

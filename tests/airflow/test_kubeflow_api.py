"""The backend of Kubeflow Pipelines, with an HTTP server that keeps runs as the real one does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from provender.errors import (
    KubeflowError,
    ProvenderError,
    SettingsError,
    SetupError,
    TerminalError,
    TrainingSetError,
    TransientError,
)
from provender.failures import Failure, write_failure
from provender.settings import KubeflowSettings, Settings
from provender_airflow.kubeflow.api import PIPELINE, ApiBackend
from provender_airflow.kubeflow.backend import (
    TRAINING_FOLDER_VARIABLE,
    JobState,
    TrainingRun,
    training_folder,
    training_run,
)
from tests.airflow.kubeflow_api import KubeflowApi, serving

pytestmark = pytest.mark.airflow


@pytest.fixture
def api() -> Iterator[KubeflowApi]:
    with serving() as found:
        yield found


def backend(settings: Settings, api: KubeflowApi, **changes: Any) -> ApiBackend:
    kubeflow = KubeflowSettings(backend="api", host=api.url, namespace="team", **changes)
    return ApiBackend(settings.model_copy(update={"kubeflow": kubeflow}))


def a_run(settings: Settings, **parameters: Any) -> TrainingRun:
    given = {"model_name": "late", "training_set_uri": "file:///a/set", **parameters}
    return training_run(f"{settings.storage_root}/models/late", given, "model__late", "train", "run-1")


def test_a_run_carries_the_compiled_pipeline_and_its_parameters(settings: Settings, api: KubeflowApi) -> None:
    run = a_run(settings)
    handle = backend(settings, api, pipeline_root="gs://bucket/root").submit(run)
    made = api.runs[handle.reference]
    spec, platform = yaml.safe_load_all((training_folder() / PIPELINE).read_text())
    assert made["pipeline_spec"] == {"pipeline_spec": spec, "platform_spec": platform}
    assert made["runtime_config"] == {"parameters": dict(run.parameters), "pipeline_root": "gs://bucket/root"}
    assert made["display_name"] == run.name == run.parameters["run_name"]
    assert api.experiments[made["experiment_id"]]["namespace"] == "team"


def test_image_claim_and_secret_come_from_the_settings(settings: Settings, api: KubeflowApi) -> None:
    chosen = {"image": "registry/training:1", "workspace_claim": "claim", "service_account_secret": "key"}
    handle = backend(settings, api, **chosen).submit(a_run(settings))
    made = api.runs[handle.reference]
    executors = made["pipeline_spec"]["pipeline_spec"]["deploymentSpec"]["executors"].values()
    assert {each["container"]["image"] for each in executors} == {"registry/training:1"}
    parameters = made["runtime_config"]["parameters"]
    assert (parameters["workspace_claim"], parameters["service_account_secret"]) == ("claim", "key")


def test_the_experiment_is_made_once(settings: Settings, api: KubeflowApi) -> None:
    asked = backend(settings, api)
    asked.submit(a_run(settings))
    asked.submit(a_run(settings, test_share=0.3))
    assert [each["display_name"] for each in api.experiments.values()] == ["provender"]


def test_a_server_for_one_user_is_not_asked_for_a_namespace(settings: Settings) -> None:
    with serving(KubeflowApi(multi_user=False)) as api:
        asked = backend(settings, api)
        handle = asked.submit(a_run(settings))
        assert asked.find(a_run(settings)) == handle


def test_other_parameters_are_another_run(settings: Settings) -> None:
    assert a_run(settings).name == a_run(settings).name
    assert a_run(settings).name != a_run(settings, test_share=0.3).name


@pytest.mark.parametrize("state", ["PENDING", "RUNNING", "PAUSED", "SUCCEEDED"])
def test_a_later_try_finds_the_run(settings: Settings, api: KubeflowApi, state: str) -> None:
    handle = backend(settings, api).submit(a_run(settings))
    api.runs[handle.reference]["state"] = state
    assert backend(settings, api).find(a_run(settings)) == handle


@pytest.mark.parametrize("state", ["FAILED", "CANCELED", "SKIPPED"])
def test_an_attempt_that_came_to_nothing_is_not_offered(
    settings: Settings, api: KubeflowApi, state: str
) -> None:
    handle = backend(settings, api).submit(a_run(settings))
    api.runs[handle.reference]["state"] = state
    assert backend(settings, api).find(a_run(settings)) is None


def test_a_run_that_is_being_ended_is_waited_for(settings: Settings, api: KubeflowApi) -> None:
    asked = backend(settings, api)
    asked.cancel(asked.submit(a_run(settings)))
    with pytest.raises(KubeflowError, match="being ended"):
        asked.find(a_run(settings))


def test_the_newest_of_many_attempts_counts_on_whatever_page(settings: Settings, api: KubeflowApi) -> None:
    asked = backend(settings, api)
    api.page_limit = 2
    handles = [asked.submit(a_run(settings)) for _ in range(5)]
    asked.submit(a_run(settings, test_share=0.5))
    assert asked.find(a_run(settings)) == handles[-1]


def test_a_run_is_ended_once_and_one_that_is_gone_is_no_error(settings: Settings, api: KubeflowApi) -> None:
    asked = backend(settings, api)
    handle = asked.submit(a_run(settings))
    asked.cancel(handle)
    assert api.runs[handle.reference]["state"] == "CANCELING"
    assert asked.poll(handle).state is JobState.RUNNING
    api.ends(handle.reference, "CANCELED")
    asked.cancel(handle)
    del api.runs[handle.reference]
    asked.cancel(handle)
    assert sum(call.endswith(":terminate") for call in api.calls) == 1


def test_a_failed_run_raises_what_its_step_reported(settings: Settings, api: KubeflowApi) -> None:
    asked, run = backend(settings, api), a_run(settings)
    handle = asked.submit(run)
    reported = TrainingSetError("the data is not what the lockfile says", remedy="build it again")
    write_failure(run.output_uri, Failure(run.name, reported, "load", "Traceback\nlast line"))
    api.ends(handle.reference, "FAILED", {"display_name": "load", "state": "FAILED", "pod_name": "pod-1"})
    api.logs["pod-1"] = "first\nsecond"
    error = asked.poll(handle).error
    assert isinstance(error, TrainingSetError)
    assert error.remedy == "build it again"
    log = asked.log(handle)
    assert log[0] == "load: FAILED"
    assert {"last line", "second"} <= set(log)


def test_a_report_of_an_earlier_attempt_is_forgotten(settings: Settings, api: KubeflowApi) -> None:
    asked, run = backend(settings, api), a_run(settings)
    write_failure(run.output_uri, Failure(run.name, TrainingSetError("old"), "load"))
    handle = asked.submit(run)
    error = {"code": 2, "message": "Error (exit code 137): OOMKilled"}
    api.ends(handle.reference, "FAILED", {"display_name": "train", "state": "FAILED", "error": error})
    found = asked.poll(handle).error
    assert isinstance(found, KubeflowError)
    assert "train: Error (exit code 137): OOMKilled" in str(found)
    assert handle.reference in str(found)


def test_a_log_that_is_gone_says_so(settings: Settings, api: KubeflowApi) -> None:
    asked = backend(settings, api)
    handle = asked.submit(a_run(settings))
    api.ends(handle.reference, "FAILED", {"display_name": "load", "state": "FAILED", "pod_name": "pod-1"})
    assert "pods pod-1 not found" in asked.log(handle)[-1]


def test_a_run_that_was_deleted_is_tried_anew(settings: Settings, api: KubeflowApi) -> None:
    asked = backend(settings, api)
    handle = asked.submit(a_run(settings))
    del api.runs[handle.reference]
    status = asked.poll(handle)
    assert status.state is JobState.FAILED
    assert isinstance(status.error, TransientError)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (401, SettingsError),
        (403, SettingsError),
        (409, TerminalError),
        (429, KubeflowError),
        (500, KubeflowError),
        (503, KubeflowError),
    ],
)
def test_each_answer_means_a_retry_or_not(
    settings: Settings, api: KubeflowApi, answer: int, kind: type[ProvenderError]
) -> None:
    asked = backend(settings, api)
    handle = asked.submit(a_run(settings))
    api.fail = [answer]
    with pytest.raises(kind, match=str(answer)):
        asked.poll(handle)


def test_what_the_server_refuses_is_said_in_its_words(settings: Settings, api: KubeflowApi) -> None:
    with pytest.raises(TerminalError, match=r"unknown parameters \['color'\]"):
        backend(settings, api).submit(a_run(settings, color="red"))


def test_a_server_that_is_away_is_a_case_for_a_retry(settings: Settings) -> None:
    with serving() as api:
        asked = backend(settings, api)
    with pytest.raises(KubeflowError, match="cannot be reached"):
        asked.submit(a_run(settings))


def test_the_token_is_read_for_each_call(settings: Settings, api: KubeflowApi, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first\n")
    api.token = "first"
    asked = backend(settings, api, token_file=file)
    handle = asked.submit(a_run(settings))
    api.token = "second"
    with pytest.raises(SettingsError, match="refused the credentials"):
        asked.poll(handle)
    file.write_text("second")
    assert asked.poll(handle).state is JobState.RUNNING


def test_a_token_that_is_not_there_is_named(settings: Settings, api: KubeflowApi, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no-token"):
        backend(settings, api, token_file=tmp_path / "no-token").submit(a_run(settings))


def test_an_address_that_is_not_there_is_asked_for(settings: Settings) -> None:
    kubeflow = KubeflowSettings(backend="api")
    with pytest.raises(SettingsError, match="no address"):
        ApiBackend(settings.model_copy(update={"kubeflow": kubeflow}))


def test_two_tries_at_once_make_one_experiment(settings: Settings, api: KubeflowApi) -> None:
    api.experiments["there"] = {"display_name": "provender", "experiment_id": "there", "created_at": "2026"}
    asked = backend(settings, api)
    hidden = api.experiments.pop("there")
    create = api._create_experiment

    def somebody_is_faster(body: dict[str, Any]) -> dict[str, Any]:
        api.experiments["there"] = hidden
        return create(body)

    api._create_experiment = somebody_is_faster  # type: ignore[method-assign]
    handle = asked.submit(a_run(settings))
    assert api.runs[handle.reference]["experiment_id"] == "there"


def test_a_pipeline_that_is_not_there_is_named(
    settings: Settings, api: KubeflowApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TRAINING_FOLDER_VARIABLE, str(tmp_path))
    with pytest.raises(SetupError, match="not there") as error:
        backend(settings, api).submit(a_run(settings))
    assert error.value.where == f"{tmp_path}/pipeline.yaml"

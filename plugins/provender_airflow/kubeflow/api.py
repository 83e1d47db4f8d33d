"""The training pipeline on a cluster, through the API of Kubeflow Pipelines 2.x.

A run's display name is the name of the work. Names are not unique there, so of several attempts the newest counts.
"""

from __future__ import annotations

import json
from functools import cached_property
from typing import Any

import kfp_server_api as kfp
import yaml

from provender.errors import KubeflowError, KubeflowNotFoundError, ProvenderError, SetupError
from provender.failures import error_of, forget_failure, read_failure
from provender.settings import Settings
from provender_airflow.kubeflow.backend import (
    TRAINING_FOLDER_VARIABLE,
    JobState,
    RunHandle,
    RunStatus,
    TrainingRun,
    training_folder,
)
from provender_airflow.kubeflow.calls import Caller

PIPELINE = "pipeline.yaml"
_STATES = {
    "SUCCEEDED": JobState.SUCCEEDED,
    "FAILED": JobState.FAILED,
    "SKIPPED": JobState.FAILED,
    "CANCELED": JobState.CANCELLED,
}
"""All others run still, or will."""
_PAGE = 100


class ApiBackend:
    """Creates runs with the compiled pipeline in them, and asks how they stand."""

    poll_seconds = 15.0

    def __init__(self, settings: Settings) -> None:
        self._settings = settings.kubeflow
        self._pipeline = training_folder(settings.repo) / PIPELINE
        self._caller = Caller(settings)

    def submit(self, run: TrainingRun) -> RunHandle:
        forget_failure(run.output_uri, run.name)
        experiment = self._experiment_id()
        body = kfp.V2beta1Run(
            display_name=run.name,
            experiment_id=experiment,
            description=f"model {run.parameters.get('model_name', '')}, started by provender",
            pipeline_spec=self._pipeline_spec(),
            runtime_config=kfp.V2beta1RuntimeConfig(
                parameters=self._parameters(run), pipeline_root=self._settings.pipeline_root or None
            ),
        )
        created = self._caller.call(
            "creating the run",
            lambda client, options: kfp.RunServiceApi(client).run_service_create_run(
                body, experiment_id=experiment, **options
            ),
        )
        return RunHandle(run.name, run.output_uri, created.run_id)

    def find(self, run: TrainingRun) -> RunHandle | None:
        newest = next(iter(self._runs(run.name)), None)
        if newest is None:
            return None
        if newest.state == "CANCELING":
            raise KubeflowError(
                f"run {newest.run_id} of an earlier try is being ended",
                where=self._caller.host,
                not_affected="whatever serves now",
                remedy="the next try starts a new one",
            )
        if _STATES.get(newest.state, JobState.RUNNING) in (JobState.RUNNING, JobState.SUCCEEDED):
            return RunHandle(run.name, run.output_uri, newest.run_id)
        return None

    def poll(self, handle: RunHandle) -> RunStatus:
        try:
            run = self._run(handle)
        except KubeflowNotFoundError as error:
            gone = KubeflowError(
                f"run {handle.reference} was deleted",
                where=self._caller.host,
                not_affected="whatever serves now, and all versions",
                remedy="the next try starts a new one",
            )
            gone.__cause__ = error
            return RunStatus(JobState.FAILED, gone)
        state = _STATES.get(run.state, JobState.RUNNING)
        return RunStatus(state, self._error(handle, run, state))

    def log(self, handle: RunHandle) -> list[str]:
        try:
            run = self._run(handle)
        except KubeflowNotFoundError:
            return []
        lines = [f"{task.display_name}: {task.state}" for task in _tasks(run)]
        failure = read_failure(handle.output_uri, handle.name)
        if failure is not None:
            lines += [f"step {failure.step}:", *failure.log.splitlines()]
        for task in _tasks(run):
            if task.state == "FAILED" and task.pod_name:
                lines += [f"log of pod {task.pod_name}:", *self._pod_log(handle, task.pod_name)]
        return lines

    def take(self, handle: RunHandle) -> None:
        """Nothing: a run that failed or was ended is not offered again."""

    def cancel(self, handle: RunHandle) -> None:
        if self.poll(handle).is_final:
            return
        self._caller.call(
            "ending the run",
            lambda client, options: kfp.RunServiceApi(client).run_service_terminate_run(
                handle.reference, **options
            ),
        )

    def link(self, handle: RunHandle) -> str:
        return f"{self._caller.host}/#/runs/details/{handle.reference}"

    def _run(self, handle: RunHandle) -> Any:
        return self._caller.call(
            "reading the run",
            lambda client, options: kfp.RunServiceApi(client).run_service_get_run(
                handle.reference, **options
            ),
        )

    def _runs(self, name: str) -> list[Any]:
        """Newest first."""
        predicate = {"key": "display_name", "operation": "EQUALS", "string_value": name}
        found: list[Any] = []
        token = ""
        while True:
            options = {
                "page_token": token,
                "page_size": _PAGE,
                "sort_by": "created_at desc",
                "filter": json.dumps({"predicates": [predicate]}),
                **self._in_namespace,
            }
            page = self._caller.call(
                "listing runs",
                lambda client, common, asked=options: kfp.RunServiceApi(client).run_service_list_runs(  # type: ignore[misc]
                    **asked, **common
                ),
            )
            found += page.runs or []
            token = page.next_page_token or ""
            if not token:
                return sorted(found, key=lambda run: run.created_at, reverse=True)

    @cached_property
    def _in_namespace(self) -> dict[str, str]:
        """A server for one user refuses to be asked for a namespace."""
        health = self._caller.call(
            "asking for its health",
            lambda client, options: kfp.HealthzServiceApi(client).healthz_service_get_healthz(**options),
        )
        return {"namespace": self._settings.namespace} if health.multi_user else {}

    def _experiment_id(self) -> str:
        found = self._find_experiment()
        if found:
            return found
        body = kfp.V2beta1Experiment(display_name=self._settings.experiment, **self._in_namespace)
        try:
            created = self._caller.call(
                "creating the experiment",
                lambda client, options: kfp.ExperimentServiceApi(client).experiment_service_create_experiment(
                    body, **options
                ),
            )
        except ProvenderError:
            # Somebody may have created it meanwhile, which the server calls a conflict.
            found = self._find_experiment()
            if not found:
                raise
            return found
        return str(created.experiment_id)

    def _find_experiment(self) -> str:
        predicate = {"key": "name", "operation": "EQUALS", "string_value": self._settings.experiment}
        page = self._caller.call(
            "listing experiments",
            lambda client, options: kfp.ExperimentServiceApi(client).experiment_service_list_experiments(
                page_size=1, filter=json.dumps({"predicates": [predicate]}), **self._in_namespace, **options
            ),
        )
        return str(page.experiments[0].experiment_id) if page.experiments else ""

    def _pipeline_spec(self) -> dict[str, Any]:
        """The compiled file as the API takes it: both documents where there is a platform's."""
        try:
            text = self._pipeline.read_text(encoding="utf-8")
        except FileNotFoundError as error:
            raise SetupError(
                "the compiled pipeline is not there",
                where=str(self._pipeline),
                not_affected="whatever serves now",
                remedy=f"copy training/pipeline.yaml to Airflow's image and name its folder in "
                f"{TRAINING_FOLDER_VARIABLE}",
            ) from error
        spec, *platform = yaml.safe_load_all(text)
        if self._settings.image:
            for executor in spec["deploymentSpec"]["executors"].values():
                executor["container"]["image"] = self._settings.image
        return {"pipeline_spec": spec, "platform_spec": platform[0]} if platform else spec

    def _parameters(self, run: TrainingRun) -> dict[str, Any]:
        places = {
            "workspace_claim": self._settings.workspace_claim,
            "service_account_secret": self._settings.service_account_secret,
        }
        return {**run.parameters, **{name: value for name, value in places.items() if value}}

    def _error(self, handle: RunHandle, run: Any, state: JobState) -> ProvenderError | None:
        if state is JobState.FAILED and (reported := error_of(handle.output_uri, handle.name)):
            return reported
        if state not in (JobState.FAILED, JobState.CANCELLED):
            return None
        said = [f"{task.display_name}: {task.error.message}" for task in _tasks(run) if task.error]
        said += [run.error.message] if run.error else []
        return KubeflowError(
            f"run {run.run_id} is {run.state}, and no step said why" + "".join(f"; {each}" for each in said),
            where=self.link(handle),
            not_affected="whatever serves now, and all versions",
            remedy="look at the run in Kubeflow's UI; the next try starts a new one",
        )

    def _pod_log(self, handle: RunHandle, pod: str) -> list[str]:
        """As far as the server can still read it; its words if not."""
        path = f"/apis/v1alpha1/runs/{handle.reference}/nodes/{pod}/log"
        try:
            answer = self._caller.call(
                "reading the log",
                lambda client, options: client.call_api(
                    path, "GET", auth_settings=["Bearer"], _preload_content=False, **options
                ),
            )
        except ProvenderError as error:
            return [f"  could not be fetched: {error.what}"]
        lines: list[str] = answer.data.decode("utf-8", errors="replace").splitlines()
        return lines[-50:]


def _tasks(run: Any) -> list[Any]:
    details = run.run_details
    return [task for task in (details.task_details or []) if task.display_name] if details else []

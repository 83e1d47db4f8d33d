"""Trains a model: the Kubeflow pipeline, wherever the settings say it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Event
from typing import Any

from airflow.sdk import BaseOperator, BaseOperatorLink, Context
from airflow.sdk.execution_time.xcom import XCom

from provender.errors import KubeflowError, StorageError, error_from_dict
from provender.model_registry.runs import read_result
from provender.model_registry.store import ModelStore
from provender.settings import Settings
from provender.specs.models import ModelCatalog
from provender.storage import storage_at
from provender_airflow.kubeflow.backend import KubeflowBackend, RunHandle, TrainingRun, training_run
from provender_airflow.kubeflow.backends import backend_for
from provender_airflow.task_settings import task_settings
from provender_airflow.triggers.kubeflow import trigger_for

LINK_KEY = "kubeflow_run"


class KubeflowRunLink(BaseOperatorLink):
    """To the run in Kubeflow's UI."""

    name = "Kubeflow run"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        return str(XCom.get_value(key=LINK_KEY, ti_key=ti_key) or "")


class KubeflowRunOperator(BaseOperator):
    """Runs load → train → evaluate on a training set, and returns the run's result.

    The return value is the result document (:mod:`provender.model_registry.runs`) with ``link``, the run's address in
    Kubeflow's UI (empty on one machine), and ``key``. A retry finds the run that goes on already; a task that is
    killed or cleared ends it.
    """

    template_fields: Sequence[str] = ("repo", "model", "training_set", "key")
    operator_extra_links = (KubeflowRunLink(),)

    def __init__(
        self,
        *,
        repo: str,
        model: str,
        training_set: str,
        key: str = "",
        deferrable: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.repo = repo
        self.model = model
        self.training_set = training_set
        """URI of its folder."""
        self.key = key
        self.deferrable = deferrable
        self._running: tuple[KubeflowBackend, RunHandle] | None = None
        self._is_killed = False

    def execute(self, context: Context) -> dict[str, Any]:
        settings = task_settings(self.repo)
        backend = backend_for(settings)
        handle = self._submit_or_find(backend, self.training_run(settings, context))
        self._running = (backend, handle)
        if self._is_killed:
            backend.cancel(handle)
        context["ti"].xcom_push(key=LINK_KEY, value=backend.link(handle))
        if self.deferrable and not backend.poll(handle).is_final:
            self.defer(
                trigger=trigger_for(self.repo, handle, self.execution_timeout),
                method_name="resume",
                kwargs={"run": _plain(handle)},
            )
        return self._end(backend, handle)

    def resume(self, context: Context, event: Mapping[str, Any], run: dict[str, str]) -> dict[str, Any]:
        """The run ended, or its backend does not answer any more."""
        if "error" in event:
            raise error_from_dict(event["error"])
        backend = backend_for(task_settings(self.repo))
        return self._end(backend, RunHandle(**run))

    def on_kill(self) -> None:
        self._is_killed = True
        if self._running is not None:
            backend, handle = self._running
            self.log.warning("Ending the run %s with its task", handle.reference)
            backend.cancel(handle)

    def training_run(self, settings: Settings, context: Context) -> TrainingRun:
        """What to run, named by this task in this DAG run and by all that decides the result."""
        catalog = ModelCatalog.load(Path(self.repo))
        training = catalog.model(self.model).training
        store = ModelStore(storage_at(settings.storage_root), self.model)
        serving = store.serving_artifact()
        parameters = {
            "model_name": self.model,
            "training_set_uri": self.training_set,
            "mode": training.mode.value,
            "module": training.module,
            "parameters": training.parameters,
            "test_share": training.test_share,
            "baseline_uri": serving.uri if serving else "",
        }
        ti = context["ti"]
        return training_run(store.uri, parameters, ti.dag_id, ti.task_id, ti.run_id)

    def _submit_or_find(self, backend: KubeflowBackend, run: TrainingRun) -> RunHandle:
        found = backend.find(run)
        if found is not None and self._is_of_use(backend, found):
            self.log.info("Found run %s (%s) of an earlier try", run.name, found.reference)
            return found
        handle = backend.submit(run)
        self.log.info("Started run %s (%s) %s", run.name, handle.reference, backend.link(handle))
        return handle

    def _is_of_use(self, backend: KubeflowBackend, handle: RunHandle) -> bool:
        """One that ended well and whose result is gone is not."""
        if not backend.poll(handle).is_final or read_result(handle.output_uri, handle.name) is not None:
            return True
        backend.take(handle)
        return False

    def _end(self, backend: KubeflowBackend, handle: RunHandle) -> dict[str, Any]:
        """Waits if it has to; shows the log's end; believes only the result document."""
        pause = Event()
        while not (status := backend.poll(handle)).is_final:
            pause.wait(backend.poll_seconds)
        self._show_log(backend, handle)
        backend.take(handle)
        if status.error is not None:
            raise status.error
        result = read_result(handle.output_uri, handle.name)
        if result is None:
            raise StorageError(
                "the run ended well and left no result",
                where=f"{handle.output_uri}/runs/{handle.name}.json",
                not_affected="whatever serves now",
                remedy="do the task and the run's steps see the same storage root?",
            )
        return {**result, "link": backend.link(handle), "key": self.key}

    def _show_log(self, backend: KubeflowBackend, handle: RunHandle) -> None:
        try:
            for line in backend.log(handle):
                self.log.info("%s", line)
        except KubeflowError as error:
            self.log.warning("The run's log could not be fetched: %s", error)


def _plain(handle: RunHandle) -> dict[str, str]:
    return {"name": handle.name, "output_uri": handle.output_uri, "reference": handle.reference}

"""After training: the gate, and the way into production."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowSkipException, DownstreamTasksSkipped

from provender.model_registry.deployments import Action, Deployment
from provender.model_registry.gate import Verdict, judge
from provender.model_registry.store import ModelStore
from provender.rollout.deploy import Rollout, only_deployer
from provender.serving_backends.base import Readiness, ReadyState
from provender.settings import Settings
from provender.specs.models import ModelCatalog, ModelSpec
from provender.specs.source import Source
from provender.storage import storage_at
from provender_airflow.kserve.backend import serving_backend
from provender_airflow.spark.job import job_name
from provender_airflow.task_settings import task_settings
from provender_airflow.triggers.kserve import ModelReadyTrigger, deadline_after

KUBERNETES = "kubernetes_default"


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A model as a task finds it when it runs."""

    settings: Settings
    spec: ModelSpec
    sources: Mapping[str, Source]

    @property
    def store(self) -> ModelStore:
        return ModelStore(storage_at(self.settings.storage_root), self.spec.name)


class _ModelOperator(BaseOperator):
    """Base: a model, and what its training ended in."""

    template_fields: Sequence[str] = ("repo", "model", "key")

    def __init__(
        self, *, repo: str, model: str, key: str = "", train_task_id: str = "train", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.repo = repo
        self.model = model
        self.key = key
        self.train_task_id = train_task_id

    def load(self) -> _Loaded:
        """Raises :class:`provender.errors.SpecError`."""
        catalog = ModelCatalog.load(Path(self.repo))
        spec = catalog.model(self.model)
        return _Loaded(task_settings(self.repo), spec, catalog.sources_of(spec))

    def training_result(self, context: Context) -> Mapping[str, Any]:
        """The result document of the pipeline run (:mod:`provender.model_registry.gate`)."""
        result: Mapping[str, Any] = context["ti"].xcom_pull(task_ids=self.train_task_id)
        return result

    def attempt(self, context: Context) -> str:
        """The same for every try of this task in this run."""
        ti = context["ti"]
        return job_name(ti.dag_id, self.task_id, ti.run_id)


class GateOperator(_ModelOperator):
    """Compares the trained version with the gate's limits and with the model that serves.

    Prints the comparison. A version that does not get through is recorded as rejected, and what follows is skipped:
    that is a decision, not a failure. Returns ``accepted``, ``reason``, ``table`` and ``version``. Raises
    :class:`provender.errors.SpecError` for a rule about a metric that is not measured.
    """

    def execute(self, context: Context) -> dict[str, Any]:
        loaded, result = self.load(), self.training_result(context)
        verdict = judge(loaded.spec, result, loaded.store.state().version)
        self.log.info("Gate of %s\n%s", self.model, verdict.table())
        answer = {
            "accepted": verdict.is_accepted,
            "reason": verdict.reason,
            "table": verdict.table(),
            "version": verdict.version,
        }
        if not verdict.is_accepted:
            self._record(loaded.store, verdict, result, self.attempt(context))
            self._skip_the_rest(context, answer)
        return answer

    def _record(self, store: ModelStore, verdict: Verdict, result: Mapping[str, Any], attempt: str) -> None:
        log = store.log.all()
        if any(each.action is Action.REJECT and each.attempt == attempt for each in log):
            return
        store.log.append(
            Deployment(
                model=self.model,
                action=Action.REJECT,
                version=verdict.version,
                attempt=attempt,
                key=self.key,
                previous=store.state().version,
                metrics=result["metrics"],
                reason=verdict.reason,
            )
        )

    def _skip_the_rest(self, context: Context, answer: Mapping[str, Any]) -> None:
        self.log.warning("%s version %s is not deployed: %s", self.model, answer["version"], answer["reason"])
        # Ending by exception, a task returns nothing; what would have been returned is still wanted.
        context["ti"].xcom_push(key="return_value", value=answer)
        tasks = sorted(self.get_flat_relative_ids(upstream=False))
        raise DownstreamTasksSkipped(tasks=tasks)  # type: ignore[no-untyped-call]


class DeployModelOperator(_ModelOperator):
    """Puts the trained version into production (:mod:`provender.rollout.deploy`), deferred while it gets ready.

    A retry takes up the deployment of an earlier try. A version for an older key than the serving one's is skipped.
    Returns the deployment's document, ``serving`` left out. Raises :class:`provender.errors.DeployError` with both
    answers where serving and offline disagree; then what served before serves.
    """

    def __init__(self, *, kubernetes_conn_id: str = KUBERNETES, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kubernetes_conn_id = kubernetes_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        rollout = self._rollout(context)
        with only_deployer(rollout.storage, self.model, rollout.attempt):
            reason = rollout.reason_to_skip()
            if reason is not None:
                raise AirflowSkipException(reason)
            return self._go_on(rollout, rollout.start())

    def resume(self, context: Context, event: Mapping[str, Any], percent: int) -> dict[str, Any]:
        """The version is ready for its step, or will not be."""
        rollout, found = self._rollout(context), Readiness(ReadyState(event["state"]), event["reason"])
        with only_deployer(rollout.storage, self.model, rollout.attempt):
            if found.state is not ReadyState.READY:
                rollout.not_ready(found)
            return self._go_on(rollout, rollout.finish(percent))

    def _go_on(self, rollout: Rollout, percent: int | None) -> dict[str, Any]:
        while percent is not None:
            rollout.begin(percent)
            if rollout.readiness(percent).state is not ReadyState.READY:
                self._defer_until_ready(rollout, percent)
            percent = rollout.finish(percent)
        return {name: value for name, value in rollout.outcome().items() if name != "serving"}

    def _defer_until_ready(self, rollout: Rollout, percent: int) -> None:
        trigger = ModelReadyTrigger(
            repo=self.repo,
            model=self.model,
            version=rollout.version,
            percent=percent,
            kubernetes_conn_id=self.kubernetes_conn_id,
            deadline=deadline_after(rollout.serving.timeout.total_seconds()),
        )
        self.defer(trigger=trigger, method_name="resume", kwargs={"percent": percent})

    def _rollout(self, context: Context) -> Rollout:
        loaded = self.load()
        return Rollout(
            settings=loaded.settings,
            backend=serving_backend(loaded.settings, self.kubernetes_conn_id),
            model=self.model,
            version=self.training_result(context)["version"],
            key=self.key,
            attempt=self.attempt(context),
            serving=loaded.spec.serving,
            sources=loaded.sources,
        )

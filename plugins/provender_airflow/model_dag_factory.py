"""Model specs become DAGs: ``model__<name>`` with choose_key → training_set → train → gate → deploy.

Everything here runs at parse: it reads specs, builds objects, and connects to nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import (
    DAG,
    AssetAll,
    DayWindow,
    MonthWindow,
    Param,
    RollupMapper,
    StartOfDayMapper,
    StartOfMonthMapper,
    StartOfWeekMapper,
    WeekWindow,
    get_parsing_context,
)

from provender.intervals import Cadence, Frequency
from provender.specs.models import ModelCatalog, ModelSpec
from provender.specs.models.cadences import rolls_up
from provender.specs.source import Source
from provender.training_sets.keys import cadence_of
from provender_airflow.dag_factory import broken_dag, dag_or_broken
from provender_airflow.dag_ids import MODEL_PREFIX
from provender_airflow.docs import model_docs
from provender_airflow.operators.feast import features_asset
from provender_airflow.operators.key import ChooseKeyOperator
from provender_airflow.operators.kubeflow import KubeflowRunOperator
from provender_airflow.operators.models import DeployModelOperator, GateOperator
from provender_airflow.operators.training_set import TrainingSetOperator
from provender_airflow.pool import pool_arguments
from provender_airflow.retry import retry_arguments
from provender_airflow.timetables import ModelTimetable


def model_dags(repo: Path) -> Iterator[DAG]:
    """A DAG for each model of ``repo``; only the one that is asked for, where Airflow runs a task of it."""
    asked = get_parsing_context().dag_id
    catalog = ModelCatalog.load(repo)
    for spec in catalog.models.values():
        if asked in (None, MODEL_PREFIX + spec.name):
            yield dag_or_broken(partial(model_dag, catalog, spec), spec.name, MODEL_PREFIX)
    for name, error in catalog.broken.items():
        yield broken_dag(name, error, prefix=MODEL_PREFIX)


def model_dag(catalog: ModelCatalog, spec: ModelSpec) -> DAG:
    """The model's DAG: a run for each key that all its sources have. Raises :class:`SpecError`."""
    sources = catalog.sources_of(spec)
    cadence = cadence_of(sources.values())
    dag = DAG(
        dag_id=MODEL_PREFIX + spec.name,
        description=spec.description.strip().splitlines()[0] if spec.description.strip() else None,
        schedule=_schedule(sources, cadence),
        catchup=False,
        max_active_runs=1,
        # A model goes into production when somebody says so, not because its file is there.
        is_paused_upon_creation=True,
        tags=sorted({spec.owner, "model", *spec.tags}),
        doc_md=model_docs(spec, catalog.references_of(spec), list(sources)),
    )
    title = "Key to train for, where the run has none; empty: the newest complete one"
    dag.params.update({"key": Param(None, type=["null", "string"], title=title)})
    _add_tasks(dag, catalog.repo, spec)
    return dag


def _add_tasks(dag: DAG, repo: Path, spec: ModelSpec) -> None:
    common: dict[str, Any] = {"repo": str(repo), "model": spec.name, "owner": spec.owner, **retry_arguments()}
    key = "{{ ti.xcom_pull(task_ids='choose_key')['key'] }}"
    chosen = ChooseKeyOperator(task_id="choose_key", repo=str(repo), model=spec.name, owner=spec.owner)
    training_set = TrainingSetOperator(task_id="training_set", key=key, **common, **pool_arguments(repo))
    train = KubeflowRunOperator(
        task_id="train",
        training_set="{{ ti.xcom_pull(task_ids='training_set')['uri'] }}",
        key=key,
        **common,
    )
    gate = GateOperator(task_id="gate", train_task_id="train", key=key, **common)
    deploy = DeployModelOperator(task_id="deploy", train_task_id="train", key=key, **common)
    steps = [chosen, training_set, train, gate, *_approval(spec), deploy]
    dag.add_tasks(steps)
    for before, after in pairwise(steps):
        before >> after


def _approval(spec: ModelSpec) -> list[ApprovalOperator]:
    if not spec.approval:
        return []
    return [
        ApprovalOperator(
            task_id="approval",
            subject=f"Deploy {spec.name} version {{{{ ti.xcom_pull(task_ids='train')['version'] }}}}?",
            body="{{ ti.xcom_pull(task_ids='gate')['table'] }}",
            owner=spec.owner,
        )
    ]


def _schedule(sources: Mapping[str, Source], cadence: Cadence) -> ModelTimetable:
    assets = {name: features_asset(name) for name in sources}
    finer = {
        assets[name]: _rollup(source, cadence)
        for name, source in sources.items()
        if source.cadence != cadence
    }
    return ModelTimetable(
        cron=cadence.cron,
        key_format=cadence.key_format,
        zone=cadence.zone,
        assets=AssetAll(*assets.values()),
        partition_mapper_config=finer,
    )


def _rollup(source: Source, cadence: Cadence) -> RollupMapper:
    """All partitions of a finer source that make up one key."""
    mappers = {
        (Frequency.HOURLY, Frequency.DAILY): (StartOfDayMapper, DayWindow),
        (Frequency.DAILY, Frequency.WEEKLY): (StartOfWeekMapper, WeekWindow),
        (Frequency.DAILY, Frequency.MONTHLY): (StartOfMonthMapper, MonthWindow),
    }
    rolls_up(source, cadence)
    mapper, window = mappers[source.cadence.frequency, cadence.frequency]
    upstream = mapper(input_format=source.cadence.key_format, output_format=cadence.key_format)
    return RollupMapper(upstream_mapper=upstream, window=window())

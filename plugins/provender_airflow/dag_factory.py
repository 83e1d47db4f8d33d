"""Specs become DAGs: ``features__<source>`` with wait_for_data → stage → ingest → materialize → record_in_feast.

With ``provender.bigquery`` in the settings, ``publish`` follows ``ingest`` too, beside ``materialize``.

Everything here runs at parse: it reads specs, builds objects, and connects to nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from airflow.sdk import (
    DAG,
    BaseOperator,
    Context,
    CronPartitionTimetable,
    CronTriggerTimetable,
    Param,
    get_parsing_context,
)

from provender.errors import SourceNotReadyError, SpecError
from provender.intervals import Cadence
from provender.specs.catalog import Catalog
from provender.specs.loader import load_source
from provender.specs.source import Source
from provender_airflow.dag_ids import SOURCE_PREFIX
from provender_airflow.docs import broken_docs, source_docs
from provender_airflow.operators.bigquery import PublishOperator
from provender_airflow.operators.feast import IngestOperator, MaterializeOperator, RecordInFeastOperator
from provender_airflow.operators.raw_data import StageOperator, WaitForDataOperator
from provender_airflow.pool import pool_arguments, settings_at_parse
from provender_airflow.retry import retry_arguments

_LONGEST_NAME = 200  # Airflow takes ids of 250 characters
MAX_ACTIVE_RUNS = 3
"""Runs of one source at a time: one ingests while another stages or materializes."""


def features_dags(repo: Path) -> Iterator[DAG]:
    """A DAG for each spec of ``repo``; only the one that is asked for, where Airflow runs a task of it."""
    asked = get_parsing_context().dag_id
    path = Catalog(repo).path_of(asked.removeprefix(SOURCE_PREFIX)) if asked else None
    if path is not None and path.is_file():
        yield _dag_of_file(repo, path)
        return
    catalog = Catalog.load(repo)
    for source in catalog.sources.values():
        yield dag_or_broken(partial(features_dag, repo, source), source.name, SOURCE_PREFIX)
    for name, error in catalog.broken.items():
        # A dot is in no source's name: the id of a file with an odd name is not that of a source that is right.
        yield broken_dag(f"{name}.broken" if _id_part(name) in catalog.sources else name, error)


def features_dag(repo: Path, source: Source) -> DAG:
    """The source's DAG, one run for each partition at the partition's end."""
    dag = DAG(
        dag_id=SOURCE_PREFIX + source.name,
        description=source.description.strip().splitlines()[0] if source.description.strip() else None,
        schedule=CronPartitionTimetable(
            source.cadence.cron,
            timezone=source.cadence.zone,
            run_offset=-1,
            key_format=source.cadence.key_format,
        ),
        start_date=source.first_partition.end,
        end_date=source.end,
        catchup=False,
        max_active_runs=MAX_ACTIVE_RUNS,
        is_paused_upon_creation=False,
        tags=sorted({source.owner, str(source.cadence), *source.tags}),
        doc_md=source_docs(source),
    )
    # Set here, not in the constructor, which checks every default with JSON Schema: 2 ms a DAG.
    dag.params.update(_params(source.cadence))
    _add_tasks(dag, repo, source)
    return dag


def _id_part(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "_", name)[:_LONGEST_NAME]


def broken_dag(name: str, error: SpecError, prefix: str = SOURCE_PREFIX) -> DAG:
    """A red DAG in the place of one whose spec is broken: its docs and its failure are the errors."""
    dag = DAG(
        dag_id=prefix + _id_part(name),
        description="the spec is broken",
        schedule=CronTriggerTimetable("0 0 * * *", timezone="UTC", run_immediately=True),
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=False,
        tags=["broken"],
        doc_md=broken_docs(name, error),
    )
    BrokenSpecOperator(task_id="spec_is_broken", message=str(error), dag=dag)
    return dag


class BrokenSpecOperator(BaseOperator):
    """Fails with a spec's errors."""

    def __init__(self, *, message: str, **kwargs: Any) -> None:
        super().__init__(retries=0, **kwargs)
        self.message = message

    def execute(self, context: Context) -> None:
        raise SpecError(self.message)


def _add_tasks(dag: DAG, repo: Path, source: Source) -> None:
    # Built without the DAG: each operator copies its DAG's params twice otherwise, which doubles the parse.
    common = {"repo": str(repo), "source": source.name, "owner": source.owner}
    retried = {**common, **retry_arguments()}
    on_spark = {**retried, **pool_arguments(repo)}
    # One writer per table: among this DAG's runs by max_active_tis_per_dag, else by the storage's lock.
    wait = WaitForDataOperator(task_id="wait_for_data", **common, **retry_arguments(SourceNotReadyError))
    stage = StageOperator(task_id="stage", **retried)
    ingest = IngestOperator(
        task_id="ingest",
        max_active_tis_per_dag=1,
        allow_withdrawal="{{ params.allow_withdrawal }}",
        **on_spark,
    )
    materialize = MaterializeOperator(
        task_id="materialize",
        max_active_tis_per_dag=1,
        ingest_task_id="ingest",
        full="{{ params.rebuild_online }}",
        **on_spark,
    )
    # Nobody waits for this one, and it costs Feast's import: last in the queue, and one tells for all before it.
    record = RecordInFeastOperator(
        task_id="record_in_feast",
        max_active_tis_per_dag=1,
        priority_weight=0,
        weight_rule="absolute",
        **retried,
    )
    dag.add_tasks([wait, stage, ingest, materialize, record])
    wait >> stage >> ingest >> materialize >> record
    settings = settings_at_parse(repo)
    if settings is not None and settings.bigquery is not None:
        publish = PublishOperator(task_id="publish", max_active_tis_per_dag=1, **retried)
        dag.add_task(publish)
        ingest >> publish


def _params(cadence: Cadence) -> dict[str, Param]:
    is_date = cadence.key_format == "%Y-%m-%d"
    schema: dict[str, Any] = {"type": ["null", "string"], **({"format": "date"} if is_date else {})}
    hint = "Leave both empty for the run's own partition, or the newest complete one."
    return {
        "start": Param(None, title="First partition of a range", description_md=hint, **schema),
        "end": Param(None, title="Last partition of a range (included)", description_md=hint, **schema),
        "allow_withdrawal": Param(
            False,
            type="boolean",
            title="Allow a large withdrawal",
            description_md="Lets a redelivery take back more rows than `violations.max_withdrawn_share`.",
        ),
        "rebuild_online": Param(
            False,
            type="boolean",
            title="Rebuild the online store",
            description_md="Writes every value again.",
        ),
    }


def _dag_of_file(repo: Path, path: Path) -> DAG:
    return dag_or_broken(lambda: features_dag(repo, load_source(path)), path.stem, SOURCE_PREFIX)


def dag_or_broken(build: Callable[[], DAG], name: str, prefix: str) -> DAG:
    """What ``build`` makes; a DAG that fails with the reason in its place, whatever it raises: an error while a file
    of DAGs is read takes away all DAGs of the file."""
    try:
        return build()
    except SpecError as error:
        return broken_dag(name, error, prefix)
    except Exception as error:  # noqa: BLE001 (see above; the reason is the DAG's message)
        what = f"no DAG can be made of {name}: {type(error).__name__}: {str(error)[:500]}"
        return broken_dag(name, SpecError(what, remedy="provender validate"), prefix)

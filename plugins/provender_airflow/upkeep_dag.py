"""The DAG ``upkeep``: once a day, what is missing, how old the online values are, and compaction with retention."""

from __future__ import annotations

from pathlib import Path

from airflow.sdk import DAG, CronTriggerTimetable

from provender_airflow.operators.upkeep import ListHolesOperator, MeasureFreshnessOperator, TidyOperator
from provender_airflow.pool import pool_arguments
from provender_airflow.retry import retry_arguments

_SCHEDULE = "30 4 * * *"
_DOCS = """\
- **holes**: partitions that should be there and are not, each with the `airflow backfill create` line that fixes it \
(log and return value)
- **freshness**: the age of the newest values online, as a metric
- **tidy**: compaction and retention of the tables, in one Spark application
"""


def upkeep_dag(repo: Path) -> DAG:
    """Build the DAG of the feature repo ``repo``."""
    with DAG(
        dag_id="upkeep",
        description="Holes, value freshness, compaction and retention",
        schedule=CronTriggerTimetable(_SCHEDULE, timezone="UTC"),
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=False,
        default_args={"owner": "provender", **retry_arguments()},
        tags=["upkeep", "daily"],
        doc_md=_DOCS,
    ) as dag:
        ListHolesOperator(task_id="holes", repo=str(repo))
        MeasureFreshnessOperator(task_id="freshness", repo=str(repo))
        TidyOperator(task_id="tidy", repo=str(repo), **pool_arguments(repo))
    return dag

"""Once a day: what is missing, how old the online values are, and compaction with retention."""

from __future__ import annotations

from pathlib import Path

from airflow.sdk import DAG, CronTriggerTimetable

from provender.settings import find_repo
from provender_airflow.operators.upkeep import (
    ListHolesOperator,
    MeasureFreshnessOperator,
    TidyOperator,
)
from provender_airflow.pool import pool_arguments
from provender_airflow.retry import retry_arguments

repo = str(find_repo(Path(__file__).parent))

with DAG(
    dag_id="upkeep",
    description="Holes, value freshness, compaction and retention",
    schedule=CronTriggerTimetable("30 4 * * *", timezone="UTC"),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    default_args={"owner": "provender", **retry_arguments()},
    tags=["upkeep", "daily"],
    doc_md=(
        "- **holes**: partitions that should be there and are not, each with the `airflow backfill create` "
        "line that fixes it (log and return value)\n"
        "- **freshness**: the age of the newest values online, as a metric\n"
        "- **tidy**: compaction and retention of the tables, in one Spark application"
    ),
):
    ListHolesOperator(task_id="holes", repo=repo)
    MeasureFreshnessOperator(task_id="freshness", repo=repo)
    TidyOperator(task_id="tidy", repo=repo, **pool_arguments(repo))

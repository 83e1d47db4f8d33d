"""Once a day: what is missing, how old the online values are, and compaction with retention."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from airflow.sdk import DAG
from provender_airflow.operators.upkeep import (
    ListHolesOperator,
    MeasureFreshnessOperator,
    TidyOperator,
)
from provender_airflow.retry import retry_arguments

from provender.settings import find_repo

repo = str(find_repo(Path(__file__).parent))

with DAG(
    dag_id="upkeep",
    description="Holes, value freshness, compaction and retention",
    schedule="30 4 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    default_args={"owner": "provender", **retry_arguments()},
    tags=["upkeep", "daily"],
    doc_md=(
        "- **holes**: partitions that should be there and are not, with the `airflow backfill create` line that "
        "mends each (log and return value; `provender status` shows the same)\n"
        "- **freshness**: the age of the newest values online, as a metric\n"
        "- **tidy**: compaction and retention of the tables, in one Spark application"
    ),
):
    ListHolesOperator(task_id="holes", repo=repo)
    MeasureFreshnessOperator(task_id="freshness", repo=repo)
    TidyOperator(task_id="tidy", repo=repo)

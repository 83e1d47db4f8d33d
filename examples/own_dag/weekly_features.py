"""A DAG of one's own: once a week, features for a file of entity rows, as they were known at each row's time.

It waits for nothing and schedules no source: `features__<source>` does that. Copy it into Airflow's DAG folder, and
name a file with join keys and `event_timestamp` in the parameter.
"""

from __future__ import annotations

from pathlib import Path

from airflow.sdk import DAG, CronTriggerTimetable, Param

from provender.settings import find_repo
from provender_airflow.operators.feast import MaterializeOperator
from provender_airflow.operators.training_set import HistoricalFeaturesOperator
from provender_airflow.pool import pool_arguments
from provender_airflow.retry import retry_arguments

repo = str(find_repo(Path(__file__).parent))

with DAG(
    dag_id="weekly_features",
    schedule=CronTriggerTimetable("0 6 * * 1", timezone="UTC"),
    catchup=False,
    default_args={"owner": "analysts", **retry_arguments()},
    params={"entities": Param("file:///data/entities.parquet", type="string")},
):
    online = MaterializeOperator(task_id="online", repo=repo, source="flights", **pool_arguments(repo))
    features = HistoricalFeaturesOperator(
        task_id="features",
        repo=repo,
        name="weekly",
        entities="{{ params.entities }}",
        features=["carrier_day:flights", "carrier_day:mean_dep_delay"],
        as_known=True,
        **pool_arguments(repo),
    )
    online >> features

"""One DAG for each model: ``model__<name>`` (see provender_airflow.model_dag_factory)."""

from __future__ import annotations

from pathlib import Path

from provender.settings import find_repo
from provender_airflow.model_dag_factory import model_dags

for dag in model_dags(find_repo(Path(__file__).parent)):
    globals()[dag.dag_id] = dag

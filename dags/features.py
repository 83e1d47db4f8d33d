"""One DAG for each source: ``features__<source>`` (see provender_airflow.dag_factory)."""

from __future__ import annotations

from pathlib import Path

from provender.settings import find_repo
from provender_airflow.dag_factory import features_dags

for dag in features_dags(find_repo(Path(__file__).parent)):
    globals()[dag.dag_id] = dag

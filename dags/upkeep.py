"""One DAG for all sources: ``upkeep`` (see provender_airflow.upkeep_dag)."""

from __future__ import annotations

from pathlib import Path

from provender.settings import find_repo
from provender_airflow.upkeep_dag import upkeep_dag

upkeep = upkeep_dag(find_repo(Path(__file__).parent))

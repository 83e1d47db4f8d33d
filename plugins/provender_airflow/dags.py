"""All DAGs of a feature repo, for one file of three lines in Airflow's DAG folder:

    from provender_airflow.dags import dags_of

    globals().update(dags_of(__file__))

Everything here runs at parse: it reads specs, builds objects, and connects to nothing.
"""

from __future__ import annotations

from pathlib import Path

from airflow.sdk import DAG

from provender.settings import find_repo
from provender_airflow.dag_factory import features_dags
from provender_airflow.model_dag_factory import model_dags
from provender_airflow.upkeep_dag import upkeep_dag


def dags_of(dag_file: str | Path, repo: str | Path | None = None) -> dict[str, DAG]:
    """Return DAG id to DAG: ``features__<source>``, ``model__<name>`` and ``upkeep``.

    ``repo`` is the feature repo (default: ``$PROVENDER_REPO``, else the nearest from ``dag_file`` upwards). A broken
    spec is a DAG that says so. Raises :class:`SettingsError` where there is no repo.
    """
    folder = Path(repo).resolve() if repo is not None else find_repo(Path(dag_file).parent)
    return {dag.dag_id: dag for dag in (*features_dags(folder), *model_dags(folder), upkeep_dag(folder))}

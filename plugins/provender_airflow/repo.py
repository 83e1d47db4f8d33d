"""The feature repo of an Airflow: for code that no DAG file tells where it is."""

from __future__ import annotations

from pathlib import Path

from airflow.sdk.configuration import conf

from provender.errors import SettingsError
from provender.settings import find_repo


def deployed_repo() -> Path:
    """Return ``$PROVENDER_REPO``, else the nearest repo from Airflow's DAG folder upwards, else from this file's.

    Raises :class:`SettingsError` where there is none.
    """
    try:
        return find_repo(Path(conf.get("core", "dags_folder")))
    except SettingsError:
        return find_repo(Path(__file__).parent)

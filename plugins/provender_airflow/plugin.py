"""What Airflow has to know by name: the timetable, the pages, the listener.

Found through the entry point ``airflow.plugins`` where the package is installed, and through ``provender_plugin.py``
where ``plugins/`` is Airflow's plugin folder.
"""

from __future__ import annotations

from typing import Any

from airflow.plugins_manager import AirflowPlugin

from provender_airflow import pool
from provender_airflow.links import REPORTS
from provender_airflow.pages.app import CatalogPages
from provender_airflow.pages.reading import PREFIX as CATALOG
from provender_airflow.reports import Reports
from provender_airflow.timetables import ModelTimetable


class ProvenderPlugin(AirflowPlugin):
    """Operators and triggers are imported by their module; all else is named here."""

    name = "provender"
    timetables: list[Any] = [ModelTimetable]  # noqa: RUF012 - as the base class declares it
    fastapi_apps: list[Any] = [  # noqa: RUF012
        {"app": Reports(), "url_prefix": REPORTS, "name": "provender reports"},
        {"app": CatalogPages(), "url_prefix": CATALOG, "name": "provender catalog"},
    ]
    external_views: list[Any] = [  # noqa: RUF012
        {"name": "Features", "href": f"{CATALOG}/", "destination": "nav", "url_route": "provender-catalog"},
    ]
    listeners: list[Any] = [pool]  # noqa: RUF012

"""Registers provender with Airflow. All else is in the package ``provender_airflow`` beside this file."""

from __future__ import annotations

from typing import Any, ClassVar

from airflow.plugins_manager import AirflowPlugin

from provender_airflow.links import REPORTS
from provender_airflow.reports import Reports
from provender_airflow.timetables import ModelTimetable


class ProvenderPlugin(AirflowPlugin):
    """Operators and triggers are imported by their module; what Airflow has to know by name is here."""

    name = "provender"
    timetables: ClassVar[list[type]] = [ModelTimetable]
    fastapi_apps: ClassVar[list[Any]] = [
        {"app": Reports(), "url_prefix": REPORTS, "name": "provender reports"},
    ]

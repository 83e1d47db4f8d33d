"""Registers provender with Airflow. All else is in the package ``provender_airflow`` beside this file."""

from __future__ import annotations

from typing import Any

from airflow.plugins_manager import AirflowPlugin

from provender_airflow import pool
from provender_airflow.links import REPORTS
from provender_airflow.reports import Reports
from provender_airflow.timetables import ModelTimetable


class ProvenderPlugin(AirflowPlugin):
    """Operators and triggers are imported by their module; what Airflow has to know by name is here."""

    name = "provender"
    timetables: list[Any] = [ModelTimetable]  # noqa: RUF012 - as the base class declares it
    fastapi_apps: list[Any] = [  # noqa: RUF012
        {"app": Reports(), "url_prefix": REPORTS, "name": "provender reports"},
    ]
    listeners: list[Any] = [pool]  # noqa: RUF012

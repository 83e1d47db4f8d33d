"""Registers provender with Airflow. All else is in the package ``provender_airflow`` beside this file."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin


class ProvenderPlugin(AirflowPlugin):
    """Operators and triggers are imported by their module; a later UI page is registered here."""

    name = "provender"

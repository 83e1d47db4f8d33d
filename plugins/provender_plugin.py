"""Registers provender with an Airflow whose plugin folder is this one. All else is in ``provender_airflow``."""

from __future__ import annotations

from provender_airflow.plugin import ProvenderPlugin

__all__ = ["ProvenderPlugin"]

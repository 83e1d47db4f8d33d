"""Buttons on a task's page."""

from __future__ import annotations

from typing import Any

from airflow.sdk import BaseOperatorLink
from airflow.sdk.configuration import conf

REPORTS = "/provender/training-sets"
"""Where the API server shows reports (:mod:`provender_airflow.reports`)."""


class ReportLink(BaseOperatorLink):
    """The training set's report."""

    name = "Training set"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Asked for by the task's own process when it has ended, and kept as an XCom; empty if it built nothing."""
        built = getattr(operator, "built", None)
        if built is None:
            return ""
        base = conf.get("api", "base_url", fallback="").rstrip("/")
        return f"{base}{REPORTS}/{built.lockfile.inputs.name}/{built.lockfile.id}"

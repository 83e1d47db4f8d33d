"""What ``airflow providers get provender-airflow`` shows, and which links Airflow may restore."""

from __future__ import annotations

from typing import Any

_OPERATORS = ("bigquery", "feast", "key", "kubeflow", "models", "raw_data", "spark", "training_set", "upkeep")
_TRIGGERS = ("kubeflow", "raw_data", "spark")
_NAME = "provender"


def get_provider_info() -> dict[str, Any]:
    """Return the provider's description in the form of Airflow's ``provider_info.schema.json``."""
    return {
        "package-name": "provender-airflow",
        "name": _NAME,
        "description": "DAGs, operators and triggers of the feature platform provender.",
        "integrations": [{"integration-name": _NAME, "external-doc-url": "", "tags": ["software"]}],
        "operators": [{"integration-name": _NAME, "python-modules": _modules("operators", _OPERATORS)}],
        "triggers": [{"integration-name": _NAME, "python-modules": _modules("triggers", _TRIGGERS)}],
        "extra-links": ["provender_airflow.links.ReportLink"],
    }


def _modules(room: str, names: tuple[str, ...]) -> list[str]:
    return [f"provender_airflow.{room}.{name}" for name in names]

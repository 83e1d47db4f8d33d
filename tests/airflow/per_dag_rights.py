"""An auth manager for tests: Airflow's simple one, with rights per DAG written into the user's name.

``reader:features__open`` may read that DAG; ``runner:features__open,features__closed`` may read and run both.
"""

from __future__ import annotations

from typing import Any

from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser


class PerDagRights(SimpleAuthManager):
    """Rights by user and DAG."""

    def is_authorized_dag(
        self, *, method: Any, user: SimpleAuthManagerUser, access_entity: Any = None, details: Any = None
    ) -> bool:
        kind, _, dags = user.username.partition(":")
        return (method == "GET" or kind == "runner") and details is not None and details.id in dags.split(",")


def user(name: str) -> SimpleAuthManagerUser:
    """A user of this manager."""
    return SimpleAuthManagerUser(username=name, role="USER")

"""Runs once before Airflow starts: makes the emulator's bucket and Airflow's administrator, unless they are there.

The password comes by the environment: as an argument of ``airflow users create`` it would be in the process list.
"""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from airflow.providers.fab.auth_manager.cli_commands.utils import (  # noqa: TID251
    get_application_builder,
)

from provender.settings import load_settings

ADMIN = "admin"
PASSWORD_VARIABLE = "AIRFLOW_ADMIN_PASSWORD"


def make_bucket() -> None:
    """The bucket of ``storage_root``; on Google Cloud ``deploy/gcp/setup.sh`` makes it."""
    from provender.storage.gcs.client import client

    root = urlsplit(load_settings().storage_root)
    if root.scheme == "gs" and client().lookup_bucket(root.netloc) is None:
        client().create_bucket(root.netloc)
        print(f"made the bucket {root.netloc}")


def make_admin() -> None:
    """A user with Airflow's role Admin. One that exists keeps its password."""
    password = os.environ[PASSWORD_VARIABLE]
    with get_application_builder() as builder:
        users = builder.sm
        if users.find_user(ADMIN) is not None:
            return
        email = f"{ADMIN}@localhost.localdomain"
        if not users.add_user(ADMIN, "provender", ADMIN, email, users.find_role("Admin"), password):
            raise SystemExit("Airflow did not make the administrator; its log says why")
        print(f"made the user {ADMIN}")


if __name__ == "__main__":
    make_bucket()
    make_admin()

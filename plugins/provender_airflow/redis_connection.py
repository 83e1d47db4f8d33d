"""The online store behind an Airflow connection.

    feature_store.yaml                                Airflow connection ``redis_online``
    online_store:
      connection_string: ${PROVENDER_REDIS}           host, port, login, password
    provender:                                        extra: {"db": 0, "ssl": true, "ssl_ca_certs": "/etc/ca.pem"}
      redis_connection_id: redis_online

The secret goes into the task's environment, which the applications it starts inherit; it is never an argument.
"""

from __future__ import annotations

import os
from typing import Any

from provender.settings import REDIS_VARIABLE, Settings, load_settings


def with_redis(settings: Settings) -> Settings:
    """``settings`` with the connection's address, in a task. A variable that is set already stays as it is."""
    if settings.redis_connection_id is None or REDIS_VARIABLE in os.environ:
        return settings
    from airflow.sdk import Connection

    os.environ[REDIS_VARIABLE] = connection_string(Connection.get(settings.redis_connection_id))
    return load_settings(settings.repo)


def connection_string(connection: Any) -> str:
    """Feast's ``host:port,option=value,…`` of an Airflow connection; several hosts may be separated by commas."""
    hosts = str(connection.host or "").split(",")
    servers = [host if ":" in host else f"{host}:{connection.port or 6379}" for host in hosts]
    options = {"username": connection.login, "password": connection.password, **connection.extra_dejson}
    given = {name: value for name, value in options.items() if value not in (None, "")}
    return ",".join([*servers, *(f"{name}={_text(value)}" for name, value in given.items())])


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)

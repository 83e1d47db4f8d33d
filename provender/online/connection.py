"""A Redis client from Feast's connection string, and Redis' errors as ours.

    127.0.0.1:6379,db=0                                  one server
    redis.internal:6379,ssl=true,ssl_ca_certs=/etc/ca.pem,password=${REDIS_PASSWORD}
    node-1:6379,node-2:6379,cluster=true                 a cluster (``redis_type: redis_cluster`` adds the option)

Variables are those of the environment that the settings were read in; one that is not set is an error that names it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
from redis.backoff import ExponentialBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.retry import Retry

from provender.errors import OnlineStoreError, SettingsError

CLUSTER_OPTION = "cluster"
Client = redis.Redis | RedisCluster

_TEXTS = ("password", "username")
"""Text, also where it looks like a number."""

_REMEDY = "start it (make up) or fix online_store.connection_string in feature_store.yaml, then run again"
_WHERE = "feature_store.yaml, online_store.connection_string"


def parse_connection_string(text: str) -> tuple[list[tuple[str, int]], dict[str, Any]]:
    """Servers and options of Feast's ``host:port,db=0,ssl=true,password=...``.

    Raises :class:`SettingsError` for a variable that is not set, and unless it names one server, or those of a cluster.
    """
    _refuse_unset(text)
    parts = [part for part in text.split(",") if part]
    options: dict[str, Any] = {}
    for name, _, value in (part.partition("=") for part in parts if "=" in part):
        options[name] = _value(name, value)
    named = [part.rpartition(":") for part in parts if "=" not in part]
    is_whole = all(host and port.isdigit() for host, _, port in named)
    if not named or not is_whole or (len(named) > 1 and not options.get(CLUSTER_OPTION)):
        raise SettingsError(
            "the online store's connection string does not name one server",
            where=_WHERE,
            remedy="write it like 127.0.0.1:6379 or redis.internal:6379,db=0,ssl=true,password=... "
            "(several servers: redis_type: redis_cluster)",
        )
    return [(host, int(port)) for host, _, port in named], options


def _value(name: str, text: str) -> Any:
    """As Feast reads it, JSON where it is that, but a password of digits stays text."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        return text
    return text if name in _TEXTS and not isinstance(value, str) else value


def _refuse_unset(text: str) -> None:
    unset = re.findall(r"\$\{(\w+)\}", text)
    if unset:
        raise SettingsError(
            f"the online store's connection string needs variables that are not set: {', '.join(unset)}",
            where=_WHERE,
            not_affected="everything",
            remedy=f"export {unset[0]}=..., or name an Airflow connection in provender.redis_connection_id",
        )


def is_cluster(connection_string: str) -> bool:
    """Whether keys are spread over several servers, by slot."""
    return bool(parse_connection_string(connection_string)[1].get(CLUSTER_OPTION))


def address(connection_string: str) -> str:
    """``host:port`` of the (first) server: what an error message may show (no password)."""
    host, port = parse_connection_string(connection_string)[0][0]
    return f"{host}:{port}"


def connect(connection_string: str, *, timeout_seconds: float = 60, retries: int = 3) -> Client:
    """A client; one of a single server connects with the first command, one of a cluster asks for its slots at once.

    ``timeout_seconds`` bounds the wait for an answer; the connection string's own options come first. Unreachable is
    known after about a second.
    """
    servers, options = parse_connection_string(connection_string)
    defaults = {"socket_connect_timeout": min(10, timeout_seconds), "socket_timeout": timeout_seconds}
    retry = Retry(ExponentialBackoff(base=0.1, cap=0.5), retries=retries)
    if options.pop(CLUSTER_OPTION, False):
        options.pop("skip_full_coverage_check", None)  # an older redis-py's; Feast's examples have it
        nodes = [ClusterNode(host, port) for host, port in servers]  # type: ignore[no-untyped-call]
        return RedisCluster(startup_nodes=nodes, retry=retry, **(defaults | options))
    host, port = servers[0]
    return redis.Redis(host=host, port=port, retry=retry, **(defaults | options))


@contextmanager
def translated(connection_string: str, doing: str) -> Iterator[None]:
    """Redis' and the socket's errors become :class:`OnlineStoreError` with the address; this is the one crossing."""
    try:
        yield
    except (redis.AuthenticationError, redis.exceptions.NoPermissionError) as error:
        raise OnlineStoreError(
            f"the online store at {address(connection_string)} refused the user or the password while {doing}: {error}",
            where=address(connection_string),
            not_affected="the offline tables, and every online value",
            remedy="give online_store.connection_string in feature_store.yaml the server's own password=… "
            "(and username=…) and a user that may run the command, then run again",
        ) from error
    except (
        redis.ConnectionError,
        redis.TimeoutError,
        redis.exceptions.RedisClusterException,
        OSError,
    ) as error:
        raise OnlineStoreError(
            f"the online store at {address(connection_string)} broke off or cannot be reached while {doing}: {error}",
            where=address(connection_string),
            not_affected="the offline tables, and every online value: writes are atomic, and newer values win",
            remedy=_REMEDY,
        ) from error
    except redis.RedisError as error:
        if isinstance(error, redis.exceptions.OutOfMemoryError) or "OOM command not allowed" in str(error):
            raise _memory_full(connection_string, doing) from error
        raise OnlineStoreError(
            f"the online store at {address(connection_string)} refused a command while {doing}: {error}",
            where=address(connection_string),
            not_affected="the offline tables, and every online value written before: writing again changes nothing",
            remedy="read the server's log (memory, persistence, read-only replica?), then run again",
        ) from error


def _memory_full(connection_string: str, doing: str) -> OnlineStoreError:
    return OnlineStoreError(
        f"the online store at {address(connection_string)} has reached its maxmemory while {doing}",
        where=address(connection_string),
        not_affected="the offline tables, and every online value written before: writing again changes nothing",
        remedy="raise maxmemory (redis.conf, CONFIG SET, or a larger instance of the managed service), then run again; "
        "keep maxmemory-policy noeviction, since any other drops values",
    )

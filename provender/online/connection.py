"""A Redis client from Feast's connection string, and Redis' errors as ours."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from provender.errors import OnlineStoreError, SettingsError

_REMEDY = "start it (make up) or mend online_store.connection_string in feature_store.yaml, then run again"


def parse_connection_string(text: str) -> tuple[str, int, dict[str, Any]]:
    """Host, port and options of Feast's ``host:port,db=0,ssl=true,password=...``.

    Raises :class:`SettingsError` if there is not exactly one server in it.
    """
    parts = [part for part in text.split(",") if part]
    servers = [part for part in parts if "=" not in part]
    options: dict[str, Any] = {}
    for name, _, value in (part.partition("=") for part in parts if "=" in part):
        try:
            options[name] = json.loads(value)
        except json.JSONDecodeError:
            options[name] = value
    host, _, port = servers[0].rpartition(":") if len(servers) == 1 else ("", "", "")
    if not host or not port.isdigit():
        raise SettingsError(
            "the online store's connection string does not name one server",
            where="feature_store.yaml, online_store.connection_string",
            remedy="write it like 127.0.0.1:6379 or redis.internal:6379,db=0,ssl=true,password=...",
        )
    return host, int(port), options


def address(connection_string: str) -> str:
    """``host:port``: what an error message may show (no password)."""
    host, port, _ = parse_connection_string(connection_string)
    return f"{host}:{port}"


def connect(connection_string: str, *, timeout_seconds: float = 60, retries: int = 3) -> redis.Redis:
    """A client; nothing connects before the first command. Unreachable is known after about a second.

    ``timeout_seconds`` bounds the wait for an answer; the connection string's own options come first.
    """
    host, port, options = parse_connection_string(connection_string)
    defaults = {"socket_connect_timeout": min(10, timeout_seconds), "socket_timeout": timeout_seconds}
    retry = Retry(ExponentialBackoff(base=0.1, cap=0.5), retries=retries)
    return redis.Redis(host=host, port=port, retry=retry, **(defaults | options))


@contextmanager
def translated(connection_string: str, doing: str) -> Iterator[None]:
    """Redis' and the socket's errors become :class:`OnlineStoreError` with the address; this is the one crossing."""
    try:
        yield
    except (redis.ConnectionError, redis.TimeoutError, OSError) as error:
        raise OnlineStoreError(
            f"the online store at {address(connection_string)} broke off or cannot be reached while {doing}: {error}",
            where=address(connection_string),
            unharmed="the offline tables, and every online value: a write is whole or not there, and newer values win",
            remedy=_REMEDY,
        ) from error
    except redis.RedisError as error:
        raise OnlineStoreError(
            f"the online store at {address(connection_string)} refused a command while {doing}: {error}",
            where=address(connection_string),
            unharmed="the offline tables, and every online value written before: writing again changes nothing",
            remedy="read the server's log (memory, persistence, read-only replica?), then run again",
        ) from error

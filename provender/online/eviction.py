"""Whether the online store may drop values to make room, and whether it has.

A value that is evicted is a null in serving, with nothing in the ledger or the marker to tell. Redis says its policy
in ``INFO memory``, which managed services answer where they forbid ``CONFIG``; where even that is missing, ``CONFIG
GET`` is tried, and then it is said that nobody knows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import redis

from provender.errors import SettingsError
from provender.online.cluster import servers_of
from provender.online.connection import address, connect, translated

_SAFE = "noeviction"
_ONLY_EXPIRING = "volatile-"
_NEARLY_FULL = 0.95
_SETTING = "maxmemory-policy noeviction (redis.conf, CONFIG SET, or the managed service's own parameter)"


@dataclass(frozen=True, slots=True)
class Memory:
    """One server's."""

    server: str
    policy: str | None
    """``maxmemory-policy``; None: the server does not tell."""
    limit: int
    """``maxmemory`` in bytes; 0: none that is known."""
    used: int
    """Bytes."""
    evicted: int
    """Keys since the server started, whosever they were."""

    def may_evict(self, key_ttl_seconds: int | None) -> bool:
        """Whether one of our keys can be chosen, now or once there is a limit. Without a ``key_ttl_seconds`` ours do
        not expire, and the ``volatile`` policies choose among those that do."""
        return self.policy not in (None, _SAFE) and not self.spares(key_ttl_seconds)

    def spares(self, key_ttl_seconds: int | None) -> bool:
        """Whether the policy drops other keys than ours only: what is evicted is then none of our values."""
        return not key_ttl_seconds and (self.policy or "").startswith(_ONLY_EXPIRING)


def read_memory(connection_string: str) -> list[Memory]:
    """Of each server that holds keys. Raises :class:`OnlineStoreError`."""
    with translated(connection_string, "asking for its memory limit"):
        client = connect(connection_string)
        found = [_memory_of(server) for server in servers_of(client)]
        client.close()
    return found


def check_eviction(
    connection_string: str, key_ttl_seconds: int | None, *, is_allowed: bool = False
) -> list[str]:
    """One warning for each thing that is known to be risky, or cannot be known.

    Raises :class:`SettingsError` for a server that may evict our values, unless that ``is_allowed`` (then it is a
    warning too), and :class:`OnlineStoreError`.
    """
    memories = read_memory(connection_string)
    evicting = [memory for memory in memories if memory.limit and memory.may_evict(key_ttl_seconds)]
    if evicting and not is_allowed:
        raise SettingsError(
            f"the online store evicts values when its memory is full: maxmemory-policy {evicting[0].policy}, "
            f"maxmemory {evicting[0].limit}",
            where=evicting[0].server or address(connection_string),
            not_affected="the offline tables, and what is online: nothing was written",
            remedy=f"set {_SETTING} and run it again; or accept lost values: allow_eviction: true under "
            "batch_engine in feature_store.yaml",
        )
    return [line for memory in memories for line in _warnings(memory, key_ttl_seconds)]


def _warnings(memory: Memory, key_ttl_seconds: int | None) -> Iterator[str]:
    where = f"the online store at {memory.server}"
    if memory.policy is None:
        yield f"{where} does not say its eviction policy: make sure that it is noeviction"
    elif memory.may_evict(key_ttl_seconds):
        when = "when its memory is full" if memory.limit else "as soon as maxmemory is set"
        yield f"{where} evicts values {when} (maxmemory-policy {memory.policy}): set {_SETTING}"
    elif memory.policy != _SAFE and memory.limit:
        yield (
            f"{where} evicts keys that expire (maxmemory-policy {memory.policy}); provender's do not, "
            f"but key_ttl_seconds would make them: set {_SETTING}"
        )
    if memory.limit and memory.used >= _NEARLY_FULL * memory.limit:
        share = 100 * memory.used // memory.limit
        yield f"{where} uses {share}% of its maxmemory of {memory.limit} bytes: raise maxmemory"
    if memory.evicted and memory.policy != _SAFE and not memory.spares(key_ttl_seconds):
        yield (
            f"{where} has evicted {memory.evicted} keys since it started: values may be missing; once the policy is "
            "noeviction, the next materialization rebuilds the views that were written before"
        )


def _memory_of(server: redis.Redis) -> Memory:
    memory: dict[str, Any] = server.info("memory")  # type: ignore[assignment]
    stats: dict[str, Any] = server.info("stats")  # type: ignore[assignment]
    options: dict[str, Any] = server.connection_pool.connection_kwargs
    policy = memory.get("maxmemory_policy") or _configured(server, "maxmemory-policy")
    return Memory(
        f"{options.get('host')}:{options.get('port')}",
        str(policy) if policy else None,
        int(memory.get("maxmemory", 0)),
        int(memory.get("used_memory", 0)),
        int(stats.get("evicted_keys", 0)),
    )


def _configured(server: redis.Redis, name: str) -> str | None:
    """None where ``CONFIG`` is forbidden: the caller says that it is not known."""
    try:
        found: dict[str, str] = server.config_get(name)  # type: ignore[assignment]
    except redis.ResponseError:
        return None
    return found.get(name)

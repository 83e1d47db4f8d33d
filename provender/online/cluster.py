"""Which server of a Redis cluster holds a key, and what to do when that has changed.

Servers go by redis-py's ``host:port`` names. A plain client is a cluster of one.
"""

from __future__ import annotations

from typing import Any

import redis
from redis.cluster import ClusterNode, RedisCluster
from redis.exceptions import AskError, MovedError, TryAgainError

REDIRECTIONS = (MovedError, AskError, TryAgainError)
"""A server's answers for a slot that it does not hold, or only half."""


def servers_of(client: redis.Redis | RedisCluster) -> list[redis.Redis]:
    """A client of each server that holds keys. Closing ``client`` closes them."""
    if isinstance(client, RedisCluster):
        nodes: list[ClusterNode] = _untyped(client).get_primaries()
        return [client.get_redis_connection(node) for node in nodes]
    return [client]


def server_name(client: RedisCluster, key: bytes) -> str:
    """The server that holds ``key``, as far as the client knows."""
    return str(_untyped(client).get_node_from_key(key).name)


def server_named(client: RedisCluster, name: str) -> redis.Redis:
    """A client of that server alone."""
    node: ClusterNode = _untyped(client).get_node(node_name=name)
    return client.get_redis_connection(node)


def repeated(client: RedisCluster, command: bytes, script: str) -> Any:
    """The answer to a raw EVALSHA of ``script``, from wherever its key's slot is now."""
    name, sha, count, *rest = arguments_of(command)
    call = (name.decode(), sha.decode(), int(count), *rest)
    try:
        return _untyped(client).execute_command(*call)
    except redis.exceptions.NoScriptError:
        client.script_load(script)
        return _untyped(client).execute_command(*call)


def ask(client: RedisCluster, keys: list[bytes], commands: list[bytes]) -> list[Any]:
    """The answers to raw commands of one key each, in order: one round trip to each server that holds some."""
    by_server: dict[str, list[int]] = {}
    for at, key in enumerate(keys):
        by_server.setdefault(server_name(client, key), []).append(at)
    answers: dict[int, Any] = {}
    opened = []
    try:
        for name, places in by_server.items():
            pool = server_named(client, name).connection_pool
            connection: Any = pool.get_connection()
            opened.append((pool, connection))
            connection.send_packed_command([b"".join(commands[at] for at in places)])
        for (_, connection), places in zip(opened, by_server.values(), strict=True):
            for at in places:
                answers[at] = _answer(connection)
    except BaseException:
        for _, connection in opened:
            connection.disconnect()  # answers may be outstanding
        raise
    finally:
        for pool, connection in opened:
            pool.release(connection)
    for at, answer in answers.items():
        if isinstance(answer, REDIRECTIONS):
            verb, *rest = arguments_of(commands[at])
            answers[at] = _untyped(client).execute_command(verb.decode(), *rest)
    return [answers[at] for at in range(len(commands))]


def _untyped(client: RedisCluster) -> Any:
    """Half of redis-py's cluster client has no types."""
    return client


def _answer(connection: Any) -> Any:
    try:
        return connection.read_response(disable_decoding=True)
    except REDIRECTIONS as moved:
        return moved


def arguments_of(command: bytes) -> list[bytes]:
    """The arguments of one raw RESP command."""
    end = command.index(b"\r\n")
    found = []
    for _ in range(int(command[1:end])):
        start = end + 2
        end = command.index(b"\r\n", start)
        length = int(command[start + 1 : end])
        found.append(command[end + 2 : end + 2 + length])
        end += 2 + length
    return found

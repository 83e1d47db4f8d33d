"""The parts of an online store that can be lost on their own, and scripts that run on each of them.

A single server is one part. A cluster loses its servers one by one, and moves slots between them: there a part is a
slot out of each 256, and one more on a server that holds none of those. So every server that holds keys holds a part,
whatever has been moved, and what is kept in a part goes where the slot's values go.
"""

from __future__ import annotations

from functools import cache
from itertools import count
from typing import Any

from redis.cluster import RedisCluster
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

from provender.online.cluster import ask
from provender.online.connection import Client

_SLOTS_PER_PART = 256


def part_keys(client: Client, stem: str) -> list[str]:
    """A key beginning with ``stem`` for each part of the store, the same ones each time while no slot moves."""
    if not isinstance(client, RedisCluster):
        return [stem]
    return [f"{stem}:{{{tag}}}" for tag in _tags_of(client)]


def run_on_each(client: Client, keys: list[list[str]], script: str, arguments: list[str]) -> list[Any]:
    """The answers of ``script`` to each part's keys (in a cluster all of one slot), in order. One round trip to each
    server.

    Raises redis-py's errors.
    """
    if isinstance(client, RedisCluster):
        commands = [_packed("EVAL", script, str(len(some)), *some, *arguments) for some in keys]
        return ask(client, [some[0].encode() for some in keys], commands)
    return [client.eval(script, len(some), *some, *arguments) for some in keys]


def _tags_of(client: RedisCluster) -> list[str]:
    holders: dict[int, list[Any]] = client.nodes_manager.slots_cache
    without = {nodes[0].name for nodes in holders.values()}
    tags = list(_even_tags())
    without -= {holders[_slot(tag)][0].name for tag in tags if _slot(tag) in holders}
    for name in sorted(without):
        tags.append(next(str(n) for n in count() if _is_on(holders, str(n), name)))
    return tags


def _is_on(holders: dict[int, list[Any]], tag: str, name: str) -> bool:
    nodes = holders.get(_slot(tag))
    return bool(nodes) and nodes[0].name == name  # type: ignore[index]


@cache
def _even_tags() -> tuple[str, ...]:
    """The smallest number whose slot lies in each run of :data:`_SLOTS_PER_PART` slots."""
    found: dict[int, str] = {}
    for number in count():
        found.setdefault(_slot(str(number)) // _SLOTS_PER_PART, str(number))
        if len(found) == REDIS_CLUSTER_HASH_SLOTS // _SLOTS_PER_PART:
            return tuple(found[run] for run in sorted(found))
    raise AssertionError("count() does not end")


def _slot(tag: str) -> int:
    return int(key_slot(tag.encode()))


def _packed(*parts: str) -> bytes:
    encoded = [part.encode() for part in parts]
    return b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in encoded)

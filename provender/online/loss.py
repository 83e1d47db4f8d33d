"""Whether the online store still holds everything that one materialisation wrote.

A server that restarts or fails over while rows are written, or is flushed, may have lost some of them, and the writer
would not notice: it only reconnects. So a token is left there before the first row, together with the servers' run
ids, and both must be unchanged before the marker says that the view is complete.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from provender.errors import OnlineStoreError
from provender.online.cluster import servers_of
from provender.online.connection import Client, address, connect, translated


@dataclass(frozen=True, slots=True)
class Begun:
    """What was there when the writing of a view began."""

    token: str
    run_ids: tuple[str, ...]
    """Redis' own: another one after each start, and after a failover."""


def writing_key(project: str) -> str:
    """A hash, view to token. Cannot be taken for an entity key, which starts with a binary count."""
    return f"provender:writing:{project}"


def begin(connection_string: str, project: str, view: str) -> Begun:
    """Leaves a token. Raises :class:`OnlineStoreError`."""
    with translated(connection_string, f"beginning to write view {view}"):
        client = connect(connection_string)
        begun = Begun(secrets.token_hex(8), _run_ids(client))
        client.hset(writing_key(project), view, begun.token)
        client.close()
    return begun


def confirm(connection_string: str, project: str, view: str, begun: Begun) -> None:
    """Takes the token back. Raises :class:`OnlineStoreError` if anything may have been lost since it was left."""
    with translated(connection_string, f"ending to write view {view}"):
        client = connect(connection_string)
        token: bytes | None = client.hget(writing_key(project), view)  # type: ignore[assignment]
        is_whole = token == begun.token.encode() and _run_ids(client) == begun.run_ids
        client.hdel(writing_key(project), view)
        client.close()
    if not is_whole:
        raise OnlineStoreError(
            f"the online store was restarted, flushed or failed over while view {view} was written, "
            "so rows may be missing",
            where=address(connection_string),
            unharmed="the offline tables; the ledger does not say that this run is online",
            remedy="run it again: what is due is written again, and a lost marker means a rebuild",
        )


def _run_ids(client: Client) -> tuple[str, ...]:
    return tuple(sorted(str(server.info("server")["run_id"]) for server in servers_of(client)))  # type: ignore[index]

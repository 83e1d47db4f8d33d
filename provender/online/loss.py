"""Whether the online store still holds everything that was written to it.

A server that restarts, fails over, is flushed or is restored to an older state has lost rows, and a writer would not
notice: it only reconnects. So each part of the store (:mod:`provender.online.parts`) keeps, beside the values, a hash
``provender:session:<project>`` with two fields per view:

    s:<view>   "<session> <base> <evicted>@<run id>": which session wrote the view last, on which one of the ledger's it
               rests, and how many keys its server had evicted by then; "-" while nothing was written as a whole
    w:<view>   a token, while a session writes

What a session does is decided by scripts, each of them one atomic step on the server:

    read      what each part says, for the plan
    begin     only if the part and the marker still are what the plan rests on: leave the token
    confirm   only if the token is there, and the server's process and history are the same: take the token back, and
              set the session, and in a single server the marker too

A loss before ``begin`` changes what the plan rests on, one before ``confirm`` takes the token, a later one takes the
session; and a replica that lags has neither, since both come after the rows. The ledger's entry names the session, so
whatever the store was restored to, an older session is seen.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection
from dataclasses import asdict, dataclass

from redis.cluster import RedisCluster

from provender.errors import OnlineStoreError
from provender.online.connection import Client, address, connect, translated
from provender.online.marker import Marker, marker_key
from provender.online.parts import part_keys, run_on_each

_IDENTITY = """
local server, replication = redis.call('INFO', 'server'), redis.call('INFO', 'replication')
local run_id = string.match(server, 'run_id:(%w+)') or ''
local identity = run_id .. '/' .. (string.match(replication, 'master_replid:(%w+)') or '')
local evicted = string.match(redis.call('INFO', 'stats'), 'evicted_keys:(%d+)') or '0'
"""
"""Another run id after each start, another replication id after each promotion of a replica."""

_READ = _IDENTITY + "return {redis.call('HGETALL', KEYS[1]), run_id, evicted}"

_BEGIN = (
    _IDENTITY
    + """
local view, token, base = ARGV[1], ARGV[2], ARGV[3]
local held = redis.call('HGET', KEYS[1], 's:' .. view) or ''
if base ~= '' and not string.find(held, base, 1, true) then return '' end
if KEYS[2] and ARGV[4] ~= '' and (redis.call('HGET', KEYS[2], view) or '') ~= ARGV[4] then return '' end
if held == '' then redis.call('HSET', KEYS[1], 's:' .. view, '-') end
redis.call('HSET', KEYS[1], 'w:' .. view, token)
return identity
"""
)

_CONFIRM = (
    _IDENTITY
    + """
local view, token, known, session, base = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local held = redis.call('HGET', KEYS[1], 's:' .. view) or ''
if session ~= '' and string.find(held, session, 1, true) == 1 then return 1 end
if redis.call('HGET', KEYS[1], 'w:' .. view) ~= token then return 0 end
redis.call('HDEL', KEYS[1], 'w:' .. view)
if not string.find(known, identity, 1, true) then return 0 end
if KEYS[2] and ARGV[6] ~= '' and (redis.call('HGET', KEYS[2], view) or '') ~= ARGV[6] then return 0 end
if session == '' then return 1 end
redis.call('HSET', KEYS[1], 's:' .. view, session .. ' ' .. base .. ' ' .. evicted .. '@' .. run_id)
if KEYS[2] then redis.call('HSET', KEYS[2], view, ARGV[7]) end
return 1
"""
)
"""A confirmation that was sent twice, because its answer was lost, answers as the first time."""


@dataclass(frozen=True, slots=True)
class Part:
    """What one part of the store says."""

    sessions: dict[str, str]
    """View to ``s:<view>``."""
    run_id: str
    evicted: int


@dataclass(frozen=True, slots=True)
class Held:
    """What the whole store says of the views of a project."""

    parts: list[Part]

    @property
    def views(self) -> set[str]:
        """Every view of which something was ever written."""
        return {view for part in self.parts for view in part.sessions}

    def is_whole(self, view: str, session: str) -> bool:
        """Whether every part holds what ``session`` wrote."""
        return all(session in part.sessions.get(view, "") for part in self.parts)

    def evicted(self, view: str) -> int:
        """How many keys the servers have evicted since the view was written, whosever they were."""
        return max((_evicted_since(part, part.sessions.get(view, "")) for part in self.parts), default=0)


@dataclass(frozen=True, slots=True)
class Basis:
    """What a plan rests on. Empty texts: on nothing, since everything is written again."""

    session: str = ""
    """The one that the ledger's entry names; empty also if it was written by a version that kept none."""
    marker: str = ""
    """The marker as it is stored."""


@dataclass(frozen=True, slots=True)
class Begun:
    """What was there when the writing of a view began."""

    token: str
    identities: tuple[str, ...]
    """The servers' run ids and replication ids."""
    basis: Basis


def session_key(project: str) -> str:
    """A hash; in a cluster the stem of one per part. Cannot be taken for an entity key, which starts with a binary
    count."""
    return f"provender:session:{project}"


def read_held(connection_string: str, project: str) -> Held:
    """What each part of the store says now. Raises :class:`OnlineStoreError`."""
    with translated(connection_string, "reading what the online store holds"):
        client = connect(connection_string)
        answers = run_on_each(client, _keys(client, project), _READ, [])
        client.close()
    return Held([_part(*answer) for answer in answers])


def begin(connection_string: str, project: str, view: str, basis: Basis | None = None) -> Begun:
    """Leaves a token in each part. Raises :class:`OnlineStoreError` if the store is not what ``basis`` says any more.

    After the error the store says by itself that it has to be rebuilt, or it holds what another writer wrote.
    """
    basis, token = basis or Basis(), secrets.token_hex(8)
    with translated(connection_string, f"beginning to write view {view}"):
        client = connect(connection_string)
        arguments = [view, token, basis.session, basis.marker]
        answers = run_on_each(client, _keys(client, project), _BEGIN, arguments)
        identities = tuple(sorted({answer.decode() for answer in answers}))
        is_same = "" not in identities
        if is_same and isinstance(client, RedisCluster):
            is_same = _is_marker_same(client, project, view, basis)
        client.close()
    if not is_same:
        raise OnlineStoreError(
            f"the online store lost what it held of view {view} (flushed, failed over or restored), "
            "after it was read and before the first row was written",
            where=address(connection_string),
            not_affected="the offline tables; nothing of this view was written",
            remedy="run it again: the view is rebuilt",
        )
    return Begun(token, identities, basis)


def confirm(
    connection_string: str, project: str, view: str, begun: Begun, marker: Marker | None = None
) -> str:
    """Takes the token back and, given a ``marker``, sets it and answers the session's id (else an empty text).

    Raises :class:`OnlineStoreError` if anything may have been lost since the token was left; then no marker is set.
    """
    session = begun.token if marker else ""
    text = _text(marker) if marker else ""
    with translated(connection_string, f"ending to write view {view}"):
        client = connect(connection_string)
        arguments = [view, begun.token, " ".join(begun.identities), session, begun.basis.session or "-"]
        arguments += [begun.basis.marker, text]
        answers = run_on_each(client, _keys(client, project), _CONFIRM, arguments)
        is_whole = all(answers)
        if is_whole and isinstance(client, RedisCluster):
            is_whole = _is_marker_same(client, project, view, begun.basis)
            if is_whole and marker:
                # Its server's part was confirmed: where that is lost from now on, the part says so.
                client.hset(marker_key(project), view, text)
        client.close()
    if not is_whole:
        raise OnlineStoreError(
            f"the online store was restarted, flushed, restored or failed over while view {view} was written, "
            "so rows may be missing",
            where=address(connection_string),
            not_affected="the offline tables; the ledger does not say that this run is online",
            remedy="run it again: what is due is written again, and what was lost means a rebuild",
        )
    return session


def forget(connection_string: str, project: str, views: Collection[str]) -> None:
    """Removes all that the store says of ``views``, markers included: nothing of them is online any more.

    Raises :class:`OnlineStoreError`.
    """
    if not views:
        return
    fields = [f"{kind}:{view}" for view in views for kind in "sw"]
    with translated(connection_string, "removing what was kept of views"):
        client = connect(connection_string)
        for key in part_keys(client, session_key(project)):
            client.hdel(key, *fields)
        client.hdel(marker_key(project), *views)
        client.close()


def _keys(client: Client, project: str) -> list[list[str]]:
    """Of each part; in a single server with the marker's, which is in another slot of a cluster."""
    keys = part_keys(client, session_key(project))
    is_cluster = isinstance(client, RedisCluster)
    return [[key] if is_cluster else [key, marker_key(project)] for key in keys]


def _is_marker_same(client: Client, project: str, view: str, basis: Basis) -> bool:
    if not basis.marker:
        return True
    stored = client.hget(marker_key(project), view)
    return stored is not None and stored.decode() == basis.marker  # type: ignore[union-attr]


def _text(marker: Marker) -> str:
    return json.dumps(asdict(marker), sort_keys=True)


def _part(fields: list[bytes], run_id: bytes, evicted: bytes) -> Part:
    texts = dict(zip(fields[::2], fields[1::2], strict=True))
    sessions = {name[2:].decode(): text.decode() for name, text in texts.items() if name.startswith(b"s:")}
    return Part(sessions, run_id.decode(), int(evicted))


def _evicted_since(part: Part, session: str) -> int:
    counted, _, run_id = session.rpartition(" ")[2].partition("@")
    if not run_id:
        return 0
    return part.evicted - int(counted) if run_id == part.run_id else part.evicted

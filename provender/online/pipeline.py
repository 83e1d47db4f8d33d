"""Windows of script calls on their way to Redis: two in flight, a broken connection reopened, no faster than asked."""

from __future__ import annotations

import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self

import redis
from redis.cluster import RedisCluster

from provender.online.cluster import REDIRECTIONS, repeated, server_name, server_named
from provender.online.script import NEWEST_WINS

_WINDOWS_IN_FLIGHT = 2
_RECONNECTIONS = 3
_BROKEN = (redis.ConnectionError, redis.TimeoutError, OSError)


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of the rows: ``written`` + ``skipped`` + ``deleted`` is their number."""

    written: int = 0
    """Replaced what was online, or was the first."""
    skipped: int = 0
    """Something newer was online; or nothing was left of the row and nothing was online; or a key was null."""
    deleted: int = 0
    """Nothing was left of the row, and the view's values were removed."""

    @property
    def rows(self) -> int:
        return self.written + self.skipped + self.deleted

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.written + other.written, self.skipped + other.skipped, self.deleted + other.deleted
        )


@dataclass(frozen=True, slots=True)
class Call:
    """One EVALSHA, ready to be sent; ``key`` is its first entity key, which says to which server of a cluster."""

    key: bytes
    command: bytes
    rows: int


@dataclass
class Pace:
    """Holds windows back so that no more than ``rows_per_second`` are sent; None: as fast as the server takes them."""

    rows_per_second: float | None
    _rows: int = 0
    _started: float = field(default_factory=time.monotonic)

    def admit(self, window: list[Call]) -> None:
        """Waits until the window may go."""
        if self.rows_per_second is None:
            return
        early = self._started + self._rows / self.rows_per_second - time.monotonic()
        if early > 0:
            time.sleep(early)
        self._rows += sum(call.rows for call in window)


class Pipeline:
    """One connection with up to two windows of calls in flight.

    A connection that breaks is opened again, and what was not answered is sent once more: of equals the later write
    wins, so a row that had arrived is written twice to the same end. A server that does not know the script answers
    NOSCRIPT; then the script is loaded and everything from the first such call on is sent again, in order.

    ``redirected`` gets the calls that a server of a cluster refused because it does not hold their slot (any more).
    """

    def __init__(self, client: redis.Redis, redirected: list[Call] | None = None) -> None:
        self._client = client
        self._connection: Any = None
        self._in_flight: deque[list[Call]] = deque()
        self._answered = 0  # of the oldest window
        self._failures = 0  # since the last window that went through
        self._counts = Counts()
        self._redirected = redirected

    def __enter__(self) -> Self:
        self._connection = self._client.connection_pool.get_connection()
        return self

    def __exit__(self, *_: object) -> None:
        # Replies may be outstanding after an error: the connection must not be used again.
        self._connection.disconnect()
        self._client.close()

    def send(self, calls: list[Call]) -> None:
        while len(self._in_flight) >= _WINDOWS_IN_FLIGHT:
            self._receive()
        self._in_flight.append(calls)
        try:
            self._transmit(calls)
        except _BROKEN as error:
            self._reconnect(error)

    def finish(self) -> Counts:
        while self._in_flight:
            self._receive()
        return self._counts

    def _transmit(self, calls: list[Call]) -> None:
        self._connection.send_packed_command([b"".join(call.command for call in calls)])

    def _receive(self) -> None:
        """Takes the answers to the oldest window."""
        calls = self._in_flight[0]
        try:
            while self._answered < len(calls):
                self._take(calls[self._answered])
                self._answered += 1
        except redis.exceptions.NoScriptError:
            self._load_script()
            return
        except _BROKEN as error:
            self._reconnect(error)
            return
        self._in_flight.popleft()
        self._answered = self._failures = 0

    def _take(self, call: Call) -> None:
        """Takes the answer to ``call``."""
        try:
            self._counts += Counts(*self._connection.read_response())
        except REDIRECTIONS:
            if self._redirected is None:
                raise
            self._redirected.append(call)

    def _load_script(self) -> None:
        """Passes over the answers that are still to come, loads the script, and sends what was not answered again."""
        try:
            for _ in range(sum(map(len, self._in_flight)) - self._answered - 1):
                with suppress(redis.exceptions.NoScriptError, *REDIRECTIONS):
                    self._connection.read_response()  # counted when it is repeated
            self._connection.send_command("SCRIPT", "LOAD", NEWEST_WINS)
            self._connection.read_response()
            self._transmit_again()
        except _BROKEN as error:
            self._reconnect(error)

    def _reconnect(self, error: Exception) -> None:
        """A new connection, over which everything unanswered is sent again. Raises the last error after some tries."""
        while True:
            self._failures += 1
            if self._failures > _RECONNECTIONS:
                raise error
            try:
                self._connection.disconnect()
                self._connection.connect()  # waits longer with each try
                self._transmit_again()
                return
            except _BROKEN as again:
                error = again

    def _transmit_again(self) -> None:
        self._in_flight[0] = self._in_flight[0][self._answered :]
        self._answered = 0
        for calls in self._in_flight:
            self._transmit(calls)


class ClusterPipeline:
    """A :class:`Pipeline` to each server of a cluster. A slot that moves meanwhile is followed, call by call."""

    def __init__(self, client: RedisCluster) -> None:
        self._client = client
        self._pipelines: dict[str, Pipeline] = {}
        self._redirected: list[Call] = []
        self._followed = Counts()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for pipeline in self._pipelines.values():
            pipeline.__exit__()
        self._client.close()

    def send(self, calls: list[Call]) -> None:
        by_server: dict[str, list[Call]] = {}
        for call in calls:
            by_server.setdefault(server_name(self._client, call.key), []).append(call)
        for name, some in by_server.items():
            self._to(name).send(some)
        self._follow()

    def finish(self) -> Counts:
        counts = sum((pipeline.finish() for pipeline in self._pipelines.values()), Counts())
        self._follow()
        return counts + self._followed

    def _to(self, name: str) -> Pipeline:
        if name not in self._pipelines:
            server = server_named(self._client, name)
            self._pipelines[name] = Pipeline(server, self._redirected).__enter__()
        return self._pipelines[name]

    def _follow(self) -> None:
        """Repeats the refused calls with a client that asks where their slots are now."""
        for call in self._redirected:
            self._followed += Counts(*repeated(self._client, call.command, NEWEST_WINS))
        self._redirected.clear()

"""Who waits for an engine sees its end within seconds, and says it in one sentence.

Spark Connect's client takes a dead server for a busy one and asks it for ten minutes. Here it asks again only as
long as the engine is there: the local one's supervisor is looked at before each try, a remote one has seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc  # type: ignore[import-untyped]
from pyspark.errors import PySparkException
from pyspark.sql.connect.client.retries import DefaultPolicy, RetryPolicyState

from provender.errors import SparkUnavailableError
from provender.settings import Settings
from provender.spark import server
from provender.spark.ended import read_ended

_LOCAL_TRIES = 60
_REMOTE_TRIES = 6
"""0.05, 0.1, 0.2 … seconds apart, at most one: a remote engine that does not answer has three seconds."""
_NOT_AFFECTED = "everything committed before; nothing of this attempt is visible"
_NOTED_SECONDS = 5.0
_POLL_SECONDS = 0.05


class EngineWatch:
    """Watches the engine at ``address``; None: the one that ``provender.spark.remote`` names."""

    def __init__(self, settings: Settings, address: server.Address | None) -> None:
        self._settings, self._address = settings, address

    @property
    def url(self) -> str:
        return self._address.url if self._address else str(self._settings.spark.remote)

    @property
    def is_gone(self) -> bool:
        """Whether the engine has ended; of a remote one nobody knows."""
        return self._address is not None and server.running(self._settings) != self._address

    def policy(self) -> DefaultPolicy:
        """When Spark Connect's client may ask again."""
        tries = _LOCAL_TRIES if self._address else _REMOTE_TRIES
        return _WhileThere(tries, lambda: not self.is_gone)

    @contextmanager
    def explaining(self) -> Iterator[None]:
        """Raises :class:`SparkUnavailableError` for whatever comes of the engine's end during the block."""
        try:
            yield
        except Exception as error:
            if _is_of_spark(error) and (self.is_gone or (self._address is None and _is_unavailable(error))):
                raise self.error() from error
            raise

    def error(self) -> SparkUnavailableError:
        """How the engine ended, and what to do."""
        if self._address is None:
            return SparkUnavailableError(
                "the Spark engine of provender.spark.remote does not answer any more",
                where=self.url.split(";")[0],
                not_affected=_NOT_AFFECTED,
                remedy="start it again if it has ended, then run the same command again",
            )
        files = server.Files.of(self._settings)
        deadline = time.monotonic() + _NOTED_SECONDS
        while (ended := read_ended(files.ended, self._address.keeper_pid)) is None:
            if time.monotonic() > deadline or not server.is_supervised(files):
                break
            time.sleep(_POLL_SECONDS)
        return SparkUnavailableError(
            f"the local Spark engine {ended.what if ended else 'ended: its supervisor was killed'}",
            where=str(files.log),
            not_affected=_NOT_AFFECTED,
            remedy=ended.remedy(self._settings.spark.driver_memory)
            if ended
            else "run the same command again; it starts a new engine",
        )


class _WhileThere(DefaultPolicy):
    """PySpark's choice of errors to try again after, at most ``tries`` times and as long as ``is_there``."""

    def __init__(self, tries: int, is_there: Callable[[], bool]) -> None:
        super().__init__(max_retries=tries, initial_backoff=50, backoff_multiplier=2.0, max_backoff=1000)
        self._is_there = is_there

    def can_retry(self, e: BaseException) -> bool:
        return bool(super().can_retry(e)) and self._is_there()

    def to_state(self) -> RetryPolicyState:
        return _State(self)


class _State(RetryPolicyState):
    """The tries of one request. PySpark asks twice about an error, and warns if the second answer differs."""

    _judged: BaseException | None = None
    _verdict = False

    def can_retry(self, exception: BaseException) -> bool:
        if exception is not self._judged:
            self._judged = exception
            has_tries = self._attempt < (self.policy.max_retries or 0)
            self._verdict = has_tries and self.policy.can_retry(exception)
        return self._verdict


def _is_of_spark(error: BaseException) -> bool:
    return any(isinstance(each, PySparkException | grpc.RpcError) for each in _chain(error))


def _is_unavailable(error: BaseException) -> bool:
    return any(_code(each) is grpc.StatusCode.UNAVAILABLE for each in _chain(error))


def _code(error: BaseException) -> Any:
    if isinstance(error, grpc.RpcError):
        code = getattr(error, "code", None)
        return code() if code else None
    return getattr(error, "_grpc_status_code", None)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """``error`` and what led to it."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__

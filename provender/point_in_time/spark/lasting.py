"""Frames that are handed out: their session, and the files they read, live as long as the process.

A frame made from such a frame knows its session and nothing else of where it came from, so no sooner end is safe. All
frames of a feature repo share one session, and keep the local engine up.
"""

from __future__ import annotations

import atexit
import secrets
from contextlib import ExitStack
from threading import Lock

from pyspark.sql import SparkSession

from provender.settings import Settings
from provender.spark import server
from provender.spark.session import spark_session
from provender.storage import storage_at

_sessions: dict[tuple[str, str | None], tuple[SparkSession, server.Address | None]] = {}
_one_at_a_time = Lock()


def lasting_session(settings: Settings) -> SparkSession:
    """The process's session for frames of this repo; a new one where its engine has ended.

    Raises :class:`SparkUnavailableError`.
    """
    key = (str(settings.repo), settings.spark.remote)
    with _one_at_a_time:
        session, engine = _sessions.get(key, (None, None))
        if session is None or (engine is not None and server.running(settings) != engine):
            stack = ExitStack()
            session = stack.enter_context(spark_session(settings, f"frames-{secrets.token_hex(8)}"))
            atexit.register(_end, session, stack)
            _sessions[key] = session, _engine(settings)
        return session


def _engine(settings: Settings) -> server.Address | None:
    is_ours = settings.spark.backend == "local" and not settings.spark.remote
    return server.running(settings) if is_ours else None


def _end(session: SparkSession, stack: ExitStack) -> None:
    # The engine may be gone by now, and asking it to release the session would be tried for minutes.
    session.release_session_on_close = False  # type: ignore[attr-defined]
    stack.close()


def keep_until_exit(settings: Settings, path: str) -> None:
    """Has ``path`` of the storage removed when the process ends."""
    atexit.register(storage_at(settings.storage_root).delete_tree, path)

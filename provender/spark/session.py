"""A Spark session for one attempt: on the warm local engine, or the cluster application's own.

Everything above uses DataFrames and SQL only, which both give alike.
"""

from __future__ import annotations

import itertools
import logging
import os
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, cast

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from provender.errors import SettingsError, SparkUnavailableError
from provender.settings import SETTINGS_FILE, Settings
from provender.spark import server
from provender.spark.watch import EngineWatch
from provender.storage.readers import hadoop_conf

# PySpark prints every failed plan, with both stacks, before it raises; the message we raise is enough.
logging.getLogger("DataFrameQueryContextLogger").setLevel(logging.CRITICAL)
logging.getLogger("SQLQueryContextLogger").setLevel(logging.CRITICAL)

SMALL_INPUT_BYTES = 16 << 20
"""A day of a small source: less than a shuffle partition's worth."""

_SMALL_WORK_CONF = {
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.shuffle.partitions": "1",
}


_SUBMITTED = frozenset({"PYSPARK_GATEWAY_PORT", "PYSPARK_SUBMIT_ARGS"})
"""Spark sets the first one in a program that it starts; who starts Python himself sets the second one."""


@contextmanager
def spark_session(settings: Settings, attempt: str) -> Iterator[SparkSession]:
    """The session of ``attempt``.

    Raises :class:`SparkUnavailableError` if the engine cannot be reached, and within seconds if it ends during the
    block, instead of what Spark made of that.
    """
    if settings.spark.backend != "local":
        yield _application_session(settings, attempt)
        return
    with ExitStack() as stack:
        watch, session = _open(settings, attempt, stack)
        stack.callback(_end, session, watch)
        stack.enter_context(_active(session))
        stack.enter_context(watch.explaining())
        yield session


def _open(settings: Settings, attempt: str, stack: ExitStack) -> tuple[EngineWatch, SparkSession]:
    """A session on an engine that stays up as long as ``stack``."""
    if settings.spark.remote:
        watch = EngineWatch(settings, None)
        return watch, _connect(watch, attempt)
    watch = EngineWatch(settings, stack.enter_context(server.in_use(settings)))
    try:
        return watch, _connect(watch, attempt)
    except SparkUnavailableError:
        if not watch.is_gone:
            raise
    # It was ending when we found it.
    watch = EngineWatch(settings, server.started(settings))
    return watch, _connect(watch, attempt)


@contextmanager
def _active(session: SparkSession) -> Iterator[None]:
    """Makes ``session`` this thread's active one.

    PySpark gives the frame that ``localCheckpoint`` returns to the active session, whichever made it, and a new
    session does not become active while there is another.
    """
    from pyspark.sql.connect.session import SparkSession as ConnectSession

    holder = ConnectSession._active_session
    before = getattr(holder, "session", None)
    holder.session = session
    try:
        yield
    finally:
        holder.session = before


def tune_for(session: SparkSession, input_bytes: int) -> None:
    """Fits a session to its work: where there is little of it, planning and compiling cost more than running."""
    if input_bytes < SMALL_INPUT_BYTES:
        for name, value in _SMALL_WORK_CONF.items():
            session.conf.set(name, value)


def interrupt(settings: Settings, attempt: str) -> None:
    """Ends whatever the attempt still runs on the local engine. Nothing running is not an error."""
    if settings.spark.backend != "local":
        return
    address = None if settings.spark.remote else server.running(settings)
    if address is None and not settings.spark.remote:
        return
    watch = EngineWatch(settings, address)
    try:
        session = _connect(watch, attempt)
        try:
            with watch.explaining():
                session.interruptAll()
        finally:
            _end(session, watch)
    except SparkUnavailableError:
        if not watch.is_gone:  # what it ran has ended with it
            raise


def _end(session: SparkSession, watch: EngineWatch) -> None:
    """Stops a session for good.

    PySpark closes a session's client once more when the garbage collector finds it. That may be while a later
    session holds the lock of the thread pool that all clients share: it would wait for itself, forever.
    """
    if watch.is_gone:
        session.release_session_on_close = False  # type: ignore[attr-defined]
    session.stop()
    client: Any = cast(Any, session).client
    client.close = lambda: None


def session_id(attempt: str, generation: int) -> str:
    """The Spark Connect session id of an attempt: the same whenever asked, so that it can be found again."""
    name = f"provender:{attempt}:{generation}"
    return str(uuid.UUID(bytes=uuid.uuid5(uuid.NAMESPACE_URL, name).bytes, version=4))


def _connect(watch: EngineWatch, attempt: str) -> SparkSession:
    """The attempt's open session. A closed id is never opened again by the server, so the next one is tried."""
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    url = watch.url
    base = url.rstrip(";") if "/;" in url else f"{url.rstrip('/')}/"
    for generation in itertools.count():
        location = f"{base};session_id={session_id(attempt, generation)}"
        session: SparkSession = SparkSession.builder.remote(location).create()
        cast(Any, session).client.set_retry_policies([watch.policy()])
        try:
            _apply_conf(session)
            return session
        except PySparkException as error:
            session.release_session_on_close = False  # type: ignore[attr-defined]
            _end(session, watch)
            if watch.is_gone:
                raise watch.error() from error
            if "SESSION_CLOSED" not in str(error):
                raise SparkUnavailableError(
                    f"the local Spark engine does not answer: {error}",
                    where=url.split(";")[0],
                    not_affected="all committed data",
                    remedy="run the same command again; it starts a new engine if the old one is gone",
                ) from error
    raise AssertionError("unreachable: the loop has no end")


def _apply_conf(session: SparkSession) -> None:
    for name in ("spark.sql.session.timeZone", "spark.sql.csv.parser.columnPruning.enabled"):
        session.conf.set(name, server.SESSION_CONF[name])


def _application_session(settings: Settings, attempt: str) -> SparkSession:
    if not _SUBMITTED.intersection(os.environ):
        raise SettingsError(
            f"with provender.spark.backend: {settings.spark.backend}, applications run on the cluster, not here",
            where=str(settings.repo / SETTINGS_FILE),
            not_affected="all committed data",
            remedy="let Airflow run it (airflow dags trigger), or start it with spark-submit",
        )
    builder = SparkSession.builder.appName(attempt)
    for name, value in (server.SESSION_CONF | hadoop_conf(settings.storage_root)).items():
        builder = builder.config(name, value)
    return builder.getOrCreate()

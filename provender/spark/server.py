"""The warm local engine: one Spark Connect server per state directory, shared by every job on this machine.

A fresh JVM costs more than a small day's work, so the first job that needs Spark starts a server and later
jobs find it. One supervisor (:mod:`provender.spark.supervisor`) owns it, for as long as it holds a lock:

    job ──shared lock──▶ in_use.lock           supervisor ══holds══▶ supervisor.lock
                              ▲                   │ └──▶ guard      (ends all when the supervisor is killed)
                              └── exclusive? ─────┘ └──▶ JVM ──▶ Python workers

A job that finds the lock free takes it and hands it to the supervisor that it starts, so there is never a second
one. ``server.json`` says where the engine listens, ``ended.json`` how the last one ended; both change only under
the lock. Everything listens on 127.0.0.1 and asks for a secret that only this user can read.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from provender.errors import SetupError, SparkUnavailableError
from provender.processes.marks import MARK, end, mark_of, marked
from provender.processes.process import ProcessRecord, is_listening, open_log
from provender.settings import Settings
from provender.spark.jars import GCS_JARS, wanted
from provender.spark.java import java_command, java_environment
from provender.storage.readers import hadoop_conf

START_TIMEOUT_SECONDS = 240.0
"""A busy machine needs minutes; an engine that dies while it starts is seen at once."""
STOP_SECONDS = 30.0
_FORK_SECONDS = 5.0
_TAIL_BYTES = 8192
_POLL_SECONDS = 0.1
_HOST = "127.0.0.1"
_JVM_OPTIONS = (
    "-XX:+UseParallelGC",
    # A JVM that ran out of memory lives on without some of its threads, and jobs wait for them: it ends instead. One
    # that collects garbage a quarter of the time and finds little is out too (Java waits for 98%, for minutes).
    "-XX:+ExitOnOutOfMemoryError",
    "-XX:GCTimeLimit=25",
    "-XX:GCHeapFreeLimit=10",
    "-Duser.timezone=UTC",
    "-Dderby.system.home=/nonexistent",
)
_CLIENT_VARIABLES = ("SPARK_API_MODE", "SPARK_CONNECT_MODE_ENABLED", "SPARK_LOCAL_REMOTE", "SPARK_REMOTE")
"""What PySpark leaves in the environment of a process that used Spark Connect."""


@dataclass(frozen=True)
class Address:
    """Where the server listens and what it asks for; no two engines have the same."""

    port: int
    token: str
    keeper_pid: int
    """The supervisor's."""

    @property
    def url(self) -> str:
        return f"sc://localhost:{self.port}/;token={self.token};user_id=provender"


@dataclass(frozen=True)
class Files:
    """What an engine has on disk, in ``<state_dir>/spark``."""

    folder: Path

    @classmethod
    def of(cls, settings: Settings) -> Files:
        """The folder is this user's only: scratch files and logs hold rows."""
        folder = settings.state_dir / "spark"
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        return cls(folder)

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    @property
    def address(self) -> Path:
        return self.folder / "server.json"

    @property
    def ended(self) -> Path:
        return self.folder / "ended.json"

    @property
    def ready(self) -> Path:
        """Written by the engine's driver: the port it listens on."""
        return self.folder / "ready.json"

    @property
    def scratch(self) -> Path:
        return self.folder / "scratch"

    @property
    def record(self) -> Path:
        """The supervisor's process; its path marks all of the engine's processes."""
        return self.folder / "supervisor.json"

    @property
    def mark(self) -> str:
        return mark_of(self.record)

    @property
    def in_use(self) -> Path:
        return self.folder / "in_use.lock"

    @property
    def supervisor_lock(self) -> Path:
        return self.folder / "supervisor.lock"


@contextmanager
def in_use(settings: Settings) -> Iterator[Address]:
    """A running server (started if there is none) that stays up during the block.

    Raises :class:`SetupError` if Java or the jars are missing, :class:`SparkUnavailableError` if the server
    does not come up; the message names its log.
    """
    with Files.of(settings).in_use.open("w") as use:
        fcntl.flock(use, fcntl.LOCK_SH)
        yield started(settings)


def started(settings: Settings) -> Address:
    """The server that runs, after starting one if there is none. Raises as :func:`in_use`, which keeps it up."""
    files = Files.of(settings)
    supervisor: subprocess.Popen[bytes] | None = None
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        if (address := running(settings)) is not None:
            return address
        if supervisor is None:
            supervisor = _start(settings, files)
        elif supervisor.poll() is not None:
            raise _not_started("did not start", files)
        time.sleep(_POLL_SECONDS)
    if supervisor is not None:
        supervisor.terminate()
        supervisor.wait()
        raise _not_started(f"did not start within {START_TIMEOUT_SECONDS:.0f} s", files)
    raise _not_started(
        "does not answer", files, "end it with: provender down, then run the same command again"
    )


def running(settings: Settings) -> Address | None:
    """The server that answers now, or None."""
    files = Files.of(settings)
    try:
        address = Address(**json.loads(files.address.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return address if is_supervised(files) and is_listening(_HOST, address.port) else None


def is_supervised(files: Files) -> bool:
    """Whether an engine runs, starts or ends: whoever owns it holds the lock."""
    with files.supervisor_lock.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def stop(settings: Settings) -> bool:
    """Ends the server, one that is starting too, and all that it left behind. Whether there was anything.

    Raises :class:`SparkUnavailableError`, naming the processes, if the system cannot end them.
    """
    files = Files.of(settings)
    record = ProcessRecord.read(files.record)
    was_supervised = is_supervised(files)
    if was_supervised and record and (supervisor := record.process()):
        supervisor.send_signal(signal.SIGTERM)
        _await_free(files, STOP_SECONDS)
    left_behind = end(lambda: marked(files.mark), 0)
    deadline = time.monotonic() + _FORK_SECONDS
    while (
        is_supervised(files) and time.monotonic() < deadline
    ):  # one that was only being started had no mark yet
        left_behind |= end(lambda: marked(files.mark), 0)
        time.sleep(_POLL_SECONDS)
    if remaining := [process.pid for process in marked(files.mark)]:
        raise SparkUnavailableError(
            f"processes of the local Spark engine do not end: {', '.join(map(str, remaining))}",
            where=str(files.folder),
            not_affected="all committed data",
            remedy="look for a disk that does not answer, then run: provender down",
        )
    return was_supervised or left_behind


def _await_free(files: Files, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while is_supervised(files) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)


def _start(settings: Settings, files: Files) -> subprocess.Popen[bytes] | None:
    """A new supervisor, which has the lock from its first moment on; None while another has it."""
    java_command(settings)
    find_jars(settings)
    with files.supervisor_lock.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return None
        files.address.unlink(missing_ok=True)  # a killed engine's: whoever has the lock owns the file
        with open_log(files.log) as output:
            return _launch(settings, files, lock, output)


def _launch(settings: Settings, files: Files, lock: IO[str], output: IO[bytes]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "provender.spark.supervisor"]
    return subprocess.Popen(
        [*command, "--repo", str(settings.repo), "--lock", str(lock.fileno())],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        pass_fds=[lock.fileno()],
        start_new_session=True,
        cwd=settings.state_dir,
        env={**os.environ, MARK: files.mark},
    )


def _not_started(what: str, files: Files, remedy: str = "") -> SparkUnavailableError:
    end_of_log = "\n".join(_tail(files.log).splitlines()[-15:])
    return SparkUnavailableError(
        f"the local Spark engine {what}",
        where=str(files.log),
        not_affected="all committed data",
        remedy=remedy or f"read the end of that log, then run the same command again\n{end_of_log}",
    )


def _tail(log: Path) -> str:
    if not log.exists():
        return ""
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - _TAIL_BYTES))
        return stream.read().decode(errors="replace")


def find_jars(settings: Settings) -> list[Path]:
    """The jars Spark needs besides its own. Raises :class:`SetupError` if one that these settings need is missing."""
    folder = settings.state_dir / settings.spark.jars_dir
    needed, idle = wanted(settings), {jar.file_name for jar in GCS_JARS}
    missing = [jar.file_name for jar in needed if not (folder / jar.file_name).is_file()]
    if missing:
        raise SetupError(
            f"jars for Spark are missing: {', '.join(missing)}",
            where=str(folder),
            remedy="run: provender setup",
        )
    cut = [jar.file_name for jar in needed if not zipfile.is_zipfile(folder / jar.file_name)]
    if cut:
        raise SetupError(
            f"jars for Spark are empty or cut: {', '.join(cut)}",
            where=str(folder),
            remedy="run: provender setup (it replaces them)",
        )
    unused = idle - {jar.file_name for jar in needed}
    return sorted(jar for jar in folder.glob("*.jar") if jar.name not in unused)


def program_environment(settings: Settings) -> dict[str, str]:
    """The environment of a program that starts a Spark of its own, whatever this process did before."""
    ours = {name: value for name, value in os.environ.items() if name not in _CLIENT_VARIABLES}
    return {**ours, **java_environment(settings), "PYSPARK_PYTHON": sys.executable}


def server_conf(settings: Settings) -> dict[str, str]:
    """Spark settings of the local engine. It listens on a port that the system picks."""
    scratch = Files.of(settings).scratch
    conf: dict[str, object] = {
        "spark.app.name": "provender",
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": 0,
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        # The driver and its block manager listen too: with a secret that Spark makes again at every start.
        "spark.authenticate": "true",
        "spark.local.dir": str(scratch),
        "spark.sql.warehouse.dir": str(scratch.with_name("warehouse")),
        "spark.driver.extraJavaOptions": f'{" ".join(_JVM_OPTIONS)} "-Djava.io.tmpdir={scratch}"',
        "spark.log.level": "WARN",
        **SESSION_CONF,
        **hadoop_conf(settings.storage_root),
        # One shuffle partition a core: a small day is all start-up, and a large one is split by size anyway.
        "spark.sql.shuffle.partitions": settings.spark.cores or os.cpu_count() or 2,
        "spark.databricks.delta.snapshotPartitions": 1,
        # Sessions share compiled plans and Python workers; jobs have no artifacts of their own to keep apart.
        "spark.sql.artifact.isolation.enabled": "false",
        "spark.python.daemon.module": "provender.spark.engine.workers",
        **settings.spark.conf,
    }
    return {name: str(value) for name, value in conf.items()}


SESSION_CONF = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    # No text of a query is filled in from the engine's settings or environment, where its token is.
    "spark.sql.variable.substitute": "false",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.csv.parser.columnPruning.enabled": "false",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "10000",
    # HotSpot never compiles a method over 8,000 bytes; the check of a wide row is one, and is faster in pieces.
    "spark.sql.codegen.hugeMethodLimit": "8000",
    # PySpark would walk the Python stack at every call of a function.
    "spark.python.sql.dataFrameDebugging.enabled": "false",
}
"""What every session of ours needs, here and on a cluster."""

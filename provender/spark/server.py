"""The warm local engine: one Spark Connect server per state directory, shared by every job on this machine.

A fresh JVM costs more than a small day's work, so the first job that needs Spark starts a server and later
jobs find it. A small keeper process owns it:

    job ──shared lock──▶ in_use.lock           keeper ──▶ JVM (dies with the keeper)
                              ▲                   │
                              └── exclusive? ─────┘   nobody for idle_minutes: both end

Everything binds to 127.0.0.1 and asks for a token that only this user can read.
"""

from __future__ import annotations

import argparse
import ctypes
import fcntl
import json
import os
import secrets
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event

from provender.errors import SetupError, SparkUnavailableError
from provender.local.jars import GCS_JARS, wanted
from provender.local.java import java_command, java_environment
from provender.local.process import free_port, is_listening, replace_text
from provender.settings import Settings, load_settings
from provender.storage.readers import hadoop_conf

START_TIMEOUT_SECONDS = 120.0
_POLL_SECONDS = 0.1
_KEEPER_POLL_SECONDS = 5.0
_PR_SET_PDEATHSIG = 1
_HOST = "127.0.0.1"
_DRIVER = Path(__file__).parent / "engine" / "driver.py"
_CLIENT_VARIABLES = ("SPARK_API_MODE", "SPARK_CONNECT_MODE_ENABLED", "SPARK_LOCAL_REMOTE", "SPARK_REMOTE")
"""What PySpark leaves in the environment of a process that used Spark Connect."""


@dataclass(frozen=True)
class Address:
    """Where the server listens and what it asks for."""

    port: int
    token: str
    keeper_pid: int

    @property
    def url(self) -> str:
        return f"sc://localhost:{self.port}/;token={self.token};user_id=provender"


@contextmanager
def in_use(settings: Settings) -> Iterator[Address]:
    """A running server (started if there is none) that stays up during the block.

    Raises :class:`SetupError` if Java or the jars are missing, :class:`SparkUnavailableError` if the server
    does not come up; the message names its log.
    """
    folder = _folder(settings)
    with (folder / "in_use.lock").open("w") as use:
        fcntl.flock(use, fcntl.LOCK_SH)
        with (folder / "start.lock").open("w") as start:
            fcntl.flock(start, fcntl.LOCK_EX)
            address = running(settings) or _start(settings)
        yield address


def running(settings: Settings) -> Address | None:
    """The server that answers now, or None."""
    try:
        address = Address(**json.loads((_folder(settings) / "server.json").read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return address if _is_keeper(address.keeper_pid) and is_listening(_HOST, address.port) else None


def stop(settings: Settings) -> bool:
    """Ends the server, if one runs, and waits until it is gone. Whether there was one."""
    address = running(settings)
    if address is None:
        return False
    os.kill(address.keeper_pid, signal.SIGTERM)
    deadline = time.monotonic() + 30
    while _is_keeper(address.keeper_pid) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    return True


def _folder(settings: Settings) -> Path:
    folder = settings.state_dir / "spark"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _start(settings: Settings) -> Address:
    log = _folder(settings) / "server.log"
    java_command(settings)
    find_jars(settings)
    with log.open("ab") as output:
        keeper = subprocess.Popen(
            [sys.executable, "-m", "provender.spark.server", "--repo", str(settings.repo)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd=settings.state_dir,
        )
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while time.monotonic() < deadline and keeper.poll() is None:
        address = running(settings)
        if address is not None:
            return address
        time.sleep(_POLL_SECONDS)
    raise SparkUnavailableError(
        "the local Spark engine did not start",
        where=str(log),
        unharmed="all committed data",
        remedy=f"read the end of that log, then run the same command again\n{_tail(log)}",
    )


def find_jars(settings: Settings) -> list[Path]:
    """The jars Spark needs besides its own. Raises :class:`SetupError` if one that these settings need is missing."""
    folder = settings.state_dir / settings.spark.jars_dir
    needed, idle = wanted(settings), {jar.file_name for jar in GCS_JARS}
    missing = [jar.file_name for jar in needed if not (folder / jar.file_name).is_file()]
    if missing:
        raise SetupError(
            f"jars for Spark are missing: {', '.join(missing)}", where=str(folder), remedy="run: make install"
        )
    cut = [jar.file_name for jar in needed if not zipfile.is_zipfile(folder / jar.file_name)]
    if cut:
        raise SetupError(
            f"jars for Spark are empty or cut: {', '.join(cut)}",
            where=str(folder),
            remedy="run: make install (it replaces them)",
        )
    unused = idle - {jar.file_name for jar in needed}
    return sorted(jar for jar in folder.glob("*.jar") if jar.name not in unused)


def _tail(log: Path, lines: int = 15) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def _is_keeper(pid: int) -> bool:
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return b"provender.spark.server" in arguments and state != "Z"


# ---- the keeper process -----------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Runs the local Spark engine until nobody has used it for a while."
    )
    parser.add_argument("--repo", required=True)
    settings = load_settings(parser.parse_args().repo)
    ended = Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    port, token = free_port(), secrets.token_hex(16)
    jvm = _launch(settings, port, token)
    try:
        if _await_listening(jvm, port, ended):
            _publish(settings, Address(port, token, os.getpid()))
            _keep(settings, jvm, ended)
    finally:
        (_folder(settings) / "server.json").unlink(missing_ok=True)
        _end(jvm)


def _launch(settings: Settings, port: int, token: str) -> subprocess.Popen[bytes]:
    import pyspark

    home = Path(pyspark.__file__).parent
    conf = [
        part for item in server_conf(settings, port).items() for part in ("--conf", f"{item[0]}={item[1]}")
    ]
    command = [
        str(home / "bin" / "spark-submit"),
        *("--master", f"local[{settings.spark.cores or os.cpu_count() or 2}]"),
        *("--driver-memory", settings.spark.driver_memory),
        *("--jars", ",".join(str(jar) for jar in find_jars(settings))),
        *conf,
        str(_DRIVER),
    ]
    environment = {
        **program_environment(settings),
        "SPARK_HOME": str(home),
        "PYSPARK_DRIVER_PYTHON": sys.executable,
        "SPARK_CONNECT_AUTHENTICATE_TOKEN": token,
        "SPARK_LOCAL_IP": "127.0.0.1",
    }
    return subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, preexec_fn=_die_with_parent)


def program_environment(settings: Settings) -> dict[str, str]:
    """The environment of a program that starts a Spark of its own, whatever this process did before."""
    ours = {name: value for name, value in os.environ.items() if name not in _CLIENT_VARIABLES}
    return {**ours, **java_environment(settings), "PYSPARK_PYTHON": sys.executable}


def server_conf(settings: Settings, port: int) -> dict[str, str]:
    """Spark settings of the local engine."""
    conf: dict[str, object] = {
        "spark.app.name": "provender",
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": port,
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.local.dir": str(_folder(settings) / "scratch"),
        "spark.sql.warehouse.dir": str(_folder(settings) / "warehouse"),
        "spark.driver.extraJavaOptions": "-XX:+UseParallelGC -Duser.timezone=UTC -Dderby.system.home=/nonexistent",
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
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.csv.parser.columnPruning.enabled": "false",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "10000",
    # HotSpot never compiles a method over 8,000 bytes; the check of a wide row is one, and is faster in pieces.
    "spark.sql.codegen.hugeMethodLimit": "8000",
    # PySpark would walk the Python stack at every call of a function.
    "spark.python.sql.dataFrameDebugging.enabled": "false",
}
"""What every session of ours needs, here and on a cluster."""


def _die_with_parent() -> None:
    # If the keeper is killed outright, the kernel ends the JVM: nothing is left running.
    ctypes.CDLL("libc.so.6", use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _await_listening(jvm: subprocess.Popen[bytes], port: int, ended: Event) -> bool:
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while jvm.poll() is None and time.monotonic() < deadline:
        if is_listening(_HOST, port):
            return True
        if ended.wait(_POLL_SECONDS):
            return False
    return False


def _publish(settings: Settings, address: Address) -> None:
    path = _folder(settings) / "server.json"
    replace_text(path, json.dumps(asdict(address)), mode=0o600)


def _keep(settings: Settings, jvm: subprocess.Popen[bytes], ended: Event) -> None:
    last_use = time.monotonic()
    with (_folder(settings) / "in_use.lock").open("w") as use:
        while jvm.poll() is None and not ended.wait(_KEEPER_POLL_SECONDS):
            try:
                fcntl.flock(use, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                last_use = time.monotonic()
                continue
            if time.monotonic() - last_use > settings.spark.idle_minutes * 60:
                return  # still holding the lock, so that no job can come in between
            fcntl.flock(use, fcntl.LOCK_UN)


def _end(jvm: subprocess.Popen[bytes]) -> None:
    jvm.terminate()
    try:
        jvm.wait(20)
    except subprocess.TimeoutExpired:
        jvm.kill()
        jvm.wait()


if __name__ == "__main__":
    main()

"""The local engine as processes: what belongs to it, and a client of it in a process of its own.

python -m tests.spark.engines REPO ATTEMPT   starts the engine if need be, then runs a query with Python workers in it
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import psutil

from provender.processes.guard import TITLE
from provender.processes.marks import marked
from provender.settings import Settings, load_settings
from provender.spark import server
from tests.engine import CHECKOUT

SUPERVISOR = "provender.spark.supervisor"
BOUND_SECONDS = 600.0
"""Of waits that take seconds where the machine is quiet."""


class Engine:
    """The engine of one state directory, looked at from outside."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.files = server.Files.of(settings)

    def processes(self) -> list[psutil.Process]:
        """Every process of the engine that runs now."""
        return marked(self.files.mark)

    def members(self, role: str) -> list[psutil.Process]:
        """``supervisor``, ``guard``, ``jvm``, ``launcher``, ``driver``, ``daemon`` or ``worker``."""
        return [process for process in self.processes() if _role(process) == role]

    def roles(self) -> set[str]:
        """What there is to kill."""
        return {_role(process) for process in self.processes()} - {"gone", "launcher"}

    def kill(self, role: str) -> bool:
        """SIGKILL for one of them; False where there is none now."""
        for process in self.members(role):
            try:
                process.send_signal(signal.SIGKILL)
            except psutil.NoSuchProcess:
                continue
            return True
        return False

    def await_none(self) -> None:
        await_that(self.is_gone, self.describe)

    def is_gone(self) -> bool:
        return not self.processes() and not server.is_supervised(self.files)

    def describe(self) -> str:
        log = self.files.log.read_text(errors="replace") if self.files.log.exists() else ""
        found = [
            f"{process} is a {_role(process)}, child of {process.ppid()}" for process in self.processes()
        ]
        return "\n".join([f"supervised: {server.is_supervised(self.files)}", *found, log[-2000:]])

    def listeners(self) -> Iterator[tuple[str, str]]:
        """Role and address of every port on which the engine listens."""
        for process in self.processes():
            for connection in process.net_connections(kind="inet"):
                if connection.status == psutil.CONN_LISTEN:
                    yield _role(process), connection.laddr.ip

    def client(self, attempt: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.spark.engines", str(self.settings.repo), attempt]
        return subprocess.Popen(
            command, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )


def await_that(holds: Callable[[], bool], describe: Callable[[], str]) -> None:
    deadline = time.monotonic() + BOUND_SECONDS
    while not holds():
        assert time.monotonic() < deadline, describe()
        time.sleep(0.02)  # nothing to wait on but the process table


def _role(process: psutil.Process) -> str:
    """What a process is to the engine.

    The JVM is the supervisor's child from its shell script on; ``launcher`` is what such a script runs in passing,
    and a fork that is not its own program yet: to kill one of those is not to kill the engine.
    """
    try:
        words, parent = process.cmdline(), process.parent()
        if TITLE in words:
            return "guard"
        is_of_supervisor = parent is not None and SUPERVISOR in parent.cmdline()
        if SUPERVISOR in words:
            return "launcher" if is_of_supervisor else "supervisor"
        if "provender.spark.engine.workers" in words:
            return "worker" if parent and parent.cmdline() == words else "daemon"
        if words and words[-1].endswith("driver.py") and "java" not in words[0] and not is_of_supervisor:
            return "driver"
        return "jvm" if is_of_supervisor else "launcher"
    except psutil.Error:
        return "gone"


def _main(repo: str, attempt: str) -> None:
    import pyarrow as pa

    from provender.spark.failures import spark_failures
    from provender.spark.session import spark_session

    def slowly(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            time.sleep(0.2)  # so that there is a worker to kill
            yield batch

    with spark_session(load_settings(repo), attempt) as spark, spark_failures("working", "nowhere"):
        spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", "1")
        print("working", flush=True)
        print("rows", spark.range(10).mapInArrow(slowly, "id long").count(), flush=True)


if __name__ == "__main__":
    from provender.errors import ProvenderError

    try:
        _main(*sys.argv[1:])
    except ProvenderError as error:
        print(f"{type(error).__name__}: {error}", flush=True)
        sys.exit(error.exit_code)

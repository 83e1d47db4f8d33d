"""The process that owns the local engine: ``python -m provender.spark.supervisor --repo FOLDER --lock NUMBER``.

It starts the JVM, says where it listens, sees its end at once, and ends it when nobody has used it for
``idle_minutes``. Whatever dies takes the rest with it: the kernel ends the JVM with its supervisor, the supervisor
ends the workers with their JVM, and the guard ends everything when the supervisor is killed. ``--lock`` is the
number of the open file with the lock, which the starter took; it is free again only when all of that has ended.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

from provender.private import keep_private
from provender.processes.guard import Guard, dying_with_parent
from provender.processes.marks import end, marked
from provender.processes.process import ProcessRecord, replace_text
from provender.settings import Settings, load_settings
from provender.spark.ended import Ended, oom_kills, write_ended
from provender.spark.server import (
    START_TIMEOUT_SECONDS,
    Address,
    Files,
    find_jars,
    program_environment,
    server_conf,
)

_SIGNALS = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT}
_POLL_SECONDS = 0.1
_IDLE_CHECK_SECONDS = 5.0
_STOP_SECONDS = 20.0
_DRIVER = Path(__file__).parent / "engine" / "driver.py"
READY_VARIABLE = "PROVENDER_ENGINE_READY"
"""The file in which the driver program says on which port it listens."""


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Runs the local Spark engine until nobody has used it for a while."
    )
    parser.add_argument("--repo", required=True)
    parser.add_argument("--lock", type=int, required=True)
    arguments = parser.parse_args()
    os.set_inheritable(arguments.lock, False)
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    settings = load_settings(arguments.repo)
    keep_private(settings)
    return Supervisor(settings).run()


class Supervisor:
    """One engine, from its start to its end."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.files = Files.of(settings)
        self.token = secrets.token_hex(16)

    def run(self) -> int:
        """Returns 0 if the engine was up and then ended on purpose."""
        ProcessRecord.of(os.getpid()).write(self.files.record)
        self.guard = Guard(self.files.mark, at_end=self._withdraw_address)
        try:
            self._clear()
            self.log_start = self.files.log.stat().st_size
            self.oom_kills = oom_kills()
            self.jvm = self._launch()
            try:
                port = self._await_ready()
                if port is not None:
                    self._publish(port)
                    self._keep()
            finally:
                reason = self._end()
            return 0 if port is not None and reason.is_on_purpose else 1
        finally:
            self.guard.release()

    def _clear(self) -> None:
        """What an engine left that was killed together with its guard."""
        end(lambda: marked(self.files.mark, [self.guard.pid]), 0)
        for file in (self.files.address, self.files.ready):
            file.unlink(missing_ok=True)
        shutil.rmtree(self.files.scratch, ignore_errors=True)
        self.files.scratch.mkdir(mode=0o700, exist_ok=True)

    def _launch(self) -> subprocess.Popen[bytes]:
        import pyspark

        home = Path(pyspark.__file__).parent
        conf = [
            part
            for name, value in server_conf(self.settings).items()
            for part in ("--conf", f"{name}={value}")
        ]
        command = [
            str(home / "bin" / "spark-submit"),
            *("--master", f"local[{self.settings.spark.cores or os.cpu_count() or 2}]"),
            *("--driver-memory", self.settings.spark.driver_memory),
            *("--jars", ",".join(str(jar) for jar in find_jars(self.settings))),
            *conf,
            str(_DRIVER),
        ]
        environment = {
            **program_environment(self.settings),
            "SPARK_HOME": str(home),
            "PYSPARK_DRIVER_PYTHON": sys.executable,
            "SPARK_CONNECT_AUTHENTICATE_TOKEN": self.token,
            "SPARK_LOCAL_IP": "127.0.0.1",
            READY_VARIABLE: str(self.files.ready),
        }
        return subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, preexec_fn=dying_with_parent()
        )

    def _await_ready(self) -> int | None:
        """The port on which the engine listens; None if it ended, took too long or was told to end."""
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while time.monotonic() < deadline and not self._is_to_end(_POLL_SECONDS):
            if self.files.ready.exists():
                return int(json.loads(self.files.ready.read_text(encoding="utf-8"))["port"])
        return None

    def _publish(self, port: int) -> None:
        address = Address(port, self.token, os.getpid())
        replace_text(self.files.address, json.dumps(asdict(address)), mode=0o600)

    def _keep(self) -> None:
        last_use = time.monotonic()
        with self.files.in_use.open("w") as use:
            while not self._is_to_end(_IDLE_CHECK_SECONDS):
                try:
                    fcntl.flock(use, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    last_use = time.monotonic()
                    continue
                if time.monotonic() - last_use > self.settings.spark.idle_minutes * 60:
                    self._withdraw_address()  # while no job can come in between
                    return
                fcntl.flock(use, fcntl.LOCK_UN)

    def _is_to_end(self, seconds: float) -> bool:
        """Waits; whether the JVM ended or somebody asks for its end. Either is seen at once."""
        received = signal.sigtimedwait(_SIGNALS, seconds)
        if received is not None and received.si_signo == signal.SIGCHLD:
            self.guard.renew()
        elif received is not None:
            return True
        return self.jvm.poll() is not None

    def _end(self) -> Ended:
        """First nobody finds the engine any more, then it ends, then it is written down how."""
        self._withdraw_address()
        by_itself = self.jvm.poll() is not None
        if not by_itself:
            self.jvm.terminate()
            try:
                self.jvm.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.jvm.kill()
                self.jvm.wait()
        ended = Ended(
            keeper_pid=os.getpid(),
            code=self.jvm.returncode if by_itself else None,
            is_heap_full=by_itself and self._says("OutOfMemoryError"),
            is_memory_full=oom_kills() > self.oom_kills,
        )
        write_ended(self.files.ended, ended)
        print(f"[engine] {ended.what}", file=sys.stderr, flush=True)
        end(lambda: marked(self.files.mark, [self.guard.pid]), 0)
        return ended

    def _withdraw_address(self) -> None:
        self.files.address.unlink(missing_ok=True)

    def _says(self, text: str) -> bool:
        """Whether this engine's part of the log holds ``text``."""
        with self.files.log.open("rb") as log:
            log.seek(self.log_start)
            return any(text.encode() in line for line in log)


if __name__ == "__main__":
    sys.exit(main())

"""How the local engine ended, so that whoever waited for it can say what to do.

``<state_dir>/spark/ended.json`` is about the last engine: ``keeper_pid`` (its supervisor's), ``code`` (the JVM's exit
code, negative: the signal; null: it was told to end), ``is_heap_full``, ``is_memory_full``.
"""

from __future__ import annotations

import json
import signal
from dataclasses import asdict, dataclass
from pathlib import Path

from provender.processes.process import replace_text

_SIGKILL_IN_A_SHELL = 128 + signal.SIGKILL


@dataclass(frozen=True)
class Ended:
    """``code``: the JVM's exit code (negative: the signal that ended it); None: its supervisor was told to end it."""

    keeper_pid: int
    code: int | None
    is_heap_full: bool
    """Its log speaks of an ``OutOfMemoryError``."""
    is_memory_full: bool
    """Since it started, the kernel killed some process because the machine's, or the container's, memory was full."""

    @property
    def is_on_purpose(self) -> bool:
        return self.code is None

    @property
    def is_killed(self) -> bool:
        return self.code in (-signal.SIGKILL, _SIGKILL_IN_A_SHELL)

    @property
    def what(self) -> str:
        """The sentence's end after "the local Spark engine"."""
        if self.code is None:
            return "was stopped (provender down, or nobody had used it for provender.spark.idle_minutes)"
        if self.is_heap_full:
            return f"ran out of memory: its JVM's heap is full (exit code {self.code})"
        if self.is_killed:
            full = ", and the machine's memory was full" if self.is_memory_full else ""
            return f"was killed by SIGKILL (exit code 137){full}"
        if self.code < 0:
            return f"was killed by {_name(-self.code)}"
        return f"ended with exit code {self.code}"

    def remedy(self, driver_memory: str) -> str:
        """What to type next; ``driver_memory`` is the setting's present value."""
        again = "run the same command again; it starts a new engine"
        if self.is_heap_full:
            return f"raise provender.spark.driver_memory (now {driver_memory}) in feature_store.yaml, then {again}"
        if self.is_killed:
            return (
                f"{again}. Unless a person killed it, the system did for lack of memory: give the machine more, "
                f"or lower provender.spark.driver_memory (now {driver_memory}) below what is free"
            )
        return again if self.is_on_purpose else f"read the end of the log, then {again}"


def write_ended(path: Path, ended: Ended) -> None:
    """Replaces what is said about an earlier engine."""
    replace_text(path, json.dumps(asdict(ended)), mode=0o600)


def read_ended(path: Path, keeper_pid: int) -> Ended | None:
    """How the engine of that supervisor ended; None where nobody was left to write it down."""
    try:
        found = Ended(**json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return found if found.keeper_pid == keeper_pid else None


def oom_kills() -> int:
    """Processes that the kernel has killed since the machine's start because memory was full; 0 if it does not say."""
    try:
        lines = Path("/proc/vmstat").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"

"""Processes that outlive the command that started them: recognised again, ended with all they started.

A pid alone does not name a process, pids are used again: a record also holds the start time.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from provender.errors import SetupError

_START_TOLERANCE_SECONDS = 1.0
"""How far two readings of one process's start time may lie apart (they are derived from the boot time)."""


@dataclass(frozen=True, slots=True)
class ProcessRecord:
    """One process: its id and when it started (seconds since 1970)."""

    pid: int
    started: float

    @classmethod
    def of(cls, pid: int) -> ProcessRecord:
        """The process that has ``pid`` now. Raises ``psutil.NoSuchProcess``."""
        return cls(pid, psutil.Process(pid).create_time())

    @classmethod
    def read(cls, path: Path) -> ProcessRecord | None:
        """The record in ``path``; None where there is none, or half of one (its writer died)."""
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            return cls(int(document["pid"]), float(document["started"]))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_text(path, json.dumps({"pid": self.pid, "started": self.started}))

    def process(self) -> psutil.Process | None:
        """The process, if it still runs; None for a zombie, or where another process has the pid now."""
        try:
            process = psutil.Process(self.pid)
            if process.status() == psutil.STATUS_ZOMBIE:
                return None
            return process if abs(process.create_time() - self.started) < _START_TOLERANCE_SECONDS else None
        except psutil.NoSuchProcess:
            return None

    @property
    def is_alive(self) -> bool:
        return self.process() is not None


def start_detached(
    command: Sequence[str], *, log: Path, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> ProcessRecord:
    """Starts ``command`` in a session of its own, output appended to ``log``.

    Raises :class:`SetupError` if the program is not there.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                env=env,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise SetupError(
                f"the program {command[0]} is not there", remedy="install the environment again: uv sync"
            ) from error
    return ProcessRecord.of(process.pid)


def stop_tree(record: ProcessRecord, grace_seconds: float) -> bool:
    """Ends the process, its descendants and the members of its session; False if nothing of it ran.

    Everything gets SIGTERM; what is still there after ``grace_seconds`` gets SIGKILL.
    """
    members = _tree(record)
    if not members:
        return False
    _signal(members, signal.SIGTERM)
    _, alive = psutil.wait_procs(members, timeout=grace_seconds)
    # A process may have started others before it heard the signal.
    remaining = list({p.pid: p for p in [*alive, *_tree(record)]}.values())
    _signal(remaining, signal.SIGKILL)
    psutil.wait_procs(remaining, timeout=grace_seconds)
    return True


def is_recorded(pid_file: Path) -> bool:
    """Whether the process that ``pid_file`` names runs."""
    record = ProcessRecord.read(pid_file)
    return record is not None and record.is_alive


def stop_recorded(pid_file: Path, grace_seconds: float) -> bool:
    """Ends the process that ``pid_file`` names, as :func:`stop_tree`, and removes the file; False if none ran."""
    record = ProcessRecord.read(pid_file)
    stopped = record is not None and stop_tree(record, grace_seconds)
    pid_file.unlink(missing_ok=True)
    return stopped


def last_line(log: Path) -> str:
    """What a process said last, for an error about it."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except FileNotFoundError:
        lines = []
    return lines[-1].strip() if lines else "it said nothing"


def _tree(record: ProcessRecord) -> list[psutil.Process]:
    root = record.process()
    found = {root.pid: root} if root else {}
    if root:
        found.update({child.pid: child for child in root.children(recursive=True)})
    for process in psutil.process_iter():
        if _is_session_member(process, record):
            found[process.pid] = process
    found.pop(os.getpid(), None)
    return list(found.values())


def _is_session_member(process: psutil.Process, record: ProcessRecord) -> bool:
    # The leader may be gone; while one member lives, no other process gets the session's number.
    try:
        return (
            os.getsid(process.pid) == record.pid
            and process.create_time() >= record.started - _START_TOLERANCE_SECONDS
            and process.status() != psutil.STATUS_ZOMBIE
        )
    except (psutil.Error, OSError):
        return False


def _signal(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            continue


def replace_text(path: Path, text: str, mode: int = 0o644) -> None:
    """Writes ``path`` so that a reader sees the old text or the new, never a part."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.draft")
    with open(draft, "w", encoding="utf-8", opener=lambda p, flags: os.open(p, flags, mode)) as stream:
        stream.write(text)
    draft.replace(path)


def is_listening(host: str, port: int, timeout_seconds: float = 1.0) -> bool:
    """Whether something accepts connections there."""
    try:
        with socket.create_connection((host, port), timeout=timeout_seconds):
            return True
    except OSError:
        return False


def require_free_port(host: str, port: int, service: str, remedy: str) -> None:
    """Raises :class:`SetupError` if ``port`` is taken, naming who has it as far as the system tells."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise SetupError(
                f"{service} cannot start: port {port} is in use{_holder(port)}",
                where=f"{host}:{port}",
                remedy=remedy,
            ) from error


def free_port(host: str = "127.0.0.1") -> int:
    """A port nobody listens on now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _holder(port: int) -> str:
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:
        return ""
    for connection in connections:
        is_listener = connection.status == psutil.CONN_LISTEN and connection.pid
        if is_listener and connection.laddr and connection.laddr.port == port:
            return f" by process {connection.pid} ({_name_of(connection.pid or 0)})"
    return ""


def _name_of(pid: int) -> str:
    try:
        return " ".join(psutil.Process(pid).cmdline()[:3])[:120]
    except psutil.Error:
        return "another user's"

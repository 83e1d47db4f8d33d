"""Processes that outlive the command that started them: recognized again, ended with all they started.

A pid alone does not name a process, pids are used again: a record also holds the start time, and what was started
bears a mark (:mod:`provender.processes.marks`).
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

import psutil

from provender.errors import SetupError
from provender.processes.marks import MARK, end, is_running, mark_of, marked, read_mark

_START_TOLERANCE_SECONDS = 1.0
"""How far two readings of one process's start time may lie apart (they are derived from the boot time)."""


@dataclass(frozen=True, slots=True)
class ProcessRecord:
    """One process: its id and when it started (seconds since 1970).

    On Linux also ``ticks``, its start in clock ticks since ``boot``, the machine's start: these do not move when
    somebody sets the clock.
    """

    pid: int
    started: float
    ticks: int | None = None
    boot: str | None = None

    @classmethod
    def of(cls, pid: int) -> ProcessRecord:
        """The process that has ``pid`` now. Raises ``psutil.NoSuchProcess``."""
        return cls(pid, psutil.Process(pid).create_time(), _ticks(pid), _boot())

    @classmethod
    def read(cls, path: Path) -> ProcessRecord | None:
        """The record in ``path``; None where there is none, or half of one (its writer died)."""
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            pid, started = int(document["pid"]), float(document["started"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
        ticks, boot = document.get("ticks"), document.get("boot")
        is_exact = isinstance(ticks, int) and isinstance(boot, str)
        return cls(pid, started, ticks, boot) if is_exact else cls(pid, started)

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_text(path, json.dumps(asdict(self)))

    def process(self) -> psutil.Process | None:
        """The process, if it still runs; None for a zombie, or where another process has the pid now."""
        try:
            process = psutil.Process(self.pid)
            if process.status() == psutil.STATUS_ZOMBIE:
                return None
            return process if self._is(process) else None
        except psutil.NoSuchProcess:
            return None

    def _is(self, process: psutil.Process) -> bool:
        if self.ticks is not None:
            return (self.ticks, self.boot) == (_ticks(self.pid), _boot())
        return bool(abs(process.create_time() - self.started) < _START_TOLERANCE_SECONDS)

    @property
    def is_alive(self) -> bool:
        return self.process() is not None


def _ticks(pid: int) -> int | None:
    """Field 22 of Linux's ``/proc/<pid>/stat``; the name before it may hold spaces and brackets."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19])
    except (OSError, UnicodeDecodeError):
        return None


def _boot() -> str | None:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return None


def start_detached(
    command: Sequence[str],
    *,
    log: Path,
    pid_file: Path | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> ProcessRecord:
    """Starts ``command`` in a session of its own, output appended to ``log``, and writes its record to ``pid_file``.

    The file's path is also the mark by which :func:`stop_recorded` finds it, and what it starts, without the file.
    Raises :class:`SetupError` if the program is not there.
    """
    with open_log(log) as output:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                env={**(os.environ if env is None else env), MARK: mark_of(pid_file) if pid_file else ""},
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise SetupError(
                f"the program {command[0]} is not there", remedy="install the environment again: uv sync"
            ) from error
    record = ProcessRecord.of(process.pid)
    if pid_file:
        record.write(pid_file)
    return record


def open_log(path: Path) -> IO[bytes]:
    """``path`` for appending, readable by this user only: programs print what they were given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.fchmod(file, 0o600)
    return os.fdopen(file, "ab")


def stop_tree(record: ProcessRecord, grace_seconds: float) -> bool:
    """Ends the process, its descendants and the members of its session; False if nothing of it ran.

    Everything gets SIGTERM; what is still there after ``grace_seconds`` gets SIGKILL.
    """
    return end(lambda: _tree(record, None), grace_seconds)


def is_recorded(pid_file: Path) -> bool:
    """Whether the process that ``pid_file`` names runs."""
    record = ProcessRecord.read(pid_file)
    return record is not None and record.is_alive


def stop_recorded(pid_file: Path, grace_seconds: float) -> bool:
    """Ends the process that ``pid_file`` names, as :func:`stop_tree`, and removes the file; False if none ran.

    Whatever else was started for this file ends too, where the file is lost or is about an earlier process.
    Another program that has the pid now is left alone.
    """
    record, mark = ProcessRecord.read(pid_file), mark_of(pid_file)
    stopped = end(lambda: _tree(record, mark), grace_seconds)
    pid_file.unlink(missing_ok=True)
    return stopped


def last_line(log: Path) -> str:
    """What a process said last, for an error about it."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except FileNotFoundError:
        lines = []
    return lines[-1].strip() if lines else "it said nothing"


def _tree(record: ProcessRecord | None, mark: str | None) -> list[psutil.Process]:
    """Bearers of ``mark``, the recorded process, their descendants, and what is left of its session.

    What was started for something else, which its mark says, is none of it.
    """
    root = record.process() if record else None
    found = {process.pid: process for process in ([root] if root else []) + (marked(mark) if mark else [])}
    for process in list(found.values()):
        found.update({child.pid: child for child in _children(process) if not _is_of_another(child, mark)})
    if record and (root or not psutil.pid_exists(record.pid)):
        # The leader may be gone. While one member lives, no other process gets the session's number.
        members = (process for process in psutil.process_iter() if _is_session_member(process, record, mark))
        found.update({process.pid: process for process in members})
    found.pop(os.getpid(), None)
    return [process for process in found.values() if is_running(process)]


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return list(process.children(recursive=True))
    except psutil.NoSuchProcess:
        return []


def _is_of_another(process: psutil.Process, mark: str | None) -> bool:
    return mark is not None and bool(found := read_mark(process)) and found != mark


def _is_session_member(process: psutil.Process, record: ProcessRecord, mark: str | None) -> bool:
    """Whether it is in the recorded session, and not in a later one of another program that got the same number."""
    try:
        if os.getsid(process.pid) != record.pid:
            return False
        is_older = process.create_time() < record.started - _START_TOLERANCE_SECONDS
    except (psutil.Error, OSError):
        return False
    if mark is None or record.ticks is None:  # started before there were marks
        return not is_older
    return read_mark(process) in (mark, None) or (record.is_alive and not _is_of_another(process, mark))


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

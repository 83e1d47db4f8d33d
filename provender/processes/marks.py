"""Which processes belong to what this checkout started, whatever became of the process that started them.

A pid file can be lost, cut or out of date, and its pid can belong to another program by now. So every program that
:func:`provender.processes.process.start_detached` starts has a **mark** in its environment, ``PROVENDER_PROCESS``: the
path of its pid file. What it starts inherits the mark, also after its parent died, until something that it starts is
given a mark of its own.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import psutil

MARK = "PROVENDER_PROCESS"
_KILL_SECONDS = 10.0
"""How long the kernel may take to end what got SIGKILL (a process that waits for a dead disk takes longer)."""
_POLL_SECONDS = 0.02


def mark_of(pid_file: Path) -> str:
    """The mark of what ``pid_file`` is about."""
    return os.path.realpath(pid_file)


def read_mark(process: psutil.Process) -> str | None:
    """The process's mark; empty where it has none; None where its environment cannot be told.

    That is so for another user's processes, and for programs that write their title over their environment.
    """
    try:
        environment = process.environ()
    except (psutil.Error, OSError):
        return None
    if MARK in environment:
        return environment[MARK]
    return "" if "PATH" in environment or "HOME" in environment else None


def marked(mark: str, spare: Iterable[int] = ()) -> list[psutil.Process]:
    """Running processes with this mark, without this process and those in ``spare`` (pids)."""
    return [process for process, found in _marks(spare) if found == mark]


def marked_below(folders: Iterable[Path]) -> list[psutil.Process]:
    """Running processes whose pid files are, or were, in one of ``folders``.

    Neither this process nor those that it was started by are among them.
    """
    spare = {parent.pid for parent in psutil.Process().parents()}
    places = tuple(os.path.realpath(folder) + os.sep for folder in folders)
    return [process for process, found in _marks(spare) if found.startswith(places)]


def end(find: Callable[[], list[psutil.Process]], grace_seconds: float) -> bool:
    """Ends what ``find`` finds, until it finds nothing more; False if it found nothing at first.

    All get SIGTERM; what is still there after ``grace_seconds`` (0: at once) gets SIGKILL, as does whatever they
    started in the meantime.
    """
    members = _found(find)
    if not members:
        return False
    if grace_seconds > 0:
        _signal(members, signal.SIGTERM)
        _await_end(members, grace_seconds)
    deadline = time.monotonic() + _KILL_SECONDS
    while (remaining := _found(find)) and time.monotonic() < deadline:
        _signal(remaining, signal.SIGKILL)
        _await_end(remaining, _KILL_SECONDS)
    return True


def _found(find: Callable[[], list[psutil.Process]]) -> list[psutil.Process]:
    """What is there. Nobody can tell a process while it is becoming another program, so nothing is looked for twice."""
    if found := find():
        return found
    time.sleep(_POLL_SECONDS)
    return find()


def is_running(process: psutil.Process) -> bool:
    """Whether it is there and no zombie."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _marks(spare: Iterable[int]) -> Iterator[tuple[psutil.Process, str]]:
    left_out = {os.getpid(), *spare}
    for process in psutil.process_iter():
        if process.pid not in left_out and (found := read_mark(process)) and is_running(process):
            yield process, found


def _await_end(processes: list[psutil.Process], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while any(is_running(process) for process in processes) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)


def _signal(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            continue

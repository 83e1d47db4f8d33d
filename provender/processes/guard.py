"""The end of what a process started, also where it is killed outright: a guard outlives it and ends the rest.

    owner ──pipe──▶ guard        the owner dies ⇒ the pipe ends ⇒ the guard ends all that bears the owner's mark

The kernel can end a child with its parent (:func:`dying_with_parent`), but not the child's children. The guard is
a fork of its owner that does nothing but wait. Locks that the owner holds are the guard's too: they are free only
when everything has ended.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from provender.processes.marks import end, marked

TITLE = "provender-guard"
_PR_SET_PDEATHSIG = 1
_SIGNALS = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP}


class Guard:
    """A process that waits for this one's end; ``at_end`` runs in it before it ends what bears ``mark``."""

    def __init__(self, mark: str, at_end: Callable[[], None] = lambda: None) -> None:
        self._mark, self._at_end = mark, at_end
        self._start()

    def _start(self) -> None:
        reading, self._writing = os.pipe()
        owner = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._writing)
            _stand_guard(reading, owner, self._mark, self._at_end)
        os.close(reading)

    def renew(self) -> None:
        """Starts another one where somebody killed it."""
        if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG) is not None:
            os.close(self._writing)
            self._start()

    def release(self) -> None:
        """Lets it end what is left besides this process, and waits until it has."""
        with suppress(BrokenPipeError):  # somebody killed it
            os.write(self._writing, b".")
        os.close(self._writing)
        os.waitpid(self.pid, 0)


def _stand_guard(reading: int, owner: int, mark: str, at_end: Callable[[], None]) -> None:
    """Never returns: this is a fork, and what the owner would do next is not its business."""
    try:
        os.setsid()
        _show_as(TITLE)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        is_released = os.read(reading, 1) != b""
        at_end()
        end(lambda: marked(mark, [owner] if is_released else []), 0)
    finally:
        os._exit(0)


def _show_as(title: str) -> None:
    """In lists of processes, where a fork looks like its owner: the arguments are memory of the process's own.

    Linux only: fields 48 and 49 of ``/proc/<pid>/stat`` say where they are.
    """
    with suppress(OSError, ValueError, IndexError):
        fields = Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        start, size = int(fields[45]), int(fields[46]) - int(fields[45])
        if start and size > len(title):
            ctypes.memmove(start, title.encode().ljust(size, b"\0"), size)


def dying_with_parent() -> Callable[[], None]:
    """What a child runs before it becomes its program (``preexec_fn``): it gets SIGKILL when this process ends.

    Signals that this process waits for are unblocked. Call it in the thread that starts the child, which has to
    live as long as the process: the kernel looks at the thread. Only Linux has this; elsewhere the guard remains.
    """
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    parent = os.getpid()

    def prepare() -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        if libc is not None:
            libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
            if os.getppid() != parent:  # it died before the kernel knew
                os._exit(1)

    return prepare

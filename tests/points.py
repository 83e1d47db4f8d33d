"""A Redis proxy that lets a test do something at each point between two commands."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from threading import Lock, Thread
from typing import BinaryIO


class PointProxy:
    """Passes commands on to ``target`` one by one, each with its answer, and counts them.

    So what happens at a point happens after everything sent before it was done, and before what is sent next.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.commands: list[str] = []
        """The first word of each command, since :meth:`reset`."""
        self._at: int | None = None
        self._accident: Callable[[], None] = lambda: None
        self._lock = Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        Thread(target=self._accept, daemon=True).start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    def reset(self, at: int | None = None, accident: Callable[[], None] = lambda: None) -> None:
        """Counts again; before the command number ``at`` (from 0) ``accident`` happens, once."""
        with self._lock:
            self.commands, self._at, self._accident = [], at, accident

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                near, _ = self._listener.accept()
                Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        with suppress(OSError, EOFError), near:
            far = socket.create_connection(("127.0.0.1", self.target))
            # What is kept of a server that was replaced meanwhile answers nothing: the client connects again.
            with far, near.makefile("rb") as asked, far.makefile("rb") as answers:
                while command := _message(asked):
                    self._reach(command)
                    far.sendall(command)
                    answer = _message(answers)
                    if not answer:
                        return
                    near.sendall(answer)

    def _reach(self, command: bytes) -> None:
        with self._lock:
            number = len(self.commands)
            self.commands.append(command.split(b"\r\n", 3)[2].decode().upper())
            if number == self._at:
                self._accident()


def _message(stream: BinaryIO) -> bytes:
    """One command or answer in RESP 2, as it came; empty at the end of the stream."""
    head = stream.readline()
    if not head:
        return b""
    kind, size = head[:1], head[1:-2]
    if kind == b"$":
        return head + (stream.read(int(size) + 2) if int(size) >= 0 else b"")
    if kind == b"*":
        return head + b"".join(_message(stream) for _ in range(int(size)))
    return head

"""A TCP proxy that breaks connections."""

from __future__ import annotations

import socket
from contextlib import suppress
from threading import Lock, Thread
from typing import Any


class BreakingProxy:
    """Passes TCP on to ``target`` until it is told to break the next connection that fits."""

    def __init__(self, target: int, port: int) -> None:
        self.breaks = 0
        """Connections broken so far."""
        self._target = target
        self._upload_limit: int | None = None
        self._without_answer = 0
        self._lock = Lock()
        self._sent = 0
        self._for_good = False
        self._received = 0
        self._download_limit: int | None = None
        self._listener = socket.create_server(("127.0.0.1", port))
        Thread(target=self._accept, daemon=True).start()

    def break_upload_after(self, sent: int) -> None:
        """Once: breaks the connection when ``sent`` more bytes have gone to the server."""
        self._sent, self._upload_limit, self._for_good = 0, sent, False

    def break_uploads_after(self, sent: int) -> None:
        """From then on breaks every connection once anything is sent on it, until :meth:`fix`."""
        self._sent, self._upload_limit, self._for_good = 0, sent, True

    def break_download_after(self, received: int) -> None:
        """Once: breaks the connection when ``received`` more bytes have come from the server."""
        self._received, self._download_limit = 0, received

    def fix(self) -> None:
        """Breaks nothing any more."""
        self._upload_limit, self._without_answer = None, 0

    def lose_answers(self, count: int = 1) -> None:
        """Breaks the next ``count`` connections on which the server answers, before a byte of the answer passes."""
        self._without_answer = count

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
                Thread(target=self._pump, args=(near, far, self._breaks_upload), daemon=True).start()
                Thread(target=self._pump, args=(far, near, self._loses_answer), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, is_broken: Any) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if is_broken(len(data)):
                    break
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _breaks_upload(self, size: int) -> bool:
        with self._lock:
            self._sent += size
            if self._upload_limit is None or self._sent < self._upload_limit:
                return False
            if not self._for_good:
                self._upload_limit = None
            self.breaks += 1
            return True

    def _loses_answer(self, size: int) -> bool:
        with self._lock:
            self._received += size
            if self._download_limit is not None and self._received >= self._download_limit:
                self._download_limit = None
                self.breaks += 1
                return True
            if not self._without_answer:
                return False
            self._without_answer -= 1
            self.breaks += 1
            return True

"""Connections that cannot be held forever: uvicorn's HTTP protocol with a deadline for each phase.

    opened ──head──▶ headers complete ──body──▶ request complete ──answer──▶ answered ──idle──▶ next request, or closed

uvicorn itself waits without end for the first byte, for the rest of the headers and for the rest of a body, and keeps
any number of idle connections, until the process has no file descriptor left for anybody.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from kserve.logging import logger
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from provender_serving.limits import Limits

_REASONS = {408: "Request Timeout", 431: "Request Header Fields Too Large", 503: "Service Unavailable"}


class BoundedProtocol(HttpToolsProtocol):
    """One connection. Made by :func:`bounded_by`."""

    limits: Limits

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._deadline: asyncio.TimerHandle | None = None
        self._head_bytes: int | None = 0
        """Bytes of the head so far; None while no head is being read."""
        self.idle_since: float | None = None
        """On the loop's clock; None while a request is under way."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.idle_since = self.loop.time()
        self._expect(self.limits.head_seconds, 408, "no request came")
        if len(self.connections) > self.limits.connections:
            _close_longest_idle(self, self.connections)

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect_nothing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._head_bytes is not None:
            self._head_bytes += len(data)
            if self._head_bytes > self.limits.head_bytes + self.limits.body_bytes:
                self.refuse(431, "the request's head is too large")
                return
        super().data_received(data)
        if self._head_bytes is not None and self._head_bytes > self.limits.head_bytes:
            self.refuse(431, f"the request's head is larger than {self.limits.head_bytes} bytes")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.idle_since = None
        if self._head_bytes is None:
            self._head_bytes = 0
        self._expect(self.limits.head_seconds, 408, "the headers did not come to their end")

    def on_headers_complete(self) -> None:
        self._head_bytes = None
        self._expect(self.limits.body_seconds, 408, "the body did not come to its end")
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        if not self.cycle.response_complete:
            self._expect(self.limits.answer_seconds, 503, "the answer took too long")

    def on_response_complete(self) -> None:
        self._expect_nothing()
        super().on_response_complete()
        self.idle_since = self.loop.time()

    def refuse(self, status: int, reason: str) -> None:
        """Answers with ``status``, unless an answer is on its way already, and closes the connection."""
        self._expect_nothing()
        if self.transport is None or self.transport.is_closing():
            return
        logger.warning("%d: %s", status, reason)
        if self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete:
            self.transport.abort()
            return
        body = json.dumps({"error": reason}).encode()
        head = f"HTTP/1.1 {status} {_REASONS[status]}\r\ncontent-type: application/json\r\n"
        head += f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        self.transport.write(head.encode() + body)
        self.transport.close()

    def _expect(self, seconds: float, status: int, reason: str) -> None:
        self._expect_nothing()
        self._deadline = self.loop.call_later(seconds, self.refuse, status, f"{reason} within {seconds:g} s")

    def _expect_nothing(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def bounded_by(limits: Limits) -> type[BoundedProtocol]:
    """Returns the protocol class for uvicorn's ``http`` setting."""
    return type("BoundedProtocol", (BoundedProtocol,), {"limits": limits})


def _close_longest_idle(new: BoundedProtocol, connections: set[Any]) -> None:
    """Makes room for ``new``: closes the connection that has been idle the longest, or ``new`` if none is."""
    idle = [other for other in connections if other is not new and other.idle_since is not None]
    if idle:
        min(idle, key=lambda other: other.idle_since).transport.close()
    else:
        new.refuse(503, f"all of {new.limits.connections} connections have a request under way")

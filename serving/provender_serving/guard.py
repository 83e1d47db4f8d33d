"""ASGI middleware that decides who may ask, and how much, before anything is read or parsed.

403   a web page of another site asks (``Origin``, ``Sec-Fetch-Site``, or a foreign name for a loopback address)
401   a model is to be loaded or unloaded without the token
413   the body is larger than the limit
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Awaitable, Callable
from typing import Any

from kserve.logging import logger
from starlette.requests import ClientDisconnect

from provender_serving.limits import Limits

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

TOKEN_VARIABLE = "PROVENDER_PREDICTOR_TOKEN"
_REPOSITORY = "/v2/repository/"
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]", "::1"})
_SAME = frozenset({"same-origin", "none"})


class Guard:
    """``token``: what a caller of ``/v2/repository`` has to know; empty: nobody may. ``host``: where it listens."""

    def __init__(self, app: App, limits: Limits, token: str, host: str) -> None:
        self._app = app
        self._limits = limits
        self._token = token.encode()
        self._is_loopback = host in _LOOPBACK

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        refusal = (
            self._foreign_page(headers) or self._unauthorized(scope, headers) or self._announced(headers)
        )
        if refusal:
            await _answer(send, *refusal)
            return
        await self._run_bounded(scope, receive, send)

    async def _run_bounded(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Runs the app, and answers 413 in its place if the body turns out to be too large."""
        size, answered = 0, False

        async def receive_bounded() -> Message:
            nonlocal size, answered
            if answered:
                return {"type": "http.disconnect"}
            message = await receive()
            size += len(message.get("body", b""))
            if size > self._limits.body_bytes:
                answered = True
                await _answer(send, 413, self._too_large())
                return {"type": "http.disconnect"}
            return message

        async def send_unless_answered(message: Message) -> None:
            if not answered:
                await send(message)

        try:
            await self._app(scope, receive_bounded, send_unless_answered)
        except ClientDisconnect:
            if not answered:
                raise

    def _foreign_page(self, headers: dict[bytes, str]) -> tuple[int, str] | None:
        host = headers.get(b"host", "")
        if (
            self._is_loopback
            and host.rsplit(":", 1)[0].lower() not in _LOOPBACK
            and host.lower() != "localhost"
        ):
            return 403, f"this server is not {host[:200]}"
        origin = headers.get(b"origin")
        is_foreign = origin is not None and origin.partition("://")[2].lower() != host.lower()
        if is_foreign or headers.get(b"sec-fetch-site", "none") not in _SAME:
            return 403, "a web page of another site may not ask this server"
        return None

    def _unauthorized(self, scope: Scope, headers: dict[bytes, str]) -> tuple[int, str] | None:
        if not scope["path"].startswith(_REPOSITORY) or scope["method"] in ("GET", "HEAD"):
            return None
        if not self._token:
            return 403, f"models are not loaded or unloaded from outside: this server has no {TOKEN_VARIABLE}"
        scheme, _, given = headers.get(b"authorization", "").partition(" ")
        if scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode("latin-1"), self._token):
            return None
        return 401, "loading and unloading models needs the server's token (Authorization: Bearer …)"

    def _announced(self, headers: dict[bytes, str]) -> tuple[int, str] | None:
        length = headers.get(b"content-length", "0")
        if length.isdigit() and int(length) > self._limits.body_bytes:
            return 413, self._too_large()
        return None

    def _too_large(self) -> str:
        return f"the body is larger than {self._limits.body_bytes} bytes; send fewer instances a request"


async def _answer(send: Send, status: int, reason: str) -> None:
    logger.warning("%d: %s", status, reason)
    body = json.dumps({"error": reason}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send(
        {"type": "http.response.start", "status": status, "headers": [*headers, (b"connection", b"close")]}
    )
    await send({"type": "http.response.body", "body": body})

"""A load generator: connections that each send the next request when they have the last one's answer."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class Load:
    """What was seen. Add loads to pool their requests."""

    seconds: float = 0.0
    milliseconds: list[float] = field(default_factory=list)
    """Of each request that was answered with 200."""
    failures: Counter[str] = field(default_factory=Counter)
    """Status line or connection error, to its count."""

    def __add__(self, other: Load) -> Load:
        return Load(
            self.seconds + other.seconds,
            self.milliseconds + other.milliseconds,
            self.failures + other.failures,
        )

    @property
    def per_second(self) -> float:
        return len(self.milliseconds) / self.seconds

    @property
    def p50(self) -> float:
        return statistics.median(self.milliseconds)

    @property
    def p99(self) -> float:
        return statistics.quantiles(self.milliseconds, n=100)[98]


def http_post(port: int, path: str, body: bytes) -> bytes:
    """A request as it goes over the wire."""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def generate(port: int, requests: Sequence[bytes], connections: int, seconds: float) -> Load:
    """``connections`` clients take turns through ``requests`` for ``seconds``."""
    return asyncio.run(generate_async(port, requests, connections, seconds))


async def generate_async(port: int, requests: Sequence[bytes], connections: int, seconds: float) -> Load:
    """As :func:`generate`, in a loop that is there."""
    load = Load(seconds)
    until = time.perf_counter() + seconds
    clients = [_client(port, requests, number * 7, until, load) for number in range(connections)]
    await asyncio.gather(*clients)
    return load


async def _client(port: int, requests: Sequence[bytes], at: int, until: float, load: Load) -> None:
    while time.perf_counter() < until:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            at = await _converse(reader, writer, requests, at, until, load)
            writer.close()
        except (OSError, asyncio.IncompleteReadError) as error:
            load.failures[type(error).__name__] += 1


async def _converse(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    requests: Sequence[bytes],
    at: int,
    until: float,
    load: Load,
) -> int:
    while time.perf_counter() < until:
        at += 1
        started = time.perf_counter()
        writer.write(requests[at % len(requests)])
        head = await reader.readuntil(b"\r\n\r\n")
        lower = head.lower()
        start = lower.index(b"content-length:") + 15
        await reader.readexactly(int(lower[start : lower.index(b"\r\n", start)]))
        if head.startswith(b"HTTP/1.1 200"):
            load.milliseconds.append((time.perf_counter() - started) * 1000)
        else:
            load.failures[head.split(b"\r\n")[0].decode()] += 1
    return at

"""How much one client may ask of the predictor, so that it cannot hold up the others.

Each limit is an option of ``python -m provender_serving`` and has a default that a server on one or two cores keeps.
"""

from __future__ import annotations

import resource
from argparse import ArgumentParser, Namespace
from dataclasses import dataclass, fields
from typing import Self

_RESERVED_FILES = 128
"""File descriptors that are not clients' connections: Redis, logs, artifacts while they load."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What is refused, and after how long. Sizes are in bytes, times in seconds."""

    body_bytes: int = 8 << 20
    """Largest request body, chunked or not; a larger one is answered 413."""
    head_bytes: int = 64 << 10
    """Largest request line and headers together; larger ones are answered 431."""
    instances: int = 5_000
    """Most instances in one request; more are answered 413."""
    head_seconds: float = 10.0
    """From a connection's opening, or a request's first byte, until its headers are complete; then 408."""
    body_seconds: float = 30.0
    """From the headers until the body is complete; then 408."""
    answer_seconds: float = 120.0
    """From the complete request until the answer is sent and read; then the connection is closed."""
    idle_seconds: float = 60.0
    """How long a connection is kept without a request."""
    connections: int = 1_000
    """Most connections; a further one takes the place of the one that has been idle the longest."""

    @classmethod
    def add_options(cls, parser: ArgumentParser) -> None:
        """Adds ``--max-body-bytes``, ``--head-timeout-seconds`` and so on to ``parser``."""
        group = parser.add_argument_group("limits")
        for field in fields(cls):
            group.add_argument(
                _option(field.name),
                dest=f"limit_{field.name}",
                type=type(field.default),
                default=field.default,
            )

    @classmethod
    def of_options(cls, options: Namespace) -> Self:
        """Returns the parsed limits; connections are at most what the process may have open."""
        given = {field.name: getattr(options, f"limit_{field.name}") for field in fields(cls)}
        given["connections"] = min(given["connections"], max(1, _raise_open_files() - _RESERVED_FILES))
        return cls(**given)


def _option(name: str) -> str:
    if name.endswith("_seconds"):
        return f"--{name.removesuffix('_seconds')}-timeout-seconds"
    return f"--max-{name.replace('_', '-')}"


def _raise_open_files() -> int:
    """Raises this process's limit of open files to what it may be, and returns it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most

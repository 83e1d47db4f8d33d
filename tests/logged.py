"""What the platform logs, for tests that look at it: ``caplog`` is for functions, this is for helpers."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


class _Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@contextmanager
def logged() -> Iterator[list[str]]:
    """The messages of our own loggers, information included, as they come during the block."""
    ours, kept = logging.getLogger("provender"), _Kept()
    before = ours.level
    ours.addHandler(kept)
    ours.setLevel(logging.INFO)
    try:
        yield kept.lines
    finally:
        ours.removeHandler(kept)
        ours.setLevel(before)

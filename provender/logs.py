"""One log handler for the processes that are ours: the command line, Spark applications, the demo.

Library code logs to ``logging.getLogger(__name__)`` and configures nothing: in Airflow's tasks, in a notebook or in a
service the handlers that are there get its records. Log lines go to standard error, results to standard output.

    text    the message; warnings are marked as such
    json    an object per line: time (ISO, UTC), level, logger, message, and the record's ``extra`` fields
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TextIO

_OURS = "provender"
_STANDARD = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime"})


class LogFormat(StrEnum):
    """How a line is written."""

    TEXT = "text"
    JSON = "json"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add ``-q``, ``-v`` and ``--log-format``; what is not given leaves no attribute."""
    group = parser.add_argument_group("log", argument_default=argparse.SUPPRESS)
    loudness = group.add_mutually_exclusive_group()
    loudness.add_argument(
        "-q", "--quiet", action="store_const", const=logging.WARNING, dest="log_level", help="warnings only"
    )
    loudness.add_argument(
        "-v", "--verbose", action="store_const", const=logging.DEBUG, dest="log_level", help="details too"
    )
    group.add_argument(
        "--log-format",
        choices=[each.value for each in LogFormat],
        help="of the lines on standard error (default: text)",
    )


@contextmanager
def logging_as_asked(args: argparse.Namespace) -> Iterator[None]:
    """Log as the options of :func:`add_options` say, during the block."""
    log_format = LogFormat(getattr(args, "log_format", LogFormat.TEXT))
    level = getattr(args, "log_level", logging.INFO)
    with logging_to_stderr(level, log_format):
        yield


@contextmanager
def logging_to_stderr(level: int = logging.INFO, log_format: LogFormat = LogFormat.TEXT) -> Iterator[None]:
    """Write log lines to standard error during the block: ours from ``level`` on, other libraries' warnings."""
    root, ours = logging.getLogger(), logging.getLogger(_OURS)
    handler, before = _StderrHandler(), ours.level
    handler.setFormatter(_JsonFormatter() if log_format is LogFormat.JSON else _TextFormatter())
    root.addHandler(handler)
    ours.setLevel(level)
    try:
        yield
    finally:
        ours.setLevel(before)
        root.removeHandler(handler)


class _StderrHandler(logging.StreamHandler[TextIO]):
    """Writes to what standard error is at that moment."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stderr


class _TextFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        mark = "warning: " if record.levelno == logging.WARNING else ""
        return mark + super().format(record)


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        document: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **{name: value for name, value in vars(record).items() if name not in _STANDARD},
        }
        if record.exc_info:
            document["traceback"] = self.formatException(record.exc_info)
        return json.dumps(document, default=str)

"""End the queries that a dead attempt left running on the engine."""

from __future__ import annotations

from collections.abc import Callable

from provender.settings import Settings


def interrupter(settings: Settings) -> Callable[[str], None]:
    """Return what ends all queries of an attempt, given its name; nothing running is not an error.

    Spark is imported when it is called: a lock is rarely found abandoned, and PySpark takes a second to import.
    """

    def interrupt_attempt(attempt: str) -> None:
        from provender.spark.session import interrupt

        interrupt(settings, attempt)

    return interrupt_attempt

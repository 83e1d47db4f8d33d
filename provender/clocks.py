"""The time of day, as a parameter: jobs take a :data:`Clock`, so that a test can give them one that is wrong.

Clocks say when something happened. They do not order anything: what has to come after something else is put after it
by :func:`after`, whatever the clock says.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Clock = Callable[[], datetime]
"""Gives the time now, in UTC."""
TICK = timedelta(microseconds=1)
"""The step in which recorded and delivered times are counted."""


def utc_now() -> datetime:
    """Return the machine's time, in UTC."""
    return datetime.now(UTC)


def after(earlier: datetime | None, clock: Clock) -> datetime:
    """Return the time now, or one microsecond after ``earlier`` where the clock is not past it."""
    now = clock()
    return now if earlier is None else max(now, earlier + TICK)

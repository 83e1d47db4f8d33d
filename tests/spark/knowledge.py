"""What the platform may know at a time, as plain Python over raw rows: the oracle for feature table logs.

A delivery is (partition day, the time from which its rows count as known, its accepted rows). At time ``c`` the
rows known of a partition are those of its newest delivery known by then. Everything else follows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

DAY = timedelta(days=1)
Row = dict[str, Any]


@dataclass(frozen=True)
class Delivery:
    partition: datetime
    delivered: datetime
    rows: tuple[tuple[str, datetime, int], ...]
    """(key, event timestamp, value)"""


def known_rows(deliveries: Iterable[Delivery], c: datetime) -> list[tuple[str, datetime, int, datetime]]:
    """(key, event timestamp, value, delivered) of every row known at ``c``."""
    newest: dict[datetime, Delivery] = {}
    for delivery in deliveries:
        held = newest.get(delivery.partition)
        if delivery.delivered <= c and (held is None or held.delivered < delivery.delivered):
            newest[delivery.partition] = delivery
    return [(*row, delivery.delivered) for delivery in newest.values() for row in delivery.rows]


def as_it_is(deliveries: Iterable[Delivery], c: datetime) -> dict[tuple[str, datetime], int]:
    """(key, event timestamp) to the value delivered last."""
    rows = sorted(known_rows(deliveries, c), key=lambda row: row[3])
    return {(key, event): value for key, event, value, _ in rows}


def daily_sum(deliveries: Iterable[Delivery], c: datetime) -> dict[tuple[str, datetime], int]:
    """(key, end of day) to the sum of the day's values."""
    sums: dict[tuple[str, datetime], int] = {}
    for key, event, value, _ in known_rows(deliveries, c):
        end = event.replace(hour=0, minute=0, second=0, microsecond=0) + DAY
        sums[key, end] = sums.get((key, end), 0) + value
    return sums


def log_at(log: list[Row], c: datetime, value: str) -> dict[tuple[str, datetime], Any]:
    """What a log says at ``c``: per (key, event timestamp) the newest version created by then, if not deleted."""
    newest: dict[tuple[str, datetime], Row] = {}
    for row in sorted(log, key=lambda r: (r["created_timestamp"], r["recorded_timestamp"])):
        if row["created_timestamp"] <= c:
            newest[row["key"], row["event_timestamp"]] = row
    return {name: row[value] for name, row in newest.items() if not row["deleted"]}


def assert_log_knows(
    log: list[Row],
    deliveries: list[Delivery],
    truth: Callable[[Iterable[Delivery], datetime], dict[tuple[str, datetime], int]],
    value: str,
) -> None:
    """At every time at which something became known, the log says what was true as far as it was known."""
    times = sorted({d.delivered for d in deliveries} | {row["created_timestamp"] for row in log})
    for time in times:
        for c in (time - timedelta(microseconds=1), time):
            expected, found = truth(deliveries, c), log_at(log, c, value)
            differing = {
                name: (expected.get(name), found.get(name))
                for name in expected.keys() | found.keys()
                if expected.get(name) != found.get(name)
            }
            assert not differing, f"known at {c}: (expected, found) by (key, event): {differing}"

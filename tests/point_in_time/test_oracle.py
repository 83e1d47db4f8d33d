"""The rule itself, case by case: the worked example of docs/semantics.md."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from provender.point_in_time.rule import lookup


def time(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-11-{text}").replace(tzinfo=UTC)


def version(trips: int | None, event: str, created: str, recorded: str) -> dict[str, Any]:
    times = {
        "event_timestamp": time(event),
        "created_timestamp": time(created),
        "recorded_timestamp": time(recorded),
    }
    return {"driver": 7, "trips": trips, "deleted": trips is None, **times}


LOG = [
    version(12, "20T08:00:00.000", "20T09:00:00.000", "21T03:00"),
    version(15, "21T08:00:00.000", "21T09:00:00.000", "22T03:00"),
    version(14, "21T08:00:00.000", "22T10:00:00.000", "23T03:00"),
    version(None, "21T08:00:00.000", "24T10:00:00.000", "25T03:00"),
]


def trips(moment: str, **options: Any) -> int | None:
    options = {name: time(v) if name == "recorded_up_to" else v for name, v in options.items()}
    found = lookup(LOG, {"driver": 7}, time(moment), **options)
    return found and found["trips"]


BEFORE_RETRACTION = {"recorded_up_to": "24T00:00"}


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("20T07:59:59.999", None),
        ("20T08:00:00.000", 12),
        ("21T07:59:59.999", 12),
        ("21T08:00:00.000", 14),
    ],
)
def test_the_event_timestamp_is_included_to_the_millisecond(moment: str, expected: int | None) -> None:
    assert trips(moment, **BEFORE_RETRACTION) == expected


@pytest.mark.parametrize(("moment", "expected"), [("22T08:00:00.000", 14), ("22T08:00:00.001", None)])
def test_a_value_is_as_old_as_the_ttl_and_not_older(moment: str, expected: int | None) -> None:
    assert trips(moment, ttl=timedelta(days=1), **BEFORE_RETRACTION) == expected


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("20T08:59:59.999", None),
        ("20T09:00:00.000", 12),
        ("21T08:59:59.999", 12),
        ("21T09:00:00.000", 15),
        ("22T09:59:59.999", 15),
        ("22T10:00:00.000", 14),
        ("24T09:59:59.999", 14),
        ("24T10:00:00.000", 12),
    ],
)
def test_what_was_known_at_the_time(moment: str, expected: int | None) -> None:
    assert trips(moment, filter_by_created_timestamp=True) == expected


def test_a_withdrawn_row_leaves_the_older_one() -> None:
    assert trips("23T00:00") == 12


@pytest.mark.parametrize(("bound", "expected"), [("22T03:00", 15), ("23T03:00", 14), ("25T03:00", 12)])
def test_any_past_state_of_the_log_can_be_read(bound: str, expected: int) -> None:
    assert trips("23T00:00", recorded_up_to=bound) == expected


def test_a_null_key_or_time_matches_nothing() -> None:
    assert lookup([{**LOG[0], "driver": None}], {"driver": None}, time("23T00:00")) is None
    assert lookup(LOG, {"driver": 7}, None) is None


def test_of_equal_event_and_created_timestamps_the_later_recorded_wins() -> None:
    log = [version(1, "20T08:00", "20T09:00", "21T00:00"), version(2, "20T08:00", "20T09:00", "22T00:00")]
    found = lookup(log, {"driver": 7}, time("23T00:00"))
    assert found is not None and found["trips"] == 2

"""For which key a model is trained: keys arrive in any order, and one model comes of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from provender.errors import SpecError
from provender.intervals import Cadence, Partition
from provender.specs.source import Source
from provender.training_sets.keys import (
    SourceProgress,
    Step,
    cadence_of,
    choose,
    expected_key,
    newest_complete_key,
    why_incomplete,
)


def source(name: str, cadence: Cadence = Cadence.DAILY, **more: Any) -> Source:
    document = {
        "name": name,
        "owner": "travel",
        "cadence": str(cadence),
        "start": datetime(2026, 1, 5, tzinfo=UTC),
        "raw": {"uri": "x/{partition}"},
        "event_timestamp": {"column": "at"},
        "columns": [{"name": "city", "type": "STRING"}, {"name": "at", "type": "TIMESTAMP"}],
        "tables": [{"name": "city", "keys": ["city"]}],
    }
    return Source.model_validate(document | more)


def day(key: str) -> Partition:
    return Partition.parse(Cadence.DAILY, key)


def asked(key: str | None, newest: str | None, **changed: Any) -> Step:
    settings: dict[str, Any] = {
        "by_hand": False,
        "decided": {},
        "expected": day("2026-01-31"),
        "sources_are_busy": False,
    }
    chosen = choose(day(key) if key else None, day(newest) if newest else None, **settings | changed)
    return chosen.step


def test_the_newest_complete_key_is_the_newest_that_all_sources_have() -> None:
    rides = SourceProgress(source("rides"), frozenset({"2026-01-05", "2026-01-06", "2026-01-07"}))
    tips = SourceProgress(source("tips"), frozenset({"2026-01-06", "2026-01-05"}))
    assert newest_complete_key([rides, tips], Cadence.DAILY) == day("2026-01-06")
    assert newest_complete_key([rides, SourceProgress(source("tips"), frozenset())], Cadence.DAILY) is None


def test_a_day_is_complete_when_all_its_hours_are() -> None:
    hours = {f"2026-01-06T{hour:02d}" for hour in range(24)}
    rides = SourceProgress(source("rides"), frozenset({"2026-01-05", "2026-01-06"}))
    whole = SourceProgress(source("tips", Cadence.HOURLY), frozenset(hours))
    part = SourceProgress(source("tips", Cadence.HOURLY), frozenset(hours - {"2026-01-06T13"}))
    assert newest_complete_key([rides, whole], Cadence.DAILY) == day("2026-01-06")
    assert newest_complete_key([rides, part], Cadence.DAILY) is None


def test_a_source_that_ended_has_no_later_keys_and_says_so() -> None:
    closed = SourceProgress(source("tips", end=datetime(2026, 1, 7, tzinfo=UTC)), frozenset({"2026-01-06"}))
    rides = SourceProgress(source("rides"), frozenset({"2026-01-06", "2026-01-07"}))
    assert newest_complete_key([rides, closed], Cadence.DAILY) == day("2026-01-06")
    told = why_incomplete([rides, closed], day("2026-01-07"))
    assert told == "2026-01-07 is not complete: tips ends with 2026-01-06 and never covers it"


def test_a_month_of_which_a_source_has_some_days_is_never_complete() -> None:
    """Whether they are its last ones, because it starts there, or its first ones, because it ends there."""
    month = Partition.parse(Cadence.MONTHLY, "2026-01")
    bills = SourceProgress(
        source("bills", Cadence.MONTHLY, start=datetime(2025, 11, 1, tzinfo=UTC)),
        frozenset({"2025-11", "2025-12", "2026-01"}),
    )
    days = frozenset(f"2026-01-{number:02d}" for number in range(1, 32))
    started = SourceProgress(source("rides", start=datetime(2026, 1, 28, tzinfo=UTC)), days)
    ended = SourceProgress(
        source("rides", start=datetime(2025, 12, 1, tzinfo=UTC), end=datetime(2026, 1, 5, tzinfo=UTC)), days
    )
    whole = SourceProgress(source("rides", start=datetime(2026, 1, 1, tzinfo=UTC)), days)
    for partial, words in ((started, "starts with 2026-01-28"), (ended, "ends with 2026-01-04")):
        assert newest_complete_key([bills, partial], Cadence.MONTHLY) is None
        assert words in why_incomplete([bills, partial], month)
    assert newest_complete_key([bills, whole], Cadence.MONTHLY) == month
    assert why_incomplete([bills, whole], month) == ""


def test_a_day_that_an_hourly_source_does_not_have_is_not_complete() -> None:
    rides = SourceProgress(source("rides"), frozenset({"2026-01-06"}))
    later = SourceProgress(
        source("tips", Cadence.HOURLY, start=datetime(2026, 1, 7, tzinfo=UTC)), frozenset({"2026-01-07T00"})
    )
    assert newest_complete_key([rides, later], Cadence.DAILY) is None
    assert "tips starts with 2026-01-07T00" in why_incomplete([rides, later], day("2026-01-06"))
    hours = {f"2026-01-06T{hour:02d}" for hour in range(24)}
    part = SourceProgress(
        source("tips", Cadence.HOURLY), frozenset(hours - {"2026-01-06T13", "2026-01-06T14"})
    )
    told = why_incomplete([rides, part], day("2026-01-06"))
    assert "tips has not ingested 2 of its 24 partitions" in told
    assert "2026-01-06T13, 2026-01-06T14" in told


def test_a_run_for_an_incomplete_key_is_skipped_with_the_reason() -> None:
    settings: dict[str, Any] = {"by_hand": False, "decided": {}, "expected": None, "sources_are_busy": False}
    why = "2026-01-07 is not complete: tips ends with 2026-01-06 and never covers it"
    chosen = choose(day("2026-01-07"), day("2026-01-06"), **settings, incomplete=why)
    assert (chosen.step, chosen.key) == (Step.SKIP, "2026-01-07")
    assert chosen.reason == f"{why}. The newest key that all sources have is 2026-01-06"
    chosen = choose(None, None, **settings, incomplete=why)
    assert chosen.reason == f"no key is complete in all sources yet: {why}"


def test_the_models_cadence_is_its_coarsest_sources() -> None:
    assert cadence_of([source("a", Cadence.HOURLY), source("b")]) == Cadence.DAILY
    with pytest.raises(SpecError, match="no common partitions"):
        cadence_of(
            [
                source("a", Cadence.WEEKLY),
                source("b", Cadence.MONTHLY, start=datetime(2026, 1, 1, tzinfo=UTC)),
            ]
        )


def test_the_expected_key_is_the_newest_whole_one() -> None:
    now = datetime(2026, 1, 20, 15, 30, tzinfo=UTC)
    assert expected_key([source("a"), source("b", Cadence.HOURLY)], Cadence.DAILY, now) == day("2026-01-19")
    assert expected_key([source("a")], Cadence.DAILY, datetime(2026, 1, 5, 1, tzinfo=UTC)) is None


def test_no_key_is_expected_that_a_source_never_covers() -> None:
    now = datetime(2026, 3, 20, tzinfo=UTC)
    bills = source("bills", Cadence.MONTHLY, start=datetime(2026, 1, 1, tzinfo=UTC))
    ended = source("rides", start=datetime(2026, 1, 1, tzinfo=UTC), end=datetime(2026, 2, 5, tzinfo=UTC))
    assert expected_key([bills, ended], Cadence.MONTHLY, now) == Partition.parse(Cadence.MONTHLY, "2026-01")
    assert expected_key([source("rides"), ended], Cadence.MONTHLY, now) is None, "January begins before both"


def test_only_the_newest_complete_key_is_trained_for() -> None:
    assert asked("2026-01-06", "2026-01-06") is Step.TRAIN
    assert asked("2026-01-05", "2026-01-06") is Step.SKIP
    assert asked("2026-01-07", "2026-01-06") is Step.SKIP
    assert asked("2026-01-07", None) is Step.SKIP
    assert asked(None, "2026-01-06") is Step.TRAIN


def test_a_repeated_key_is_skipped_unless_somebody_asks_for_it() -> None:
    decided = {"2026-01-06": "deploy"}
    assert asked("2026-01-06", "2026-01-06", decided=decided) is Step.SKIP
    assert asked("2026-01-06", "2026-01-06", decided=decided, by_hand=True) is Step.TRAIN


def test_an_old_key_waits_while_its_sources_are_busy_and_the_expected_one_does_not() -> None:
    assert asked("2026-01-06", "2026-01-06", sources_are_busy=True) is Step.WAIT
    assert asked("2026-01-31", "2026-01-31", sources_are_busy=True) is Step.TRAIN
    assert asked("2026-01-06", "2026-01-06", sources_are_busy=True, by_hand=True) is Step.TRAIN


def test_a_year_of_keys_trains_one_model_however_the_runs_interleave() -> None:
    """Keys complete one after another; a run looks when it looks, and the last one finds quiet sources."""
    keys = [f"2026-01-{number:02d}" for number in range(5, 29)]
    trained = []
    for position, key in enumerate(keys):
        looks = iter([*keys[position:], keys[-1]])
        step = Step.WAIT
        while step is Step.WAIT:
            newest = next(looks)
            step = asked(key, newest, sources_are_busy=newest != keys[-1])
        if step is Step.TRAIN:
            trained.append(key)
    assert trained == [keys[-1]]

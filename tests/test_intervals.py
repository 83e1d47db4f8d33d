from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provender.errors import PartitionError
from provender.intervals import (
    Cadence,
    Frequency,
    Partition,
    compress,
    iso,
    newest_complete,
    parse_duration,
    parse_iso,
    partitions_between,
)

MOMENTS = st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2200, 1, 1), timezones=st.just(UTC))
CADENCES = [Cadence(frequency) for frequency in Frequency]
ZONES = (
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "America/St_Johns",  # set its clocks at 00:01 for years
    "America/Sao_Paulo",  # skipped midnight in spring
    "America/Havana",  # had midnight twice in autumn
    "Pacific/Apia",  # never had 2011-12-30
    "Africa/Monrovia",  # was 44:30 behind until 1972
)
LOCAL = [Cadence(frequency, zone) for frequency, zone in itertools.product(list(Frequency)[1:], ZONES)]
ANY_CADENCE = st.sampled_from(CADENCES + LOCAL)


@given(ANY_CADENCE, MOMENTS)
def test_a_moment_lies_in_exactly_one_partition_which_its_key_names(
    cadence: Cadence, moment: datetime
) -> None:
    partition = Partition.holding(cadence, moment)
    assert partition.start <= moment < partition.end
    assert Partition.parse(cadence, partition.key) == partition
    assert Partition.holding(cadence, partition.end) == partition.following
    assert Partition.holding(cadence, partition.end - timedelta(microseconds=1)) == partition


@given(ANY_CADENCE, MOMENTS, st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=40)))
def test_the_newest_complete_partition_has_ended_and_the_next_has_not(
    cadence: Cadence, now: datetime, delay: timedelta
) -> None:
    newest = newest_complete(cadence, now, delay)
    assert newest.end + delay <= now < newest.following.end + delay


@pytest.mark.parametrize(
    "key",
    [
        "../../x",
        "2026-01-01/../..",
        "2026-01-01\n",
        " 2026-01-01",
        "2026-1-1",
        "2026-13-01",
        "2026-02-30",
        "{partition}",
        "%Y-%m-%d",
        "=cmd()",
        "'; DROP TABLE x; --",
        "",
        "٢٠٢٦-٠١-٠١",
    ],
)
@pytest.mark.parametrize("cadence", CADENCES, ids=str)
def test_what_is_not_exactly_a_key_is_refused(cadence: Cadence, key: str) -> None:
    with pytest.raises(PartitionError, match="is not a"):
        Partition.parse(cadence, key)


def test_a_weekly_key_is_a_monday() -> None:
    with pytest.raises(PartitionError, match="start on a Monday") as caught:
        Partition.parse(Cadence.WEEKLY, "2026-11-18")
    assert caught.value.remedy == "write 2026-11-16"


def test_a_moment_without_a_zone_is_refused_and_one_of_another_zone_is_converted() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        Partition.holding(Cadence.DAILY, datetime(2026, 1, 1))
    eastern = datetime(2026, 1, 1, 23, tzinfo=timezone(timedelta(hours=-5)))
    assert Partition.holding(Cadence.DAILY, eastern).key == "2026-01-02"


@given(st.sets(st.integers(0, 30)))
def test_ranges_hold_what_was_folded_into_them(days: set[int]) -> None:
    first = Partition.parse(Cadence.DAILY, "2026-01-01")
    partitions = [Partition.holding(Cadence.DAILY, first.start + timedelta(days=n)) for n in days]
    ranges = compress(partitions)
    assert [p for low, high in ranges for p in partitions_between(low, high)] == sorted(partitions)
    assert all(low.start > high.end for (_, high), (low, _) in itertools.pairwise(ranges))


def test_a_reversed_range_is_refused() -> None:
    first = Partition.parse(Cadence.DAILY, "2026-01-01")
    with pytest.raises(PartitionError, match="ends before it starts"):
        list(partitions_between(first.following, first))


@given(MOMENTS, MOMENTS)
def test_text_order_of_moments_is_time_order(one: datetime, other: datetime) -> None:
    assert (iso(one) < iso(other)) == (one < other)
    assert parse_iso(iso(one)) == one


@pytest.mark.parametrize(("text", "hours"), [("1d 12h", 36), ("90m", 1.5), ("0", 0), ("2w", 336)])
def test_durations(text: str, hours: float) -> None:
    assert parse_duration(text) == timedelta(hours=hours)


@pytest.mark.parametrize("text", ["", "1", "h", "1 day", "-1h", "1h, 2m"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


def test_days_of_a_time_zone_have_23_24_or_25_hours() -> None:
    berlin = Cadence(Frequency.DAILY, "Europe/Berlin")
    lengths = {key: Partition.parse(berlin, key) for key in ("2026-03-29", "2026-06-01", "2026-10-25")}
    assert {key: (day.end - day.start) // timedelta(hours=1) for key, day in lengths.items()} == {
        "2026-03-29": 23,
        "2026-06-01": 24,
        "2026-10-25": 25,
    }
    assert iso(lengths["2026-06-01"].start) == "2026-05-31T22:00:00.000000Z"
    month = Partition.parse(Cadence(Frequency.MONTHLY, "Europe/Berlin"), "2026-04")
    assert (iso(month.start), iso(month.end)) == (
        "2026-03-31T22:00:00.000000Z",
        "2026-04-30T22:00:00.000000Z",
    )


def test_a_day_begins_when_clocks_first_show_its_date() -> None:
    skipped = Partition.parse(Cadence(Frequency.DAILY, "America/Sao_Paulo"), "2018-11-04")
    assert skipped.local_start.hour == 1 and iso(skipped.start) == "2018-11-04T03:00:00.000000Z"
    twice = Partition.parse(Cadence(Frequency.DAILY, "America/Havana"), "2026-11-01")
    assert twice.end - twice.start == timedelta(hours=25)
    with pytest.raises(PartitionError, match="clocks in Pacific/Apia went past that day") as caught:
        Partition.parse(Cadence(Frequency.DAILY, "Pacific/Apia"), "2011-12-30")
    assert caught.value.remedy == "write 2011-12-31"


@pytest.mark.parametrize("cadence", LOCAL, ids=lambda cadence: f"{cadence} {cadence.zone}")
def test_periods_of_a_time_zone_follow_each_other_without_gap_or_overlap(cadence: Cadence) -> None:
    partition, keys = Partition.holding(cadence, datetime(2005, 12, 31, 12, tzinfo=UTC)), set()
    while partition.start.year < 2013:
        following = partition.following
        assert partition.start < partition.end == following.start
        assert partition.key not in keys
        keys.add(partition.key)
        assert Partition.parse(cadence, partition.key) == partition
        partition = following

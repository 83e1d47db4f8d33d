"""Which times a period was known at, as far as the raw table can tell."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from provender.ingestion.slices import Redelivery, Slice, is_simple, known_times

DAY = timedelta(days=1)


def day(number: int, hour: int = 0) -> datetime:
    return datetime(2026, 1, number, hour, tzinfo=UTC)


def test_a_period_is_known_once_for_each_delivery_that_brought_rows_for_it() -> None:
    deliveries = {(day(1), day(2, 1)), (day(1), day(5, 1)), (day(2), day(3, 1))}
    assert known_times(deliveries, 3 * DAY, []) == deliveries


def test_between_the_first_and_the_last_delivery_of_a_partition_nothing_can_be_told() -> None:
    deliveries = {(day(1), day(2, 1)), (day(1), day(4, 1))}
    again = Redelivery(partition=day(2), first=day(3, 1), last=day(9))
    assert known_times(deliveries, 3 * DAY, [again]) == {(day(1), day(2, 1)), (day(1), day(9))}


def test_a_redelivery_out_of_a_periods_reach_does_not_matter_to_it() -> None:
    deliveries = {(day(1), day(2, 1))}
    too_late = Redelivery(partition=day(3), first=day(4, 1), last=day(9))
    before = Redelivery(partition=datetime(2025, 12, 31, tzinfo=UTC), first=day(1, 1), last=day(9))
    assert known_times(deliveries, DAY, [too_late, before]) == deliveries


def test_slices_are_simple_until_a_period_was_known_in_two_ways() -> None:
    assert is_simple([Slice(day(1), day(2)), Slice(day(2), day(3))])
    assert not is_simple([Slice(day(1), day(2)), Slice(day(1), day(3))])
    assert is_simple([])

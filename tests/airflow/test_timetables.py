"""A model's timetable survives Airflow's serialization and knows the model's partitions."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from airflow.exceptions import InvalidPartitionKeyError
from airflow.sdk import Asset, AssetAll, DayWindow, RollupMapper, StartOfDayMapper

from provender_airflow.timetables import ModelTimetable

pytestmark = pytest.mark.airflow


def timetable() -> ModelTimetable:
    hourly = Asset("features/weather")
    rollup = RollupMapper(upstream_mapper=StartOfDayMapper(input_format="%Y-%m-%dT%H"), window=DayWindow())
    return ModelTimetable(
        cron="0 0 * * *",
        key_format="%Y-%m-%d",
        assets=AssetAll(Asset("features/flights"), hourly),
        partition_mapper_config={hourly: rollup},
    )


def test_it_survives_being_stored() -> None:
    stored = timetable().serialize()
    again = ModelTimetable.deserialize(stored)
    assert again.serialize() == stored
    assert again.periodic
    assert again.partitioned
    assert {info["name"]: info["is_rollup"] for info in again.partition_mapper_info} == {
        "features/flights": False,
        "features/weather": True,
    }


def test_a_backfill_makes_a_run_for_each_partition_both_ends_included() -> None:
    infos = timetable().iter_partition_dagrun_infos(
        earliest=datetime(2026, 1, 30, tzinfo=UTC), latest=datetime(2026, 2, 1, tzinfo=UTC)
    )
    assert [info.partition_key for info in infos] == ["2026-01-30", "2026-01-31", "2026-02-01"]


def test_it_is_never_due_by_the_clock() -> None:
    assert ModelTimetable.deserialize(timetable().serialize()).serialize()["cron"] == "0 0 * * *"
    assert timetable().next_dagrun_info(last_automated_data_interval=None, restriction=None) is None  # type: ignore[arg-type]


def test_a_key_of_another_form_is_refused() -> None:
    assert timetable().resolve_partition_date("2026-01-30") == datetime(2026, 1, 30, tzinfo=UTC)
    with pytest.raises(InvalidPartitionKeyError):
        timetable().resolve_partition_date("2026-01")

"""Which files a join reads."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from provender.point_in_time.duckdb_join import Lookup, bounds_of, join
from provender.tables.feature_log import Bounds, FeatureLog
from tests.point_in_time.logs import STAMP, at, schema, write_log

COLUMNS = schema({"driver": pa.int64()}, {"trips": pa.int64()})
DAY = 24 * 60


@pytest.fixture
def log(tmp_path: Path) -> FeatureLog:
    """Ten files, one for each day; recorded a day later."""
    for day in range(10):
        rows = [
            {"driver": 1, "trips": day, "event_timestamp": at(day * DAY + m), "created_timestamp": at(day * DAY + m),
             "recorded_timestamp": at((day + 1) * DAY)}
            for m in (0, 600)
        ]  # fmt: skip
        uri = write_log(tmp_path, rows, COLUMNS)
    return FeatureLog(uri)


def days(log: FeatureLog, bounds: Bounds) -> list[int]:
    """Which days' files are read."""
    found = log.dataset(bounds).to_table(columns=["trips"]).column("trips").to_pylist()
    assert len(log.files(bounds)) == len(set(found))
    return sorted(set(found))


def test_without_bounds_every_file_is_read(log: FeatureLog) -> None:
    assert days(log, Bounds()) == list(range(10))


def test_files_after_the_last_entity_row_are_not_read(log: FeatureLog) -> None:
    assert days(log, Bounds(event_to=at(3 * DAY))) == [0, 1, 2, 3]
    assert days(log, Bounds(event_to=at(3 * DAY - 0.1))) == [0, 1, 2]


def test_files_older_than_the_ttl_of_the_first_entity_row_are_not_read(log: FeatureLog) -> None:
    assert days(log, Bounds(event_from=at(7 * DAY + 600))) == [7, 8, 9]
    assert days(log, Bounds(event_from=at(7 * DAY + 600.1))) == [8, 9]


def test_files_recorded_after_the_last_committed_ingest_are_not_read(log: FeatureLog) -> None:
    assert days(log, Bounds(recorded_to=at(4 * DAY))) == [0, 1, 2, 3]


def test_a_statistic_cut_to_milliseconds_does_not_hide_a_row(tmp_path: Path) -> None:
    moment = at(0).replace(microsecond=123_999)
    row = {"driver": 1, "trips": 1, **dict.fromkeys(("event_timestamp", "created_timestamp"), moment)}
    log = FeatureLog(write_log(tmp_path, [row | {"recorded_timestamp": at(9)}], COLUMNS))
    assert len(log.files(Bounds(event_from=moment))) == 1


def test_a_file_without_statistics_is_read(log: FeatureLog, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    configuration: dict[str, str | None] = {"delta.dataSkippingNumIndexedCols": "0"}
    DeltaTable.create(str(bare), schema=COLUMNS, configuration=configuration)
    row = {"driver": 1, "trips": 1, **dict.fromkeys(("event_timestamp", "created_timestamp"), at(0))}
    bare_log = FeatureLog(write_log(bare, [row | {"recorded_timestamp": at(9)}], COLUMNS))
    assert len(bare_log.files(Bounds(event_from=at(5)))) == 1


def test_a_join_reads_the_files_its_entity_rows_and_ttl_ask_for(
    log: FeatureLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments = pa.chunked_array([pa.array([at(5 * DAY), at(6 * DAY)], STAMP).cast(pa.int64())])
    lookup = Lookup(log, {"driver": "driver"}, {"trips": "trips"}, ttl=at(DAY) - at(0))
    bounds = bounds_of(lookup, moments)
    assert bounds == Bounds(event_from=at(4 * DAY), event_to=at(6 * DAY))
    read: list[Bounds] = []
    dataset = FeatureLog.dataset
    monkeypatch.setattr(FeatureLog, "dataset", lambda self, b: read.append(b) or dataset(self, b))
    entities = pa.table({"driver": [1, 1], "t": pa.array([at(5 * DAY), at(6 * DAY)], STAMP)})
    assert join(entities, "t", [lookup]).column("trips").to_pylist() == [5, 6]
    assert [days(log, b) for b in list(read)] == [[4, 5, 6]]

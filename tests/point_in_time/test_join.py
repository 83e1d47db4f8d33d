"""Which engine joins, told by Delta's statistics alone."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from provender.engine_settings import JOIN_DUCKDB_ROWS, Engine, EngineChoice
from provender.point_in_time.duckdb_join import Lookup
from provender.point_in_time.join import count_rows_to_read
from provender.tables.feature_log import FeatureLog
from tests.point_in_time.logs import STAMP, at
from tests.point_in_time.test_engine import SIMPLE, entities, simple, write_log

DAY = 24 * 60


@pytest.fixture
def lookup(tmp_path: Path) -> Lookup:
    """Five files, one a day, with day number + 1 rows each."""
    for day in range(5):
        rows = [simple(k, k, day * DAY + k, recorded_timestamp=at(day * DAY + 60)) for k in range(day + 1)]
        uri = write_log(tmp_path, rows, SIMPLE)
    return Lookup(FeatureLog(uri), {"driver": "driver"}, {"trips": "trips"})


def test_duckdb_joins_up_to_the_documented_size_and_spark_above() -> None:
    assert EngineChoice().engine_for(JOIN_DUCKDB_ROWS) is Engine.DUCKDB
    assert EngineChoice().engine_for(JOIN_DUCKDB_ROWS + 1) is Engine.SPARK
    assert EngineChoice(duckdb_rows=5).engine_for(6) is Engine.SPARK


@pytest.mark.parametrize("engine", [Engine.DUCKDB, Engine.SPARK])
def test_a_named_engine_joins_whatever_the_size(engine: Engine) -> None:
    assert (
        EngineChoice(engine=engine).engine_for(1) is EngineChoice(engine=engine).engine_for(10**12) is engine
    )


def test_the_size_is_the_entity_rows_and_the_versions_in_files_that_can_matter(lookup: Lookup) -> None:
    everything = entities((1, at(0)), (1, at(5 * DAY)))
    assert count_rows_to_read(everything, "t", [lookup]) == 2 + 15
    assert count_rows_to_read(everything, "t", [lookup, lookup]) == 2 + 30
    late = entities((1, at(4.9 * DAY)))
    recent = Lookup(lookup.log, lookup.keys, lookup.features, timedelta(days=1))
    assert count_rows_to_read(late, "t", [recent]) == 1 + 5
    early = Lookup(lookup.log, lookup.keys, lookup.features, recorded_up_to=at(2 * DAY))
    assert count_rows_to_read(late, "t", [early]) == 1 + 3


def test_rows_without_any_time_read_nothing(lookup: Lookup) -> None:
    rows = pa.table({"driver": [1], "t": pa.array([None], STAMP)})
    assert count_rows_to_read(rows, "t", [lookup]) == 1

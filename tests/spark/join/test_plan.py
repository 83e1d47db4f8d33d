"""What Spark does for a join: the files it reads, its shuffles and sorts, and how a hot key is cut."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from provender.point_in_time.duckdb_join import Lookup, join
from provender.point_in_time.spark import plan, time_slices
from provender.point_in_time.spark.run import SparkJoin
from provender.tables.feature_log import FeatureLog
from tests.engine import Project
from tests.point_in_time.logs import STAMP, at, schema, write_log

pytestmark = pytest.mark.spark

COLUMNS = schema({"driver": pa.int64()}, {"trips": pa.int64(), "rate": pa.float64()})
DAY = 24 * 60
Row = dict[str, Any]


def version(driver: int, trips: int, event: float, recorded: float = 10**6, **more: Any) -> Row:
    times = {"event_timestamp": at(event), "created_timestamp": at(event), "recorded_timestamp": at(recorded)}
    return {"driver": driver, "trips": trips, "rate": trips / 2, **times, **more}


def entities(*rows: tuple[Any, float | None]) -> pa.Table:
    times = pa.array([None if minute is None else at(minute) for _, minute in rows], STAMP)
    return pa.table({"driver": pa.array([driver for driver, _ in rows], pa.int64()), "t": times})


def look(uri: str, *columns: str, **more: Any) -> Lookup:
    names = {f"{Path(uri).name}_{column}": column for column in columns or ("trips",)}
    return Lookup(FeatureLog(uri), {"driver": "driver"}, names, **more)


@pytest.fixture(autouse=True)
def _large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every log counts as large, as in production."""
    monkeypatch.setattr(plan, "SMALL_LOG_ROWS", 0)
    monkeypatch.setattr(plan, "BROADCAST_ROWS", 0)


@contextmanager
def planned(project: Project, rows: pa.Table, lookups: list[Lookup], **known: bool) -> Iterator[Any]:
    work = SparkJoin(project.settings, lambda: [rows], "t", lookups, **known)
    with work.frame(carry=False) as frame:
        yield frame
    work.clean()


def physical(frame: Any) -> str:
    # Spark cuts what it shows of a scan after 100 characters.
    frame.sparkSession.conf.set("spark.sql.maxMetadataStringLength", "4000")
    return str(frame._explain_string(mode="simple"))


def both(
    project: Project, rows: pa.Table, lookups: list[Lookup], **known: bool
) -> tuple[list[Row], list[Row]]:
    """What Spark and what DuckDB finds."""
    outputs = [name for lookup in lookups for name in lookup.features]
    spark = SparkJoin(
        project.settings, lambda: [rows], "t", lookups, known.get("filter_by_created_timestamp", False)
    )
    return spark.to_arrow().to_pylist(), join(rows, "t", lookups, **known).select(outputs).to_pylist()


@pytest.fixture
def month(tmp_path: Path) -> str:
    """Thirty files, a day each."""
    for day in range(30):
        uri = write_log(
            tmp_path / "month", [version(k, day, day * DAY + k, day * DAY + DAY) for k in range(5)], COLUMNS
        )
    return uri


def files_read(frame: Any) -> list[str]:
    return [file for file in frame.inputFiles() if "/month/" in file]


def test_only_files_that_the_rows_times_and_the_ttl_reach_are_read(project: Project, month: str) -> None:
    rows = entities((1, 10 * DAY + 60), (2, 12 * DAY + 60))
    with planned(project, rows, [look(month, ttl=timedelta(days=2))]) as frame:
        assert len(files_read(frame)) == 4  # days 9 to 12: that of day 8 ends before the ttl reaches
        text = physical(frame)
        assert "PreparedDeltaFileIndex" in text
        assert re.search(r"PushedFilters: \[[^]]*GreaterThanOrEqual\(event_timestamp,2026-11-30 01:00", text)
        assert re.search(r"PushedFilters: \[[^]]*LessThanOrEqual\(event_timestamp,2026-12-04 01:00", text)
    with planned(project, rows, [look(month)]) as frame:
        assert len(files_read(frame)) == 13  # everything up to day 12


def test_files_recorded_after_the_bound_are_not_read(project: Project, month: str) -> None:
    bounded = look(month, recorded_up_to=at(4 * DAY))
    with planned(project, entities((1, 29 * DAY)), [bounded]) as frame:
        assert len(files_read(frame)) == 4


def test_files_that_nobody_could_know_are_not_read(project: Project, tmp_path: Path) -> None:
    write_log(tmp_path / "month", [version(1, 1, 0)], COLUMNS)
    late = version(1, 2, 0) | {"created_timestamp": at(99)}
    uri = write_log(tmp_path / "month", [late], COLUMNS)
    with planned(project, entities((1, 5)), [look(uri)], filter_by_created_timestamp=True) as frame:
        assert len(files_read(frame)) == 1


def test_a_log_that_nothing_reaches_is_not_read_at_all(project: Project, month: str) -> None:
    rows = entities((1, -DAY), (1, None), (None, 5))
    with planned(project, rows.slice(0, 2), [look(month)]) as frame:
        assert files_read(frame) == []
    assert both(project, rows, [look(month)])[0] == [{"month_trips": None}] * 3


def test_views_with_the_same_key_share_one_shuffle_and_one_sort(project: Project, tmp_path: Path) -> None:
    uris = [
        write_log(tmp_path / f"log{i}", [version(1, i, 0), version(1, 10 + i, 5)], COLUMNS) for i in range(4)
    ]
    lookups = [look(uri, "trips", "rate") for uri in uris]
    rows = entities((1, 1), (1, 7), (2, 7))
    with planned(project, rows, lookups) as frame:
        text = physical(frame)
        assert len(re.findall(r"Exchange hashpartitioning", text)) == 1
        assert len(re.findall(r"\bSort \[", text)) == 1
        assert "Join" not in text and "CartesianProduct" not in text
    spark, duck = both(project, rows, lookups)
    assert spark == duck
    assert [row["log3_trips"] for row in spark] == [3, 13, None]


def test_withdrawn_versions_cost_no_second_shuffle(project: Project, tmp_path: Path) -> None:
    gone = version(1, 2, 5, deleted=True) | {"created_timestamp": at(6)}
    uri = write_log(tmp_path / "log", [version(1, 1, 0), version(1, 2, 5), gone], COLUMNS)
    with planned(project, entities((1, 7)), [look(uri)]) as frame:
        text = physical(frame)
        assert (
            len(re.findall(r"Exchange hashpartitioning", text)) == 1
            and len(re.findall(r"\bSort \[", text)) == 1
        )


def test_views_with_other_keys_are_joined_one_after_the_other_without_a_cartesian_step(
    project: Project, tmp_path: Path
) -> None:
    zones = schema({"zone": pa.string()}, {"trips": pa.int64()})
    one = write_log(tmp_path / "one", [version(1, 10, 0), version(2, 20, 0)], COLUMNS)
    row = version(0, 7, 0)
    two = write_log(
        tmp_path / "two",
        [{k: v for k, v in row.items() if k not in ("driver", "rate")} | {"zone": "a"}],
        zones,
    )
    everyone = write_log(
        tmp_path / "all",
        [{k: v for k, v in row.items() if k not in ("driver", "rate")}],
        schema({}, {"trips": pa.int64()}),
    )
    lookups = [
        look(one),
        Lookup(FeatureLog(two), {"zone": "zone"}, {"zone_trips": "trips"}),
        Lookup(FeatureLog(everyone), {}, {"all_trips": "trips"}),
    ]
    rows = entities((1, 1), (2, 1), (None, 1)).append_column("zone", pa.array(["a", "b", "a"]))
    with planned(project, rows, lookups) as frame:
        text = physical(frame)
        assert "CartesianProduct" not in text and "BroadcastNestedLoopJoin" not in text
    spark, duck = both(project, rows, lookups)
    assert spark == duck
    assert spark[2] == {"one_trips": None, "zone_trips": 7, "all_trips": 7}


def test_more_views_than_one_pass_takes(project: Project, tmp_path: Path) -> None:
    uri = write_log(tmp_path / "log", [version(1, 10, 0), version(1, 11, 5)], COLUMNS)
    lookups = [
        Lookup(FeatureLog(uri), {"driver": "driver"}, {f"n{i}": "trips"}, timedelta(minutes=i))
        for i in range(40)
    ]
    spark, duck = both(project, entities((1, 4), (1, 20), (1, 3)), lookups)
    assert spark == duck


@pytest.mark.parametrize("known_then", [False, True])
def test_a_key_with_half_the_rows_is_sorted_in_time_slices(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known_then: bool
) -> None:
    monkeypatch.setattr(plan, "HOT_ROWS", 500)
    monkeypatch.setattr(time_slices, "HOT_ROWS", 500)
    rows = [version(7 if i % 2 else i, i, i / 10) for i in range(4000)]
    uri = write_log(tmp_path / "log", rows, COLUMNS)
    asked = entities(*[(7 if i % 2 else i, i / 7) for i in range(3000)], (None, 4.0))
    work = SparkJoin(project.settings, lambda: [asked], "t", [look(uri)], known_then)
    with work.frame(carry=False) as frame:
        plain = physical(frame)
        assert "slice" in plain and "BroadcastHashJoin" in plain
    work.clean()
    spark, duck = both(project, asked, [look(uri)], filter_by_created_timestamp=known_then)
    assert spark == duck


def test_a_table_without_keys_is_cut_in_slices_too(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "HOT_ROWS", 100)
    monkeypatch.setattr(time_slices, "HOT_ROWS", 100)
    columns = schema({}, {"trips": pa.int64()})
    rows = [{k: v for k, v in version(0, i, i).items() if k not in ("driver", "rate")} for i in range(1000)]
    uri = write_log(tmp_path / "log", rows, columns)
    everyone = Lookup(FeatureLog(uri), {}, {"n": "trips"}, timedelta(minutes=500))
    spark, duck = both(project, entities(*[(1, i * 1.7) for i in range(1000)]), [everyone])
    assert spark == duck


def test_few_entity_rows_or_few_versions_are_broadcast(
    project: Project, month: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "BROADCAST_ROWS", 100)
    with planned(project, entities((1, DAY)), [look(month)]) as frame:
        assert "LeftSemi, BuildRight" in physical(frame)
    monkeypatch.setattr(plan, "SMALL_LOG_ROWS", 1000)
    with planned(project, entities((1, DAY)), [look(month)]) as frame:
        assert re.search(r"BroadcastHashJoin .*LeftOuter, BuildRight", physical(frame))

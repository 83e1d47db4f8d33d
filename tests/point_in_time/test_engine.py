"""DuckDB's join is the oracle's, on generated logs; and what the join does at its edges."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from provender.errors import LogNotFoundError, TerminalError
from provender.point_in_time.duckdb_join import Lookup, join
from provender.point_in_time.rule import lookup
from provender.tables.feature_log import FeatureLog
from tests.point_in_time.logs import STAMP, T0, at, schema, write_log

COLUMNS = schema({"driver": pa.int64(), "zone": pa.string()}, {"trips": pa.int32(), "rate": pa.float32()})
MICROSECOND = timedelta(microseconds=1)
times = st.integers(0, 8).map(at) | st.integers(0, 8).map(lambda m: at(m) + MICROSECOND)
keys = st.fixed_dictionaries({"driver": st.integers(1, 2), "zone": st.sampled_from(["a", "b"])})
null_keys = st.fixed_dictionaries(
    {"driver": st.none() | st.integers(0, 2), "zone": st.none() | st.sampled_from(["a", "b"])}
)
versions = st.builds(
    lambda k, trips, event, created, recorded, deleted: (
        k
        | {
            "trips": None if deleted else trips,
            "rate": None if deleted or trips is None else trips / 4,
            "event_timestamp": event,
            "created_timestamp": created,
            "recorded_timestamp": at(recorded),
            "deleted": deleted,
        }
    ),
    keys,
    st.none() | st.integers(0, 1000),
    times,
    times,
    st.integers(100, 110),
    st.sampled_from([False, False, True]),
)
logs = st.lists(
    versions,
    max_size=40,
    unique_by=lambda v: tuple(
        v[n] for n in ("driver", "zone", *[f"{t}_timestamp" for t in ("event", "created", "recorded")])
    ),
)
entity_rows = st.lists(
    st.builds(lambda k, t: k | {"t": t}, null_keys, st.none() | times), min_size=1, max_size=25
)


def _expected(
    log: list[dict[str, Any]], rows: list[dict[str, Any]], feature: str, **options: Any
) -> list[Any]:
    found = [lookup(log, {"driver": r["driver"], "zone": r["zone"]}, r["t"], **options) for r in rows]
    return [version and version[feature] for version in found]


def _entities(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(
        rows, pa.schema([("driver", pa.int64()), ("zone", pa.string()), ("t", STAMP)])
    )


GENERATED: dict[str, st.SearchStrategy[Any]] = {
    "log": logs,
    "rows": entity_rows,
    "ttl": st.sampled_from([timedelta(0), MICROSECOND, timedelta(minutes=1), timedelta(minutes=3)]),
    "known_then": st.booleans(),
    "recorded": st.none() | st.integers(100, 110).map(at),
    "files": st.integers(1, 3),
}


@pytest.mark.parametrize("examples", [40, pytest.param(400, marks=pytest.mark.exhaustive)])
def test_the_join_is_the_oracles(examples: int) -> None:
    many = settings(max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    many(given(**GENERATED)(assert_the_oracles))()


def assert_the_oracles(
    log: list[dict[str, Any]],
    rows: list[dict[str, Any]],
    ttl: timedelta,
    known_then: bool,
    recorded: datetime | None,
    files: int,
) -> None:
    with TemporaryDirectory() as folder:
        for part in range(files):
            uri = write_log(Path(folder), log[part::files], COLUMNS)
        wanted = Lookup(
            FeatureLog(uri),
            {"driver": "driver", "zone": "zone"},
            {"n": "trips", "rate": "rate"},
            ttl,
            recorded,
        )
        found = join(_entities(rows), "t", [wanted], filter_by_created_timestamp=known_then)
    options = {"ttl": ttl, "filter_by_created_timestamp": known_then, "recorded_up_to": recorded}
    assert found.select(["driver", "zone", "t"]).to_pylist() == rows
    assert found.column("n").to_pylist() == _expected(log, rows, "trips", **options)
    assert found.column("rate").to_pylist() == _expected(log, rows, "rate", **options)


SIMPLE = schema({"driver": pa.int64()}, {"trips": pa.int64()})


def simple(
    driver: int, trips: int | None, event: float, created: float | None = None, **more: Any
) -> dict[str, Any]:
    created = event if created is None else created
    row = {"driver": driver, "trips": trips, "event_timestamp": at(event), "created_timestamp": at(created)}
    return row | {"recorded_timestamp": at(1000)} | more


def look(uri: str, **more: Any) -> Lookup:
    return Lookup(FeatureLog(uri), {"driver": "driver"}, {"trips": "trips"}, **more)


def entities(*rows: tuple[Any, Any], kind: pa.DataType | None = None) -> pa.Table:
    stamps = pa.array([t for _, t in rows], STAMP)
    return pa.table({"driver": pa.array([d for d, _ in rows], kind or pa.int64()), "t": stamps})


def test_rows_keep_their_order_and_duplicates(tmp_path: Path) -> None:
    uri = write_log(tmp_path, [simple(1, 10, 0), simple(2, 20, 5)], SIMPLE)
    rows = [(2, at(9)), (1, at(9)), (2, at(4)), (2, at(9)), (3, at(9))] * 1000
    found = join(entities(*rows), "t", [look(uri)])
    assert found.column("driver").to_pylist() == [d for d, _ in rows]
    assert found.column("trips").to_pylist() == [20, 10, None, 20, None] * 1000


@pytest.mark.parametrize("kind", [pa.int32(), pa.int64(), pa.int8(), pa.uint32(), pa.float64()])
def test_whole_number_keys_match_whatever_their_width(tmp_path: Path, kind: pa.DataType) -> None:
    uri = write_log(tmp_path, [simple(1, 10, 0)], SIMPLE)
    found = join(entities((1, at(1)), (None, at(1)), kind=kind), "t", [look(uri)])
    assert found.column("trips").to_pylist() == [10, None]


def test_a_key_that_is_not_whole_matches_nothing(tmp_path: Path) -> None:
    uri = write_log(tmp_path, [simple(1, 10, 0), simple(2, 20, 0)], SIMPLE)
    rows = [(1.5, at(1)), (float("nan"), at(1)), (float("inf"), at(1)), (2.0, at(1))]
    assert join(entities(*rows, kind=pa.float64()), "t", [look(uri)]).column("trips").to_pylist() == [
        None
    ] * 3 + [20]


def test_a_key_of_another_type_is_refused_with_both_types(tmp_path: Path) -> None:
    uri = write_log(tmp_path, [simple(1, 10, 0)], SIMPLE)
    with pytest.raises(
        TerminalError, match="'driver' has type string, the key 'driver' it is joined with has int64"
    ):
        join(entities(("1", at(1)), kind=pa.string()), "t", [look(uri)])


def test_categories_and_large_strings_are_text(tmp_path: Path) -> None:
    columns = schema({"driver": pa.string()}, {"trips": pa.int64()})
    uri = write_log(tmp_path, [simple("x", 10, 0)], columns)  # type: ignore[arg-type]
    frame = pd.DataFrame({"driver": pd.Categorical(["x", "y"]), "t": [at(1), at(1)]})
    assert join(pa.Table.from_pandas(frame), "t", [look(uri)]).column("trips").to_pylist() == [10, None]


def test_nanoseconds_are_cut_and_naive_times_are_utc(tmp_path: Path) -> None:
    uri = write_log(tmp_path, [simple(1, 10, 0)], SIMPLE)
    micros = int(T0.timestamp()) * 1_000_000
    nanos = pa.array([micros * 1000 - 1, micros * 1000 + 999], pa.timestamp("ns"))
    table = pa.table({"driver": pa.array([1, 1]), "t": nanos})
    assert join(table, "t", [look(uri)]).column("trips").to_pylist() == [None, 10]


def test_times_before_1970_compare(tmp_path: Path) -> None:
    old = datetime(1912, 4, 15, tzinfo=UTC)
    uri = write_log(tmp_path, [simple(1, 10, 0) | {"event_timestamp": old, "created_timestamp": old}], SIMPLE)
    found = join(entities((1, old), (1, old - MICROSECOND)), "t", [look(uri)])
    assert found.column("trips").to_pylist() == [10, None]


def test_a_column_added_later_is_null_in_older_files(tmp_path: Path) -> None:
    write_log(tmp_path, [simple(1, 10, 0)], SIMPLE)
    wider = schema({"driver": pa.int64()}, {"trips": pa.int64(), "tips": pa.float64()})
    uri = write_log(tmp_path, [simple(2, 20, 0, tips=1.5)], wider)
    wanted = Lookup(FeatureLog(uri), {"driver": "driver"}, {"tips": "tips"})
    assert join(entities((1, at(1)), (2, at(1))), "t", [wanted]).column("tips").to_pylist() == [None, 1.5]


def test_no_table_is_an_error_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(LogNotFoundError):
        join(entities((1, at(1))), "t", [look((tmp_path / "none").as_uri())])


def test_two_tables_join_side_by_side(tmp_path: Path) -> None:
    one = write_log(tmp_path / "one", [simple(1, 10, 0)], SIMPLE)
    two = write_log(tmp_path / "two", [simple(1, 99, 5)], SIMPLE)
    lookups = [look(one), Lookup(FeatureLog(two), {"driver": "driver"}, {"other": "trips"})]
    found = join(entities((1, at(1)), (1, at(6))), "t", lookups)
    assert found.column_names == ["driver", "t", "trips", "other"]
    assert found.column("other").to_pylist() == [None, 99]


def test_entity_rows_without_any_time_read_nothing(tmp_path: Path) -> None:
    uri = write_log(tmp_path, [simple(1, 10, 0)], SIMPLE)
    assert join(entities((1, None)), "t", [look(uri)]).column("trips").to_pylist() == [None]


def test_hostile_column_names_are_only_names(tmp_path: Path) -> None:
    name = 'x"; DROP TABLE log; --'
    columns = schema({"driver": pa.int64()}, {name: pa.int64()})
    row = simple(1, 10, 0)
    uri = write_log(tmp_path, [row | {name: row.pop("trips")}], columns)
    wanted = Lookup(FeatureLog(uri), {"driver": "driver"}, {name: name})
    assert join(entities((1, at(1))), "t", [wanted]).column(name).to_pylist() == [10]

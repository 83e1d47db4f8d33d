"""The reader gives what Feast's get_online_features gives, from a real Redis, and the times besides."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig
from feast.types import Bool, Bytes, Float32, Float64, Int32, Int64, PrimitiveFeastType, String, UnixTimestamp
from feast.value_type import ValueType
from hypothesis import given
from hypothesis import strategies as st

from provender.errors import ContractError, OnlineStoreError, SpecError
from provender.online import layout as pack
from provender.online.decode import decode_timestamp, decode_value, decode_values
from provender.online.layout import ViewLayout
from provender.online.reader import Reader
from provender.online.writer import OnlineWriter
from provender.specs.source import ColumnType
from tests.servers import RedisServer, free_port

redis = pytest.mark.redis

FEAST_TYPES: dict[ColumnType, PrimitiveFeastType] = {
    ColumnType.INT32: Int32,
    ColumnType.INT64: Int64,
    ColumnType.FLOAT: Float32,
    ColumnType.DOUBLE: Float64,
    ColumnType.STRING: String,
    ColumnType.BOOL: Bool,
    ColumnType.BYTES: Bytes,
    ColumnType.TIMESTAMP: UnixTimestamp,
}
ALL = tuple((kind.value.lower(), kind) for kind in ColumnType)
EVERYTHING = ViewLayout("everything", (("id", ColumnType.INT64),), ALL)
BESIDE = ViewLayout("beside", (("id", ColumnType.INT64),), (("score", ColumnType.DOUBLE),))
ROUTE = ViewLayout(
    "route",
    (("origin", ColumnType.STRING), ("dest", ColumnType.STRING)),
    (("flights", ColumnType.INT64), ("name", ColumnType.STRING)),
)
VIEWS = (EVERYTHING, BESIDE, ROUTE)
FEATURES = [f"{view.view}:{name}" for view in VIEWS for name, _ in view.features]
T0 = datetime(2026, 11, 22, 7, 30, 15, 123456, tzinfo=UTC)
STAMP = pa.timestamp("us", tz="UTC")
VALUES: dict[ColumnType, list[Any]] = {
    ColumnType.INT32: [0, -1, 2**31 - 1, None],
    ColumnType.INT64: [1, -(2**63), 2**63 - 1, None],
    ColumnType.FLOAT: [0.1, -2.5, float("inf"), None],
    ColumnType.DOUBLE: [0.1, -0.0, float("-inf"), None],
    ColumnType.STRING: ["", "zürich 漢字", "x" * 5000, None],
    ColumnType.BOOL: [True, False, True, None],
    ColumnType.BYTES: [b"", b"\x00\xff", b"z" * 200, None],
    ColumnType.TIMESTAMP: [
        T0,
        datetime(1969, 12, 31, 23, 59, 58, tzinfo=UTC),
        datetime(1970, 1, 1, tzinfo=UTC),
        None,
    ],
}
ROWS = [
    {"id": 1, "origin": "JFK", "dest": "LAX"},
    {"id": 2, "origin": "LGA", "dest": "ORD"},
    {"id": 3, "origin": "nowhere", "dest": "LAX"},
    {"id": 4, "origin": "JFK", "dest": "LAX"},
    {"id": 99, "origin": "JFK", "dest": "JFK"},
    {"id": 2, "origin": "ZRH", "dest": "漢"},
]


def write(address: str, view: ViewLayout, columns: dict[str, list[Any]], minutes: float = 0) -> None:
    """Rows with an event timestamp ``minutes`` after T0, known an hour later."""
    kinds = dict((*view.join_keys, *view.features))
    arrays = {name: pa.array(column, pack.ARROW_TYPES[kinds[name]]) for name, column in columns.items()}
    count = len(next(iter(columns.values())))
    event = pa.array([T0 + timedelta(minutes=minutes)] * count, STAMP)
    created = pa.array([T0 + timedelta(minutes=minutes + 60)] * count, STAMP)
    times = {"event_timestamp": event, "created_timestamp": created}
    guards = {"guard_event": event, "guard_created": created}
    OnlineWriter(address, "shop").write(view, [pa.record_batch({**arrays, **times, **guards})])


@pytest.fixture
def filled(redis_server: RedisServer) -> RedisServer:
    write(redis_server.address, EVERYTHING, {"id": [1, 2, 3, 4]} | {name: VALUES[kind] for name, kind in ALL})
    write(redis_server.address, BESIDE, {"id": [2, 7], "score": [0.25, 1.5]}, minutes=5)
    routes = {"origin": ["JFK", "LGA", "ZRH"], "dest": ["LAX", "ORD", "漢"]}
    write(redis_server.address, ROUTE, {**routes, "flights": [3, 0, -7], "name": ["a", "b", None]}, minutes=9)
    return redis_server


@pytest.fixture
def reader(filled: RedisServer) -> Reader:
    return Reader(filled.address, "shop", VIEWS)


@pytest.fixture
def feast_store(filled: RedisServer, tmp_path: Path) -> FeatureStore:
    store = FeatureStore(
        config=RepoConfig(
            project="shop",
            provider="local",
            registry=str(tmp_path / "registry.db"),
            online_store={"type": "redis", "connection_string": filled.address},
            offline_store={"type": "dask"},
            entity_key_serialization_version=3,
        )
    )
    kinds = {name: kind for view in VIEWS for name, kind in view.join_keys}
    entities = {name: Entity(name=name, value_type=ValueType[kind.value]) for name, kind in kinds.items()}
    source = FileSource(path=str(tmp_path / "none.parquet"), timestamp_field="event_timestamp")
    views = [
        FeatureView(
            name=view.view,
            entities=[entities[name] for name, _ in view.join_keys],
            schema=[Field(name=n, dtype=FEAST_TYPES[k]) for n, k in (*view.join_keys, *view.features)],
            source=source,
        )
        for view in VIEWS
    ]
    store.apply([*entities.values(), *views])
    return store


@redis
def test_values_are_those_of_feasts_get_online_features_for_every_type(
    reader: Reader, feast_store: FeatureStore
) -> None:
    expected = feast_store.get_online_features(FEATURES, ROWS, full_feature_names=True).to_dict()
    found = reader.read(ROWS, FEATURES).to_dict(full_feature_names=True)
    assert found == {name: column for name, column in expected.items() if "__" in name}
    assert {name: [type(v) for v in column] for name, column in found.items()} == {
        name: [type(v) for v in column] for name, column in expected.items() if "__" in name
    }


@redis
def test_what_feast_itself_pushed_reads_the_same(reader: Reader, feast_store: FeatureStore) -> None:
    import pandas as pd

    pushed = pd.DataFrame(
        {"id": [2, 50], "score": [9.5, 8.5], "event_timestamp": [T0 + timedelta(days=1)] * 2}
    )
    feast_store.write_to_online_store("beside", pushed)
    rows = [{"id": 2}, {"id": 50}]
    found = reader.read(rows, ["beside:score"])
    assert found.to_dict() == {"score": [9.5, 8.5]}
    assert found.event_timestamps("beside") == [T0 + timedelta(days=1)] * 2
    assert found.created_timestamps("beside") == [None, None]  # the old row's does not count for Feast's


@redis
def test_rows_may_be_columns_and_names_short(reader: Reader, feast_store: FeatureStore) -> None:
    columns = {name: [row[name] for row in ROWS] for name in ("id", "origin", "dest")}
    features = ["beside:score", "route:flights"]
    expected = feast_store.get_online_features(features, columns).to_dict()
    assert reader.read(columns, features).to_dict() == {name: expected[name] for name in ("score", "flights")}


@redis
def test_times_come_with_the_values_to_the_microsecond(reader: Reader) -> None:
    found = reader.read(ROWS, ["beside:score", "route:name"])
    five, nine = T0 + timedelta(minutes=5), T0 + timedelta(minutes=9)
    assert found.event_timestamps("beside") == [None, five, None, None, None, five]
    assert found.created_timestamps("route") == [
        nine + timedelta(hours=1) if known else None for known in (True, True, False, True, False, True)
    ]


@redis
def test_an_entity_is_known_if_any_view_with_its_keys_has_it(reader: Reader) -> None:
    found = reader.read(ROWS, ["beside:score", "everything:int64", "route:name"])
    assert found.times["beside"].known == [True, True, True, True, False, True]
    assert found.times["route"].known == [True, True, False, True, False, True]


@redis
def test_a_null_or_absent_join_key_has_no_values(reader: Reader) -> None:
    found = reader.read([{"id": None}, {"id": 2}, {}], ["beside:score"])
    assert found.to_dict() == {"score": [None, 0.25, None]}
    assert found.times["beside"].known == [False, True, False]


@redis
def test_no_rows_are_no_values(reader: Reader) -> None:
    assert reader.read([], ["beside:score"]).to_dict() == {"score": []}


@redis
def test_many_entities_and_views_are_one_round_trip(reader: Reader, filled: RedisServer) -> None:
    reader.ping()
    commands = filled.client()
    before = commands.info("stats")["total_reads_processed"]
    reader.read([{"id": n % 40, "origin": "JFK", "dest": "LAX"} for n in range(100)], FEATURES)
    # Redis reads a socket once per wake-up; each INFO is one too.
    assert commands.info("stats")["total_reads_processed"] - before <= 3
    assert commands.info("commandstats")["cmdstat_hmget"]["calls"] > 0


@redis
def test_views_with_the_same_keys_share_one_command_per_distinct_entity(
    reader: Reader, filled: RedisServer
) -> None:
    client = filled.client()
    client.config_resetstat()
    reader.read([{"id": n % 10} for n in range(100)], ["everything:int64", "beside:score"])
    assert client.info("commandstats")["cmdstat_hmget"]["calls"] == 10


@redis
def test_many_threads_may_read_at_once(reader: Reader) -> None:
    expected = reader.read(ROWS, FEATURES)
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: reader.read(ROWS, FEATURES), range(200)))
    assert all(one == expected for one in found)


@redis
@pytest.mark.parametrize(
    ("features", "message"),
    [
        (["besides:score"], "no view is called 'besides'(.|\n)*did you mean 'beside'"),
        (["beside:scores"], "view beside has no feature 'scores'(.|\n)*did you mean 'score'"),
        (["score"], "named view:feature"),
    ],
)
def test_a_feature_that_is_not_there_is_named(reader: Reader, features: list[str], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        reader.read([{"id": 1}], features)
    assert __import__("re").search(message, str(caught.value))


@redis
@pytest.mark.parametrize("row", [{"id": "1"}, {"id": 2**63}, {"id": 1.5}])
def test_a_join_key_of_another_type_is_named_with_its_row(reader: Reader, row: dict[str, Any]) -> None:
    with pytest.raises(ContractError, match="row 1 has join keys of another type"):
        reader.read([{"id": 1}, row], ["beside:score"])


def test_redis_away_is_one_error_with_the_address_and_without_the_password() -> None:
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(OnlineStoreError, match=address) as caught:
        Reader(f"{address},password=hunter2", "shop", VIEWS).read([{"id": 1}], ["beside:score"])
    assert "hunter2" not in str(caught.value)


@redis
def test_a_restarted_redis_is_read_again(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    server.start()
    try:
        reader = Reader(server.address, "shop", VIEWS)
        write(server.address, BESIDE, {"id": [1], "score": [1.0]})
        assert reader.read([{"id": 1}], ["beside:score"]).to_dict() == {"score": [1.0]}
        server.stop()
        with pytest.raises(OnlineStoreError):
            reader.read([{"id": 1}], ["beside:score"])
        server.start()
        assert reader.read([{"id": 1}], ["beside:score"]).to_dict() == {"score": [None]}
    finally:
        server.stop()


@redis
def test_after_an_error_the_next_answers_are_its_own(reader: Reader, filled: RedisServer) -> None:
    key = pack.pack_keys(BESIDE, "shop", pa.record_batch({"id": [1000]}))[0]
    filled.client().set(key, "not a hash")
    with pytest.raises(OnlineStoreError, match="WRONGTYPE"):
        reader.read([{"id": 1000}, {"id": 2}], ["beside:score"])
    assert reader.read([{"id": 2}], ["beside:score"]).to_dict() == {"score": [0.25]}


@pytest.mark.parametrize("kind", list(ColumnType))
def test_every_packed_value_decodes_to_itself(kind: ColumnType) -> None:
    column = pa.array(VALUES[kind], pack.ARROW_TYPES[kind])
    expected = column.to_pylist()
    if kind is ColumnType.TIMESTAMP:  # whole seconds are kept
        expected = [v and v.replace(microsecond=0) for v in expected]
    assert [decode_value(packed) for packed in pack.pack_values(kind, column)] == expected


MIXED = st.sampled_from(
    [(ColumnType.DOUBLE, 0.1), (ColumnType.FLOAT, 1.5), (ColumnType.DOUBLE, None), (ColumnType.INT64, 41)]
    + [(ColumnType.STRING, ")" * length) for length in (0, 3, 7, 16)]  # ")" is the tag of a double
)


@given(st.lists(MIXED, max_size=12), st.integers(0, 12))
def test_a_column_decodes_as_its_values_do(mixed: list[tuple[ColumnType, Any]], doubles: int) -> None:
    values = [(ColumnType.DOUBLE, float(n)) for n in range(doubles)] + mixed
    packed = [pack.pack_values(kind, pa.array([v], pack.ARROW_TYPES[kind]))[0] for kind, v in values]
    assert decode_values(packed) == [decode_value(data) for data in packed] == [v for _, v in values]
    assert decode_values([*packed, None]) == [*decode_values(packed), None]


@given(st.lists(st.integers(-(2**63) + 1, 2**63 - 1), min_size=1, max_size=20))
def test_any_integer_decodes_to_itself(values: list[int]) -> None:
    packed = pack.pack_values(ColumnType.INT64, pa.array(values, pa.int64()))
    assert [decode_value(data) for data in packed] == values


@given(st.integers(-(2**53), 2**53))
def test_any_microsecond_decodes_to_itself(micros: int) -> None:
    import numpy as np

    assert decode_timestamp(pack.pack_timestamps(np.array([micros], dtype=np.int64))[0]) == micros


@pytest.mark.parametrize(
    "kind", [ColumnType.INT32, ColumnType.INT64, ColumnType.STRING, ColumnType.BYTES, ColumnType.TIMESTAMP]
)
def test_keys_are_those_the_writer_packs(kind: ColumnType) -> None:
    view = ViewLayout("v", (("k", kind),), (("f", ColumnType.INT64),))
    column = pa.array(VALUES[kind][:3], pack.ARROW_TYPES[kind])
    reader = Reader("127.0.0.1:1", "shop", [view])
    (group,) = reader._plan(("v:f",))
    keys, _ = reader._keys(group, {"k": column.to_pylist()}, 3)
    assert keys == pack.pack_keys(view, "shop", pa.record_batch({"k": column}))


def test_a_type_no_column_can_have_is_refused() -> None:
    from feast.protos.feast.types.Value_pb2 import Int64List, Value

    with pytest.raises(OnlineStoreError, match="protobuf field 14"):
        decode_value(Value(int64_list_val=Int64List(val=[1])).SerializeToString())

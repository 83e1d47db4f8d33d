"""The packer gives the bytes that Feast's own functions give."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import mmh3
import numpy as np
import pyarrow as pa
import pytest
from feast.infra.online_stores.helpers import _mmh3, _redis_key, _redis_key_prefix
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.type_map import python_values_to_proto_values
from feast.value_type import ValueType
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st

from provender.errors import SpecError
from provender.online import layout as pack
from provender.online.layout import ViewLayout
from provender.specs.source import ColumnType

FEAST_TYPES = {
    kind: ValueType.UNIX_TIMESTAMP if kind is ColumnType.TIMESTAMP else ValueType[kind.value]
    for kind in ColumnType
}
MOMENTS = [
    datetime(2026, 11, 22, 7, 30, 15, 123456, tzinfo=UTC),
    datetime(1970, 1, 1, tzinfo=UTC),
    datetime(1970, 1, 1, 0, 0, 0, 1, tzinfo=UTC),
    datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC),
    datetime(1684, 3, 1, 12, 0, 0, 999999, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
]
SAMPLES: dict[ColumnType, list[Any]] = {
    ColumnType.INT32: [0, 1, -1, 127, 128, 300, 2**31 - 1, -(2**31)],
    ColumnType.INT64: [0, 1, -1, 127, 128, 2**35, 2**63 - 1, -(2**63), 2**53 + 1],
    ColumnType.FLOAT: [0.0, -0.0, 1.5, -2.25, 3.4e38, float("inf"), float("-inf"), 1e-45],
    ColumnType.DOUBLE: [0.0, -0.0, 0.1, -2.25, 1.7e308, float("inf"), float("-inf"), 5e-324],
    ColumnType.STRING: ["", "a", "zürich", "漢字 🚕", "x" * 127, "x" * 128, "y" * 20_000, "nul\0inside"],
    ColumnType.BOOL: [True, False],
    ColumnType.BYTES: [b"", b"\x00\xff", b"z" * 200],
    ColumnType.TIMESTAMP: MOMENTS[:5],
}


@pytest.mark.parametrize("kind", list(ColumnType))
def test_values_are_feasts_value_protos(kind: ColumnType) -> None:
    values = SAMPLES[kind]
    if kind is ColumnType.FLOAT:
        values = [float(np.float32(v)) for v in values]
    expected = [v.SerializeToString() for v in python_values_to_proto_values(values, FEAST_TYPES[kind])]
    if kind is ColumnType.TIMESTAMP:  # Feast rounds a single datetime towards zero, a column down
        column = np.array([int(m.timestamp() // 1) for m in values])
        expected = [Value(unix_timestamp_val=int(v)).SerializeToString() for v in column]
    assert pack.pack_values(kind, pa.array(values, pack.ARROW_TYPES[kind])) == expected


@pytest.mark.parametrize("kind", list(ColumnType))
def test_nulls_are_what_feast_makes_of_a_null_in_an_arrow_column(kind: ColumnType) -> None:
    column = pa.array([None, SAMPLES[kind][1], None], pack.ARROW_TYPES[kind])
    from_arrow = column.to_numpy(zero_copy_only=False)
    expected = [
        v.SerializeToString() for v in python_values_to_proto_values(list(from_arrow), FEAST_TYPES[kind])
    ]
    assert pack.pack_values(kind, column) == expected


@pytest.mark.parametrize("kind", [ColumnType.FLOAT, ColumnType.DOUBLE])
def test_nan_is_a_null_as_in_feast(kind: ColumnType) -> None:
    expected = [
        v.SerializeToString() for v in python_values_to_proto_values([float("nan"), 1.0], FEAST_TYPES[kind])
    ]
    assert pack.pack_values(kind, pa.array([float("nan"), 1.0], pack.ARROW_TYPES[kind])) == expected


def test_an_integer_beside_a_null_keeps_all_its_digits() -> None:
    packed = pack.pack_values(ColumnType.INT64, pa.array([None, 2**53 + 1], pa.int64()))
    assert Value.FromString(packed[1]).int64_val == 2**53 + 1


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (ColumnType.INT64, [0, 1, -1, 2**63 - 1, -(2**63)]),
        (ColumnType.INT32, [0, 7, -7, 2**31 - 1, -(2**31)]),
        (ColumnType.STRING, ["", "JFK", "zürich", "漢字", "k" * 300]),
        (ColumnType.BYTES, [b"", b"\x00\x01"]),
        (ColumnType.TIMESTAMP, MOMENTS[:2]),
    ],
)
def test_a_key_of_one_column_is_feasts(kind: ColumnType, values: list[Any]) -> None:
    layout = ViewLayout("v", (("the_key", kind),), ())
    batch = pa.record_batch({"the_key": pa.array(values, pack.ARROW_TYPES[kind])})
    protos = python_values_to_proto_values(values, FEAST_TYPES[kind])
    expected = [_redis_key("shop", EntityKey(join_keys=["the_key"], entity_values=[p])) for p in protos]
    assert pack.pack_keys(layout, "shop", batch) == expected


def test_a_key_of_several_columns_is_in_name_order_as_feasts() -> None:
    columns = {"zone": ["a", "ü"], "carrier": ["UA", "AA"], "number": [-5, 12]}
    kinds = {"zone": ColumnType.STRING, "carrier": ColumnType.STRING, "number": ColumnType.INT64}
    layout = ViewLayout("v", tuple(kinds.items()), ())
    batch = pa.record_batch({n: pa.array(v, pack.ARROW_TYPES[kinds[n]]) for n, v in columns.items()})
    protos = {n: python_values_to_proto_values(v, FEAST_TYPES[kinds[n]]) for n, v in columns.items()}
    expected = [
        _redis_key(
            "shop", EntityKey(join_keys=list(columns), entity_values=[protos[n][row] for n in columns])
        )
        for row in range(2)
    ]
    assert pack.pack_keys(layout, "shop", batch) == expected
    assert layout.key_prefix == _redis_key_prefix(list(columns))


@given(st.text(max_size=60))
def test_field_names_are_feasts_murmur3(text: str) -> None:
    assert pack.murmur3_32(text.encode()) == mmh3.hash(text.encode(), signed=False)
    assert pack.field_name(text, "f") == _mmh3(f"{text}:f")


@pytest.mark.parametrize("moment", MOMENTS)
def test_event_timestamps_are_timestamp_protos(moment: datetime) -> None:
    proto = Timestamp()
    proto.FromDatetime(moment)
    assert pack.pack_timestamps(pack.to_micros(pa.array([moment]))) == [proto.SerializeToString()]


@settings(max_examples=200)
@given(st.integers(-(2**53), 2**53))
def test_any_microsecond_is_a_timestamp_proto(micros: int) -> None:
    proto = Timestamp()
    proto.FromDatetime(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros))
    assert pack.pack_timestamps(np.array([micros], dtype=np.int64)) == [proto.SerializeToString()]


@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=30))
def test_any_integer_is_a_value_proto(values: list[int]) -> None:
    expected = [Value(int64_val=v).SerializeToString() for v in values]
    assert pack.pack_values(ColumnType.INT64, pa.array(values, pa.int64())) == expected


def test_naive_timestamps_are_utc_and_nanoseconds_are_cut() -> None:
    aware = pa.array([MOMENTS[0]])
    naive = pa.array([MOMENTS[0].replace(tzinfo=None)], pa.timestamp("us"))
    nanos = pa.array([int(pack.to_micros(aware)[0]) * 1000 + 999], pa.timestamp("ns"))
    assert pack.to_micros(naive)[0] == pack.to_micros(aware)[0] == pack.to_micros(nanos)[0]


def test_a_slice_of_a_batch_packs_its_own_rows() -> None:
    column = pa.array(list(range(100)), pa.int64())
    assert pack.pack_values(ColumnType.INT64, column.slice(40, 3)) == pack.pack_values(
        ColumnType.INT64, pa.array([40, 41, 42])
    )


def test_the_project_is_read_from_a_key_and_not_from_its_last_bytes() -> None:
    layout = ViewLayout("v", (("k", ColumnType.INT64),), ())
    batch = pa.record_batch({"k": [random.Random(1).randrange(2**60)]})
    assert pack.key_project(pack.pack_keys(layout, "ba", batch)[0]) == b"ba"
    assert pack.key_project(b"provender:marker:x") is None
    assert pack.key_project(b"") is None


def test_a_key_type_feast_cannot_serialise_is_refused_by_name() -> None:
    with pytest.raises(SpecError, match="'rate' of view 'v' has type DOUBLE"):
        ViewLayout("v", (("rate", ColumnType.DOUBLE),), ())


def test_the_created_field_reads_back() -> None:
    assert pack.parse_created(pack.created_column(np.array([-5]), np.array([7]))[0].as_py()) == (-5, 7)

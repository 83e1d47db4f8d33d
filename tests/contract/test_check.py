"""Rows that break the contract have all their reasons, whatever format they came in."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provender.contract.check import Delivery, check, checked_schema
from provender.contract.period import period_starts
from provender.intervals import Cadence, Frequency, Partition, to_micros
from provender.records import RecordBatch
from provender.specs.source import Source
from tests.contract.specs import source_of

COLUMNS = [
    {"name": "key", "type": "STRING", "required": True, "max_length": 5},
    {"name": "value", "type": "INT64", "min": 0, "max": 1000},
    {"name": "ratio", "type": "FLOAT", "min": 0.1, "max": 0.9},
    {"name": "word", "type": "STRING", "allowed": ["yes", "no"]},
    {"name": "at", "type": "TIMESTAMP"},
]
GOOD = {"key": "k", "value": "1", "ratio": "0.5", "word": "yes", "at": "2026-01-05T10:00:00Z"}
PARTITION = Partition.parse(Cadence.DAILY, "2026-01-05")


def batch_of(*rows: dict[str, Any], malformed: dict[int, str] | None = None) -> RecordBatch:
    names = list(dict.fromkeys(name for row in rows for name in row))
    fields = pa.RecordBatch.from_pydict({name: [row.get(name) for row in rows] for name in names})
    lines = [(malformed or {}).get(at) for at in range(len(rows))]
    return RecordBatch(fields, pa.array(range(1, len(rows) + 1)), pa.array(lines, pa.string()))


def checked(
    batch: RecordBatch, source: Source | None = None, *, is_json: bool = False, waived: tuple[str, ...] = ()
) -> list[dict[str, Any]]:
    spec = source or source_of(columns=COLUMNS, lateness="1d")
    delivery = Delivery(PARTITION, datetime(2026, 1, 6, 1, tzinfo=UTC), "file:///x.csv", is_json, waived)
    found = check(batch, spec, delivery)
    assert found.schema == checked_schema(spec)
    return list(found.to_pylist())


def reasons(*rows: dict[str, Any], **how: Any) -> list[list[str]]:
    return [row["_reasons"] for row in checked(batch_of(*rows), **how)]


def test_a_row_from_after_its_delivery_is_not_admitted_however_new_it_claims_to_be() -> None:
    columns = [*COLUMNS, {"name": "made", "type": "TIMESTAMP"}]
    source = source_of(columns=columns, lateness="1d", created_timestamp={"column": "made"})
    arrived = datetime(2026, 1, 6, 1, tzinfo=UTC)
    delivery = Delivery(
        PARTITION, arrived, "file:///x.csv", waived=("after_partition", "created_in_future"), arrived=arrived
    )
    made = ["2026-01-05T10:00:00Z", "2026-01-06T02:00:00Z", "2026-01-06T02:00:00.000001Z", "2062-01-05"]
    rows = [GOOD | {"made": each} for each in made] + [GOOD | {"made": made[0], "at": "2062-01-05"}]
    found = check(batch_of(*rows), source, delivery).column("_reasons").to_pylist()
    assert found[:2] == [[], []]
    assert found[2:] == [["created_in_future"], ["created_in_future"], ["event_in_future"]]
    of_old = Delivery(PARTITION, arrived, "file:///x.csv")
    assert check(batch_of(rows[3]), source, of_old).column("_reasons").to_pylist() == [[]]


BROKEN = [
    ("null:key", {"key": None}),
    ("too_long:key", {"key": "äöüßäö"}),
    ("wrong_type:value", {"value": "abc"}),
    ("below_min:value", {"value": "-1"}),
    ("above_max:value", {"value": "1001"}),
    ("not_finite:ratio", {"ratio": "NaN"}),
    ("below_min:ratio", {"ratio": "0.09"}),
    ("above_max:ratio", {"ratio": "0.91"}),
    ("wrong_type:ratio", {"ratio": "0.5f"}),
    ("not_allowed:word", {"word": "maybe"}),
    ("wrong_type:at", {"at": "12:30"}),
    ("null:at", {"at": None}),
    ("too_late", {"at": "2026-01-03T23:59:59.999999Z"}),
    ("after_partition", {"at": "2026-01-06T00:00:00Z"}),
]


def test_every_violation_has_its_reason() -> None:
    found = reasons(GOOD, *[GOOD | change for _, change in BROKEN])
    assert found == [[], *[[reason] for reason, _ in BROKEN]]


def test_a_row_has_all_its_reasons_in_the_specs_order_each_once() -> None:
    everything = {"key": None, "value": "x", "ratio": "inf", "word": "?", "at": "soon"}
    expected = [
        "null:key",
        "wrong_type:value",
        "not_finite:ratio",
        "above_max:ratio",
        "not_allowed:word",
        "wrong_type:at",
    ]
    assert reasons(everything) == [expected]


def test_bounds_are_inclusive_as_the_column_holds_them() -> None:
    edges = [
        {"value": "1000", "ratio": "0.9"},
        {"value": "0.0", "ratio": "0.1"},
        {"value": " ", "ratio": None},
    ]
    assert reasons(*[GOOD | edge for edge in edges]) == [[], [], []]
    exact = [{"name": "value", "type": "INT64", "max": 2.5, "min": -(2**63)}, *COLUMNS[-1:], *COLUMNS[:1]]
    spec = source_of(columns=exact)
    assert reasons(GOOD | {"value": "2"}, GOOD | {"value": "3"}, source=spec) == [[], ["above_max:value"]]


def test_an_accepted_row_is_typed_and_a_broken_one_kept_as_it_was() -> None:
    good, bad = checked(batch_of(GOOD, GOOD | {"value": "x", "extra": "é"}))
    assert (good["key"], good["value"], good["word"], good["_raw"]) == ("k", 1, "yes", None)
    assert good["_event"] == good["at"] == datetime(2026, 1, 5, 10, tzinfo=UTC)
    assert (good["_partition"], good["_period"]) == (PARTITION.start, PARTITION.start)
    assert good["_created"] == good["_delivered"] == datetime(2026, 1, 6, 1, tzinfo=UTC)
    assert bad["value"] is None
    assert json.loads(bad["_raw"]) == {"_record": 2, **GOOD, "value": "x", "extra": "é"}


def test_a_malformed_record_has_that_reason_alone() -> None:
    [row] = checked(batch_of(dict.fromkeys(GOOD), malformed={0: "few,1"}), is_json=False)
    assert row["_reasons"] == ["malformed"]
    assert json.loads(row["_raw"]) == {"_record": 1, "_line": "few,1"}


def test_a_missing_column_is_a_reason_unless_records_go_by_name() -> None:
    less = {name: value for name, value in GOOD.items() if name != "value"}
    assert reasons(less) == [["missing_column:value"]]
    assert reasons(less, is_json=True) == [[]]


def test_columns_in_another_letter_case_are_read() -> None:
    [row] = checked(batch_of({name.upper(): value for name, value in GOOD.items()}))
    assert (row["key"], row["value"], row["_reasons"]) == ("k", 1, [])
    first, second, both = (
        GOOD | {"value": None} | given
        for given in ({"VALUE": "5"}, {"Value": "6"}, {"VALUE": "5", "Value": "6"})
    )
    rows = checked(batch_of(first, second, both), is_json=True)
    assert [(row["value"], row["_reasons"]) for row in rows] == [
        (5, []),
        (6, []),
        (None, ["wrong_type:value"]),
    ]


def test_waived_reasons_admit_rows_but_never_ones_without_a_key_or_a_time() -> None:
    rows = [GOOD | {"value": "-1"}, GOOD | {"value": "1001"}, GOOD | {"key": None}, GOOD | {"at": None}]
    assert reasons(*rows, waived=("below_min:value", "null")) == [
        [],
        ["above_max:value"],
        ["null:key"],
        ["null:at"],
    ]
    assert reasons(*rows[:2], waived=("above_max",)) == [["below_min:value"], []]


def test_created_timestamps_and_skipped_wall_times() -> None:
    spec = source_of(
        columns=[*COLUMNS, {"name": "made", "type": "TIMESTAMP"}],
        event_timestamp={"column": "at", "zone": "Europe/Berlin"},
        created_timestamp={"column": "made", "format": "epoch_s"},
        lateness="400d",
    )
    good, skipped = checked(
        batch_of(
            GOOD | {"at": "2026-01-05 10:00:00", "made": "1767600000"},
            GOOD | {"at": "2025-03-30 02:30:00", "made": "soon"},
        ),
        spec,
    )
    assert good["_created"] == datetime(2026, 1, 5, 8, tzinfo=UTC)
    assert good["_event"] == good["at"] == datetime(2026, 1, 5, 9, tzinfo=UTC)
    assert skipped["_reasons"] == ["wrong_type:made", "nonexistent_time:at"]


def test_values_that_python_has_no_words_for_are_quarantined_and_kept() -> None:
    fields = pa.RecordBatch.from_pydict(
        {
            "key": pa.array(["a", "b"]),
            "value": pa.array([[1], [2]]),
            "ratio": pa.array([float("inf"), 0.5]),
            "word": pa.array([b"\xff", b"yes"]),
            "at": pa.array([2**63 - 1, -(2**63)]).cast(pa.timestamp("us", "UTC")),
        }
    )
    rows = checked(RecordBatch(fields, pa.array([1, 2]), pa.nulls(2, pa.string())))
    assert all("wrong_type:at" in row["_reasons"] and row["_event"] is None for row in rows)
    assert [json.loads(row["_raw"])["ratio"] for row in rows] == ["inf", 0.5]


def test_no_rows_are_no_rows() -> None:
    empty = RecordBatch(
        pa.RecordBatch.from_pydict({"key": pa.array([], pa.string())}),
        pa.array([], pa.int64()),
        pa.array([], pa.string()),
    )
    assert checked(empty) == []


MOMENTS = st.datetimes(datetime(1, 1, 8), datetime(9999, 11, 20), timezones=st.just(UTC))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(MOMENTS, min_size=1, max_size=30),
    st.sampled_from(
        [
            *map(Cadence, Frequency),
            *(
                Cadence(Frequency(f), z)
                for f in ("daily", "weekly", "monthly")
                for z in ("Europe/Berlin", "America/St_Johns", "Pacific/Apia")
            ),
        ]
    ),
)
def test_periods_start_where_partitions_do(moments: list[datetime], cadence: Cadence) -> None:
    moments += [Partition.holding(cadence, moment).start for moment in moments]
    moments += [moment - timedelta(microseconds=1) for moment in moments]
    micros = pa.array([to_micros(moment) for moment in moments]).to_numpy()
    expected = [to_micros(Partition.holding(cadence, moment).start) for moment in moments]
    assert period_starts(micros, cadence).tolist() == expected


@pytest.mark.parametrize(
    "kind", [pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())]
)
def test_text_of_any_encoding_is_text(kind: pa.DataType) -> None:
    fields = pa.RecordBatch.from_pydict({name: pa.array([value]).cast(kind) for name, value in GOOD.items()})
    [row] = checked(RecordBatch(fields, pa.array([1]), pa.nulls(1, pa.string())))
    assert (row["key"], row["value"], row["_reasons"]) == ("k", 1, [])

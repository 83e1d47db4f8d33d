from __future__ import annotations

import hashlib
import json
import struct
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provender.errors import TerminalError
from provender.training_sets.checksum import table_checksum

ROWS = {"b": pa.array([2, 1, None], pa.int32()), "a": pa.array(["y", "x", "x"])}


def test_the_bytes_are_those_of_the_description() -> None:
    header = json.dumps(["provender-table-1", 3, [["a", "string"], ["b", "int32"]]], separators=(",", ":"))
    # in canonical order: (x, 1), (x, null), (y, 2)
    a = b"\1\1\1" + struct.pack("<3q", 1, 1, 1) + b"xxy"
    b = b"\1\0\1" + struct.pack("<3i", 1, 0, 2)
    expected = hashlib.sha256(header.encode() + b"\n" + a + b).hexdigest()
    assert table_checksum(pa.table(ROWS)) == f"sha256:{expected}"


def test_the_value_never_changes() -> None:
    stamp = pa.array([datetime(2026, 11, 22, 1, 2, 3, 456789, UTC), None], pa.timestamp("us", tz="UTC"))
    table = pa.table(
        {
            "at": stamp,
            "d": pa.array([date(2026, 1, 1), None]),
            "f": pa.array([0.5, float("nan")]),
            "g": pa.array([1.5, None], pa.float32()),
            "n": pa.array([None, 7], pa.int64()),
            "ok": pa.array([True, None]),
            "raw": pa.array([b"\0\xff", None]),
            "text": pa.array(["é", ""]),
        }
    )
    assert table_checksum(table) == "sha256:f23b1f8ebf3750ae68e4ba85ebf171279e64179ec629a6c2f7f50426673796b4"


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.none() | st.text(max_size=3), st.none() | st.floats(), st.none() | st.booleans())),
    st.randoms(use_true_random=False),
)
def test_order_and_chunks_do_not_count(rows: list[tuple[object, ...]], random: object) -> None:
    kinds = (pa.string(), pa.float64(), pa.bool_())

    def table(of: list[tuple[object, ...]]) -> pa.Table:
        return pa.table({f"c{i}": pa.array([row[i] for row in of], kind) for i, kind in enumerate(kinds)})

    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    half = len(rows) // 2
    chunked = pa.concat_tables([table(shuffled[:half]), table(shuffled[half:])])
    assert table_checksum(chunked) == table_checksum(table(rows))


def test_encodings_of_one_value_are_one_value() -> None:
    def of(**columns: pa.Array) -> str:
        return table_checksum(pa.table(columns))

    text = pa.array(["x", "y", "x"])
    assert of(a=text) == of(a=text.dictionary_encode()) == of(a=text.cast(pa.large_string()))
    assert of(a=pa.array([0.0, float("nan")])) == of(a=pa.array([-0.0, -float("nan")]))
    at = datetime(1969, 12, 31, 23, 59, 59, 999999)
    assert of(a=pa.array([at], pa.timestamp("us"))) == of(a=pa.array([at], pa.timestamp("us", tz="UTC")))
    assert of(a=pa.array([-1], pa.timestamp("ns"))) == of(a=pa.array([-1], pa.timestamp("us")))
    assert of(a=pa.array([Decimal("1.50")])) == of(a=pa.array(["1.50"]))


def test_what_is_another_value_counts() -> None:
    base = table_checksum(pa.table(ROWS))
    others = [
        {**ROWS, "b": pa.array([None, 1, 2], pa.int32())},
        {**ROWS, "b": ROWS["b"].cast(pa.int64())},
        {"c": ROWS["b"], "a": ROWS["a"]},
        {**ROWS, "a": pa.array(["y", "x", None])},
        {**ROWS, "a": pa.array(["y", "x", ""])},
    ]
    found = {table_checksum(pa.table(other)) for other in others}
    found.add(table_checksum(pa.table(ROWS).slice(0, 2)))
    assert len(found) == 6 and base not in found


def test_a_nested_column_is_refused_by_name() -> None:
    with pytest.raises(TerminalError, match="'a' has type list"):
        table_checksum(pa.table({"a": [[1]]}))

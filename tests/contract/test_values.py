"""Raw values as values of the column types."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from provender.contract.values import ARROW, read_values
from provender.specs.source import ColumnType as Type


@pytest.mark.parametrize(
    ("wanted", "read"),
    [
        (
            Type.INT64,
            {
                "517": 517,
                "517.0": 517,
                "517.": 517,
                "+7": 7,
                "007": 7,
                "-0": 0,
                " 8 ": 8,
                "-00012.000": -12,
                "9223372036854775807": 2**63 - 1,
                "-9223372036854775808": -(2**63),
                **dict.fromkeys(
                    [
                        "9223372036854775808",
                        "1" * 40,
                        "5.5",
                        "1e3",
                        "1d",
                        "0x1F",
                        "1_0",
                        ".0",
                        "5.0.0",
                        "",
                        "١",
                    ]
                ),
            },
        ),
        (Type.INT32, {"2147483647": 2**31 - 1, "2147483648": None, "-2147483648": -(2**31)}),
        (
            Type.DOUBLE,
            {
                "1.5": 1.5,
                ".5": 0.5,
                "5.": 5.0,
                "+.5": 0.5,
                "1e-3": 0.001,
                "1E5": 1e5,
                " 2 ": 2.0,
                "inf": np.inf,
                "-Infinity": -np.inf,
                "1e999": np.inf,
                "1" * 400: np.inf,
                "1e-400": 0.0,
                **dict.fromkeys(["1.5f", "1d", "0x1p3", "1_0", "", ".", "e5", "1,5"]),
            },
        ),
        (
            Type.BOOL,
            {"true": True, "T": True, " yes ": True, "1": True, "No": False, "0": False, "maybe": None},
        ),
        (
            Type.BYTES,
            {"QUI=": b"AB", "QUI": b"AB", "Q U\nI=": b"AB", "": b"", "*": None, "Q": None, "QUI==": None},
        ),
        (Type.STRING, {" as it is ": " as it is ", "": ""}),
    ],
)
def test_text_is_read_as_the_declared_type(wanted: Type, read: dict[str, Any]) -> None:
    for text in (pa.array(list(read)), pa.array(list(read), pa.large_string())):
        found = read_values(text, wanted)
        assert found.type == ARROW[wanted]
        assert dict(zip(read, found.to_pylist(), strict=True)) == read
    assert [read_values(pa.array([text]), wanted)[0].as_py() for text in read] == list(read.values())


@pytest.mark.parametrize(
    ("column", "wanted", "expected"),
    [
        (pa.array([5.0, 5.5, 2.0**40, np.inf, np.nan, 2.0**63]), Type.INT32, [5, *[None] * 5]),
        (pa.array([5.0, 5.5, 2.0**40, 2.0**63, -(2.0**63)]), Type.INT64, [5, None, 2**40, None, -(2**63)]),
        (pa.array([2**64 - 1, 5], pa.uint64()), Type.INT64, [None, 5]),
        (pa.array([2**40, 1]), Type.INT32, [None, 1]),
        (pa.array([Decimal("5.00"), Decimal("5.50"), None]), Type.INT64, [5, None, None]),
        (pa.array([Decimal("5.50")]), Type.DOUBLE, [5.5]),
        (pa.array([1e300]), Type.FLOAT, [np.inf]),
        (pa.array([1, 0]), Type.BOOL, [None, None]),
        (pa.array([True]), Type.INT64, [None]),
        (pa.array([7]), Type.BYTES, [None]),
        (pa.array([b"1"]), Type.INT64, [None]),
        (pa.array([1, None]), Type.STRING, ["1", None]),
        (pa.array([True]), Type.STRING, ["true"]),
        (pa.array([5.0, 1e7, 1e-4, -0.0, np.nan]), Type.STRING, ["5.0", "1.0E7", "1.0E-4", "-0.0", "NaN"]),
        (pa.array([0.1, 1e10], pa.float32()), Type.STRING, ["0.1", "1.0E10"]),
        (pa.array([Decimal("5.50")]), Type.STRING, ["5.50"]),
        (pa.array([date(2026, 1, 10)]), Type.STRING, ["2026-01-10"]),
        (
            pa.array([datetime(2026, 1, 1, 10), datetime(2026, 1, 1, 10, 0, 0, 500_000)]),
            Type.STRING,
            ["2026-01-01 10:00:00", "2026-01-01 10:00:00.5"],
        ),
        (pa.array([b"x"]), Type.STRING, [None]),
        (pa.array([[1]]), Type.STRING, [None]),
    ],
)
def test_typed_values_are_kept_without_loss_or_not_at_all(
    column: pa.Array, wanted: Type, expected: Any
) -> None:
    assert read_values(column, wanted).to_pylist() == pytest.approx(expected, nan_ok=True)


ODD = [
    pa.array([[1]]),
    pa.array([{"a": 1}]),
    pa.array([time(1)]),
    pa.array([timedelta(1)]),
    pa.array([b"x"]),
    pa.array([True]),
    pa.nulls(1),
    pa.array([np.float16(1.5)]),
    pa.array(["a"]).dictionary_encode(),
    pa.array([], pa.string()),
    pa.array(["x"], pa.string_view()),
    pa.array([b"1" * 16], pa.uuid()),
    pa.array(["{}"], pa.json_(pa.string())),
    pa.array([Decimal(10) ** 60], pa.decimal256(70, 2)),
    pa.array([2**63 - 1]).cast(pa.timestamp("us")),
    pa.array([2**63 - 1]).cast(pa.timestamp("s", "UTC")),
    pa.array([b"\xff\xfe"]),
    pa.RunEndEncodedArray.from_arrays(pa.array([1], pa.int32()), pa.array(["a"])),
]


@pytest.mark.parametrize("wanted", list(Type))
@pytest.mark.parametrize("column", ODD, ids=lambda column: str(column.type))
def test_no_type_of_column_raises(wanted: Type, column: pa.Array) -> None:
    found = read_values(column, wanted)
    assert (found.type, len(found)) == (ARROW[wanted], len(column))

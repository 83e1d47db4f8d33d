"""Entity rows' columns in the types that a model's spec declares."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from provender.errors import TrainingSetError
from provender.specs.source import ColumnType
from provender.training_sets.rows import rows_of, with_types

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def typed(value: Any, kind: ColumnType, given: pa.DataType | None = None) -> Any:
    """What becomes of one value."""
    table = pa.table({"event_timestamp": [NOON], "x": pa.array([value], given)})
    return with_types(rows_of(table, {}), {"x": kind}, []).table.column("x")[0].as_py()


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (2.0, ColumnType.INT64, 2),
        (Decimal("2.50"), ColumnType.DOUBLE, 2.5),
        (1, ColumnType.BOOL, True),
        (0, ColumnType.BOOL, False),
        (None, ColumnType.BOOL, None),
        (0.5, ColumnType.FLOAT, 0.5),
        (float("inf"), ColumnType.FLOAT, float("inf")),
        (7, ColumnType.STRING, "7"),
        (date(2026, 11, 20), ColumnType.TIMESTAMP, datetime(2026, 11, 20)),
    ],
)
def test_a_value_that_fits_its_declared_type_stays_what_it_is(
    value: Any, kind: ColumnType, expected: Any
) -> None:
    found = typed(value, kind)
    assert (found.replace(tzinfo=None) if isinstance(found, datetime) else found) == expected


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (2.95, ColumnType.INT64),
        (float("nan"), ColumnType.INT32),
        (1 << 31, ColumnType.INT32),
        (2, ColumnType.BOOL),
        (0.5, ColumnType.BOOL),
        (1e39, ColumnType.FLOAT),
        ((1 << 53) + 1, ColumnType.DOUBLE),
        (True, ColumnType.INT64),
        (NOON, ColumnType.INT64),
        (1795176000, ColumnType.TIMESTAMP),
    ],
)
def test_a_value_that_would_be_another_one_is_refused_with_its_column(value: Any, kind: ColumnType) -> None:
    with pytest.raises(TrainingSetError) as caught:
        typed(value, kind)
    assert "column 'x' of the entity rows" in caught.value.what
    assert str(kind) in caught.value.what

"""From columns of values to a model's input."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from provender.model_registry.inputs import model_input


def test_columns_come_in_the_models_order_with_their_values_as_they_are() -> None:
    columns = {"text": ["a", None], "number": [1.5, None], "flag": [True, False], "unused": [1, 2]}
    matrix = model_input(columns, ["number", "text", "flag"])
    assert matrix.tolist() == [[1.5, "a", True], [None, None, False]]
    assert matrix.dtype == object


def test_times_are_seconds_since_1970_whatever_their_zone() -> None:
    tokyo = datetime(2026, 1, 1, 9, tzinfo=timezone(timedelta(hours=9)))
    columns = {"at": [None, datetime(2026, 1, 1, tzinfo=UTC), tokyo, datetime(2026, 1, 1, 0, 0, 0, 250000)]}
    assert model_input(columns, ["at"])[:, 0].tolist() == [None, 1767225600.0, 1767225600.0, 1767225600.25]


def test_no_rows_are_no_rows() -> None:
    assert model_input({"a": [], "b": []}, ["a", "b"]).shape == (0, 2)

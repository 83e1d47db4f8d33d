"""A DataFrame as an Arrow table whose every column Parquet can hold, or our error that says which one and why."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from provender.contract.arrow import plain
from provender.errors import ContractError
from provender.intervals import to_micros
from provender.specs.source import Source

_UNITS = {"s": 1_000_000, "ms": 1_000}
_FAR = 2**63 - 1
"""Microseconds to a year that no calendar has: such a time cannot be read, and its row is quarantined."""
_ARROW_ERRORS = (pa.ArrowException, TypeError, ValueError, OverflowError)
"""What Arrow and pandas raise for values that no column can hold (``UnicodeError`` is a ``ValueError``)."""


def table_of(spec: Source, frame: Any) -> pa.Table:
    """``frame`` (pandas, Arrow, or anything with Arrow's C stream) as a table with the frame's columns.

    Raises :class:`ContractError` for what is no frame, for column names that occur twice (upper and lower case alike)
    or have several levels, for a column that has no one type, and if there is no event timestamp column.
    """
    is_pandas = isinstance(frame, pd.DataFrame)
    columns = _pandas_columns(spec, frame) if is_pandas else _arrow_columns(spec, frame)
    _require_event(spec, frame, columns)
    return pa.table({name: _storable(spec, name, column) for name, column in columns.items()})


def _pandas_columns(spec: Source, frame: pd.DataFrame) -> dict[str, pa.Array]:
    if isinstance(frame.columns, pd.MultiIndex):
        raise _refused(spec, "the frame's columns have names of several levels", "give each column one name")
    names = _names(spec, frame.columns)
    return {name: _column(spec, name, frame.iloc[:, at]) for at, name in enumerate(names)}


def _arrow_columns(spec: Source, frame: Any) -> dict[str, pa.Array]:
    if not isinstance(frame, pa.Table) and not hasattr(frame, "__arrow_c_stream__"):
        what = f"a {type(frame).__name__} is no DataFrame"
        raise _refused(spec, what, "give a pandas DataFrame or an Arrow table")
    try:
        table = frame if isinstance(frame, pa.Table) else pa.table(frame)
    except _ARROW_ERRORS as error:
        raise _refused(
            spec, f"the frame cannot be read: {_first_line(error)}", "give an Arrow table"
        ) from error
    return dict(zip(_names(spec, table.column_names), table.columns, strict=True))


def _names(spec: Source, columns: Iterable[Hashable]) -> list[str]:
    names = [str(name) for name in columns]
    small = [name.lower() for name in names]
    twice = sorted({name for name, low in zip(names, small, strict=True) if small.count(low) > 1})
    if twice:
        what = f"the frame has the column {', '.join(twice)} twice (upper and lower case are the same)"
        raise _refused(spec, what, "drop or rename one of them")
    return names


def _require_event(spec: Source, frame: Any, columns: dict[str, pa.Array]) -> None:
    wanted = spec.event_timestamp.column
    if wanted.lower() in {name.lower() for name in columns}:
        return
    remedy = "name the columns as in the source's spec"
    if isinstance(frame, pd.DataFrame) and wanted in frame.index.names:
        remedy = "it is the frame's index: give frame.reset_index()"
    what = f"the frame has no column {wanted!r}; it has {', '.join(columns) or 'none'}"
    raise _refused(spec, what, remedy)


def _column(spec: Source, name: str, series: pd.Series[Any]) -> pa.Array:
    if isinstance(series.dtype, pd.PeriodDtype):
        what = f"the frame's column {name!r} holds periods, which are no moments"
        raise _refused(spec, what, "give their starts (series.dt.to_timestamp())")
    try:
        if isinstance(series.dtype, pd.SparseDtype):
            series = pd.Series(np.asarray(series))
        values = _moments(series) if series.dtype == object else None
        return pa.array(series, from_pandas=True) if values is None else values
    except _ARROW_ERRORS as error:
        what = f"the frame mixes types in a column, {name!r}: {_first_line(error)}"
        raise _refused(spec, what, "give the column one type (frame.astype)") from error


def _moments(series: pd.Series[Any]) -> pa.Array | None:
    """Objects that are times, which Arrow would make alike, whether they name a zone or not; None for others."""
    kinds = {type(value) for value in series if not pd.api.types.is_scalar(value) or not pd.isna(value)}
    if not kinds or not all(issubclass(kind, datetime | date | np.datetime64) for kind in kinds):
        return None
    if all(issubclass(kind, date) and not issubclass(kind, datetime) for kind in kinds):
        return None
    if not all(issubclass(kind, datetime) for kind in kinds):
        raise ValueError(f"{' and '.join(sorted(kind.__name__ for kind in kinds))} values")
    values = [None if pd.isna(value) else value for value in series]
    aware = {value.tzinfo is not None for value in values if value is not None}
    if len(aware) > 1:
        raise ValueError("times with a zone and times without one")
    micros = [
        None if value is None else to_micros(value if value.tzinfo else value.replace(tzinfo=UTC))
        for value in values
    ]
    return pa.array(micros, pa.int64()).cast(pa.timestamp("us", "UTC" if aware == {True} else None))


def _storable(spec: Source, name: str, column: pa.Array | pa.ChunkedArray) -> pa.Array:
    try:
        values = plain(column)
    except _ARROW_ERRORS as error:
        what = f"the frame's column {name!r} ({column.type}) cannot be read: {_first_line(error)}"
        raise _refused(spec, what, "give the column another type (frame.astype)") from error
    return _in_micros(values) if pa.types.is_timestamp(values.type) else values


def _in_micros(column: pa.Array) -> pa.Array:
    """Timestamps in microseconds, whatever their unit; a nanosecond's fraction is cut off."""
    unit, kind = column.type.unit, pa.timestamp("us", column.type.tz)
    if unit == "us":
        return column
    valid = np.asarray(column.is_valid().to_numpy(zero_copy_only=False))
    values = np.asarray(column.cast(pa.int64()).fill_null(0).to_numpy())
    if unit == "ns":
        micros = values // 1_000
    else:
        far = np.abs(values) > _FAR // _UNITS[unit]
        micros = np.where(far, _FAR, np.where(far, 0, values) * _UNITS[unit])
    return pa.array(micros, mask=~valid).cast(kind)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]


def _refused(spec: Source, what: str, remedy: str) -> ContractError:
    return ContractError(f"{spec.name}: {what}", not_affected="everything", remedy=remedy, source=spec.name)

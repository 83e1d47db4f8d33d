"""The numbers of a training set's report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from provender.training_sets.checksum import STAMP
from provender.training_sets.join import matched_column
from provender.training_sets.lockfile import Inputs, LogRead

_MICROS_PER_SECOND = 1_000_000
_BINS = 24
_MOST_CLASSES = 12
_QUANTILES = (0.0, 0.5, 0.9, 1.0)


@dataclass(frozen=True)
class Histogram:
    """Counts per bin: ``edges`` has one number more than ``counts``."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True)
class Ages:
    """How old matched event timestamps were at join time, in seconds."""

    least: float
    median: float
    p90: float
    greatest: float
    histogram: Histogram


@dataclass(frozen=True)
class ViewSummary:
    """One feature view's matches."""

    log: LogRead
    unmatched: int
    """Rows for which no version existed."""
    ages: Ages | None


@dataclass(frozen=True)
class FeatureSummary:
    """One feature's values."""

    name: str
    reference: str
    type: str
    nulls: int
    missing: int
    """Nulls and NaN."""
    distinct: int
    mean: float | None
    """Of numbers and booleans."""
    values: Histogram | None
    commonest: tuple[tuple[str, int], ...]
    """Of text: the commonest values and their counts."""


@dataclass(frozen=True)
class LabelSummary:
    """The label's distribution."""

    name: str
    nulls: int
    classes: tuple[tuple[str, int], ...]
    """Class and rows, where there are few; else empty."""
    values: Histogram | None
    """Where there are many."""


@dataclass(frozen=True)
class DayCount:
    """Rows of one stretch of time, ``[start, start + width)``."""

    start: str
    rows: int
    label_mean: float | None


@dataclass(frozen=True)
class Summary:
    """Everything the report shows."""

    rows: int
    first: str
    last: str
    without_any_match: int
    """Rows to which no view had a version."""
    label: LabelSummary | None
    views: tuple[ViewSummary, ...]
    features: tuple[FeatureSummary, ...]
    days: tuple[DayCount, ...]


def summarize(inputs: Inputs, joined: pa.Table) -> Summary:
    """``joined``: what :func:`provender.training_sets.join.joined` gives."""
    times = joined.column(inputs.event_timestamp)
    first, last = pc.min(times).as_py(), pc.max(times).as_py()
    matched = [joined.column(matched_column(log)) for log in inputs.logs]
    return Summary(
        rows=len(joined),
        first=f"{first:%Y-%m-%d %H:%M}" if first else "–",
        last=f"{last:%Y-%m-%d %H:%M}" if last else "–",
        without_any_match=_without_any(matched, len(joined)),
        label=_label(inputs.label, joined) if inputs.label else None,
        views=tuple(_view(log, joined, times) for log in inputs.logs),
        features=tuple(_feature(joined, log, name) for log in inputs.logs for name in log.columns),
        days=_days(joined, inputs.event_timestamp, inputs.label),
    )


def _without_any(matched: Sequence[pa.ChunkedArray], rows: int) -> int:
    if not matched:
        return rows
    found = pc.is_valid(matched[0])
    for column in matched[1:]:
        found = pc.or_(found, pc.is_valid(column))
    return rows - (pc.sum(found).as_py() or 0)


def _view(log: LogRead, joined: pa.Table, times: pa.ChunkedArray) -> ViewSummary:
    events = joined.column(matched_column(log))
    ages = pc.subtract(times.cast(pa.int64()), events.cast(pa.int64())).drop_null()
    return ViewSummary(log, len(events) - len(ages), _ages(ages.to_numpy() / _MICROS_PER_SECOND))


def _ages(seconds: np.ndarray[Any, Any]) -> Ages | None:
    if not len(seconds):
        return None
    least, median, p90, greatest = (float(q) for q in np.quantile(seconds, _QUANTILES))
    return Ages(least, median, p90, greatest, _histogram(seconds))


def _feature(joined: pa.Table, log: LogRead, name: str) -> FeatureSummary:
    column = joined.column(name)
    values = column.drop_null()
    numbers = _numbers(values)
    finite = numbers[np.isfinite(numbers)] if numbers is not None else None
    has_numbers = finite is not None and len(finite) > 0
    return FeatureSummary(
        name=name,
        reference=f"{log.view}:{log.columns[name].feature}",
        type=log.columns[name].type,
        nulls=column.null_count,
        missing=pc.sum(pc.is_null(column, nan_is_null=True)).as_py() or 0,
        distinct=pc.count_distinct(values).as_py(),
        mean=float(finite.mean()) if finite is not None and has_numbers else None,
        values=_histogram(finite) if finite is not None and has_numbers else None,
        commonest=() if numbers is not None else _commonest(values, 5),
    )


def _label(name: str, joined: pa.Table) -> LabelSummary:
    column = joined.column(name)
    values = column.drop_null()
    numbers = _numbers(values)
    if numbers is None or pc.count_distinct(values).as_py() <= _MOST_CLASSES:
        classes = tuple(sorted(_commonest(values, _MOST_CLASSES)))
        return LabelSummary(name, column.null_count, classes, None)
    return LabelSummary(name, column.null_count, (), _histogram(numbers[np.isfinite(numbers)]))


def _days(joined: pa.Table, timestamp: str, label: str | None) -> tuple[DayCount, ...]:
    """Rows per day; per month, where that would be more than fits on a page."""
    known = joined.filter(pc.is_valid(joined.column(timestamp)))
    if not len(known):
        return ()
    moments = known.column(timestamp).cast(STAMP)
    span_days = (pc.max(moments).as_py() - pc.min(moments).as_py()).days
    unit, form = ("day", "%Y-%m-%d") if span_days <= 400 else ("month", "%Y-%m")
    numbers = _numbers(known.column(label)) if label else None
    grouped = {"start": pc.floor_temporal(moments, unit=unit)}
    absent = pa.nulls(len(known), pa.float64())
    grouped["label"] = pa.array(numbers, from_pandas=True) if numbers is not None else absent
    counts = (
        pa.table(grouped).group_by("start").aggregate([([], "count_all"), ("label", "mean")]).sort_by("start")
    )
    return tuple(
        DayCount(f"{row['start']:{form}}", row["count_all"], row["label_mean"]) for row in counts.to_pylist()
    )


def _numbers(values: pa.ChunkedArray) -> np.ndarray[Any, Any] | None:
    """As floats; None for text, bytes and times."""
    kind = values.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        return None
    if pa.types.is_boolean(kind):
        values = values.cast(pa.uint8())
    return np.asarray(values.cast(pa.float64(), safe=False).to_numpy())


def _commonest(values: pa.ChunkedArray, count: int) -> tuple[tuple[str, int], ...]:
    counted = pa.table({"value": values}).group_by("value").aggregate([([], "count_all")])
    top = counted.sort_by([("count_all", "descending")]).slice(0, count).to_pylist()
    return tuple((str(row["value"]), row["count_all"]) for row in top)


def _histogram(numbers: np.ndarray[Any, Any]) -> Histogram:
    counts, edges = np.histogram(numbers, bins=_BINS)
    return Histogram(tuple(map(float, edges)), tuple(map(int, counts)))

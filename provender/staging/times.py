"""Which moment a raw value means, over Arrow columns: only as well as is needed to find the row's partition.

The contract reads every value again, strictly. Here a wall time that a clock change skipped is moved to the next
moment there is, so that its row lands in a partition and is quarantined there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from provender.errors import SpecError
from provender.specs.model import Source, Timestamp

_EPOCH_UNITS = {"epoch_s": 1_000_000, "epoch_ms": 1_000, "epoch_us": 1}
_PATTERN_LETTERS = {
    "yyyy": "%Y",
    "yy": "%y",
    "MM": "%m",
    "M": "%m",
    "MMM": "%b",
    "dd": "%d",
    "d": "%d",
    "HH": "%H",
    "H": "%H",
    "mm": "%M",
    "ss": "%S",
    "DDD": "%j",
    "XXX": "%z",
    "XX": "%z",
    "xxx": "%z",
    "xx": "%z",
    "Z": "%z",
    "SSS": "%f",
    "SSSSSS": "%f",
}
Micros = np.ndarray[tuple[int], np.dtype[np.int64]]
UNREADABLE = np.iinfo(np.int64).min


def time_format(source: Source) -> Timestamp:
    """How the values of ``raw.time_column`` are written: as the spec says where it is the event or created
    timestamp column, else ISO 8601 in UTC."""
    column = source.raw.time_column or ""
    for how in (source.event_timestamp, source.created_timestamp):
        if how is not None and how.column == column:
            return how
    return Timestamp(column=column)


def moments(column: pa.Array | pa.ChunkedArray, how: Timestamp) -> Micros:
    """Microseconds since the epoch, in UTC; :data:`UNREADABLE` for nulls and values that mean no moment.

    Raises :class:`SpecError` for a datetime pattern that cannot be read here.
    """
    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        times = pd.Series(pd.DatetimeIndex(column.cast(pa.timestamp("us")).to_pandas()))
        return _micros(
            times.dt.tz_localize("UTC") if getattr(kind, "tz", None) else _localized(times, how.zone)
        )
    if how.format in _EPOCH_UNITS:
        return _epochs(column.to_pandas(), _EPOCH_UNITS[how.format])
    text = column.cast(pa.string()).to_pandas().astype("object")
    if how.format == "iso":
        return _iso(text, how.zone)
    pattern = strptime_format(how.format)
    times = pd.to_datetime(text.str.strip(), format=pattern, errors="coerce", utc="%z" in pattern)
    return _micros(times if "%z" in pattern else _localized(times, how.zone))


def strptime_format(pattern: str) -> str:
    """A Spark datetime pattern for ``strptime``. Raises :class:`SpecError` for letters it has no words for."""
    found, at = [], 0
    while at < len(pattern):
        letter = pattern[at]
        if letter == "'":
            end = pattern.find("'", at + 1)
            literal = pattern[at + 1 : end if end >= 0 else len(pattern)] or "'"
            found.append(literal.replace("%", "%%"))
            at = (end if end >= 0 else len(pattern)) + 1
            continue
        if not letter.isalpha():
            found.append(letter.replace("%", "%%"))
            at += 1
            continue
        run = len(pattern[at:]) - len(pattern[at:].lstrip(letter))
        word = _PATTERN_LETTERS.get(letter * run)
        if word is None:
            raise SpecError(
                f"rows cannot be selected by times written as {pattern!r}: {letter * run!r} cannot be read",
                remedy="write iso, an epoch format or a pattern of yyyy MM dd HH mm ss SSS XXX, or name the time "
                "column of another column",
            )
        found.append(word)
        at += run
    return "".join(found)


def _iso(text: pd.Series, zone: str) -> Micros:
    stripped = text.str.strip().str.replace(r"(:\d{2}\S*[+-]\d{2})$", r"\1:00", regex=True)
    if zone == "UTC":
        return _micros(pd.to_datetime(stripped, format="ISO8601", utc=True, errors="coerce"))
    absolute = stripped.str.contains(r"\d{2}:\d{2}.*(?:Z|[+-]\d{2}:?\d{2})$", na=False)
    result = np.full(len(stripped), UNREADABLE, dtype=np.int64)
    chosen = absolute.to_numpy()
    result[chosen] = _micros(pd.to_datetime(stripped[absolute], format="ISO8601", utc=True, errors="coerce"))
    walls = pd.to_datetime(stripped[~absolute], format="ISO8601", errors="coerce")
    result[~chosen] = _micros(_localized(walls, zone))
    return result


def _epochs(values: pd.Series, factor: int) -> Micros:
    numbers = pd.to_numeric(values, errors="coerce")
    floats = numbers.to_numpy(dtype="float64", na_value=np.nan)
    readable = np.isfinite(floats) & (np.abs(floats * factor) < 2.0**62)
    result = np.full(len(floats), UNREADABLE, dtype=np.int64)
    if numbers.dtype.kind in "iu":
        result[readable] = numbers.to_numpy(dtype=np.int64)[readable] * factor
    else:
        result[readable] = np.round(floats[readable] * factor).astype(np.int64)
    return result


def _localized(walls: pd.Series, zone: str) -> pd.Series:
    """Wall times as moments: of two that the clock showed twice the earlier."""
    times = pd.Series(pd.DatetimeIndex(walls))
    twice = np.ones(len(times), dtype=bool)
    return times.dt.tz_localize(zone, ambiguous=twice, nonexistent="shift_forward")


def _micros(times: pd.Series | Sequence[object]) -> Micros:
    series = pd.Series(times)
    if series.dt.tz is not None:
        series = series.dt.tz_convert("UTC").dt.tz_localize(None)
    return np.asarray(series.to_numpy(dtype="datetime64[us]"), dtype="datetime64[us]").astype(np.int64)

"""When two answers are the same answer."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from provender.intervals import as_utc

Columns = dict[str, list[Any]]
"""``view__feature`` to its values, one for each row."""

TOLERANCE = 1e-9
"""Relative, and absolute near zero: what adding in another order may change, and nothing else."""


def same(left: Any, right: Any, kind: str) -> bool:
    """Whether two values of ColumnType ``kind`` are the same; None only equals None, NaN counts as None."""
    left, right = _plain(left, kind), _plain(right, kind)
    if isinstance(left, float) and isinstance(right, float):
        return close(left, right)
    return bool(left == right)


def close(left: float, right: float) -> bool:
    """Whether two predictions, or two numbers, are equal within :data:`TOLERANCE`."""
    return math.isclose(left, right, rel_tol=TOLERANCE, abs_tol=TOLERANCE)


def differing(
    left: Mapping[str, Sequence[Any]], right: Mapping[str, Sequence[Any]], kinds: Mapping[str, str]
) -> Iterator[tuple[int, str, Any, Any]]:
    """Each place where columns differ: row, column, left and right value. ``kinds``: which columns, and their types."""
    for name, kind in kinds.items():
        for row, (one, other) in enumerate(zip(left[name], right[name], strict=True)):
            if not same(one, other, kind):
                yield row, name, one, other


def _plain(value: Any, kind: str) -> Any:
    """As a value that compares: JSON has no timestamps, and Redis holds FLOAT in 32 and TIMESTAMP in whole seconds."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if kind == "TIMESTAMP":
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        return as_utc(moment).replace(microsecond=0)
    if kind == "FLOAT":
        return float(struct.unpack("f", struct.pack("f", value))[0])
    return float(value) if kind == "DOUBLE" else value

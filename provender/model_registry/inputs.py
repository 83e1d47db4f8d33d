"""From columns of values to what a model takes: one function, for training and for serving.

A model takes a two-dimensional numpy array of objects: a row for each prediction, a column for each of the
signature's ``inputs`` in their order. A cell is what the column's type says:

    INT32, INT64, FLOAT, DOUBLE   int or float
    BOOL                          bool
    STRING                        str
    TIMESTAMP                     float: seconds since 1970-01-01 UTC
    any type, where it is null    None

Needs numpy only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)

Matrix = npt.NDArray[np.object_]


def model_input(columns: Mapping[str, Sequence[Any]], inputs: Sequence[str]) -> Matrix:
    """The rows of ``columns`` as a model takes them. Datetimes without a zone are UTC."""
    rows = len(columns[inputs[0]]) if inputs else 0
    matrix = np.empty((rows, len(inputs)), dtype=object)
    for place, name in enumerate(inputs):
        values = columns[name]
        is_time = any(isinstance(value, datetime) for value in values)
        matrix[:, place] = [_seconds(value) for value in values] if is_time else list(values)
    return matrix


def _seconds(value: datetime | None) -> float | None:
    if value is None:
        return None
    moment = value if value.tzinfo else value.replace(tzinfo=UTC)
    return (moment - _EPOCH) / _SECOND

"""Which keys are hot, told from a sample of keys and times that is read without Spark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from provender.point_in_time.spark.names import AT, BOUNDS

HOT_ROWS = 250_000
"""A key with more rows is hot: about a second of one core's sorting."""
MOST_PIECES = 256


@dataclass(frozen=True)
class Sample:
    """Some rows (keys and ``at``) out of ``of`` rows, each as likely as any other."""

    rows: pa.Table
    of: int

    @property
    def weight(self) -> float:
        """How many rows a sampled one stands for."""
        return self.of / len(self.rows) if len(self.rows) else 0.0


def hot_keys(samples: Sequence[Sample], keys: Sequence[str]) -> pa.Table:
    """``keys``, ``bounds``: the keys with more than :data:`HOT_ROWS` rows, and where their time is cut (ascending)."""
    weighted = [_weighted(sample, keys) for sample in samples if len(sample.rows)]
    bounds = pa.field(BOUNDS, pa.list_(pa.int64()))
    if not weighted:
        return pa.table({BOUNDS: pa.array([], bounds.type)})
    rows = pa.concat_tables(weighted, promote_options="permissive").drop_null()
    # Arrow cannot list what it does not group.
    rows = rows.append_column("all", pa.array(np.zeros(len(rows), np.int8)))
    counted = rows.group_by([*keys, "all"]).aggregate([("weight", "sum"), (AT, "list"), ("weight", "list")])
    hot = counted.filter(pc.greater(counted.column("weight_sum"), float(HOT_ROWS)))
    cuts = [
        _cuts(np.asarray(row[f"{AT}_list"]), np.asarray(row["weight_list"]), row["weight_sum"])
        for row in hot.select([f"{AT}_list", "weight_list", "weight_sum"]).to_pylist()
    ]
    return hot.select(list(keys)).append_column(bounds, pa.array(cuts, bounds.type))


def _weighted(sample: Sample, keys: Sequence[str]) -> pa.Table:
    weights = pa.array(np.full(len(sample.rows), sample.weight))
    return sample.rows.select([*keys, AT]).append_column("weight", weights)


def _cuts(times: np.ndarray, weights: np.ndarray, total: float) -> list[int]:
    """Times that cut the rows into pieces of about :data:`HOT_ROWS`."""
    pieces = min(MOST_PIECES, int(-(-total // HOT_ROWS)))
    order = np.argsort(times, kind="stable")
    reached = np.cumsum(weights[order]) / total
    places = np.searchsorted(reached, np.arange(1, pieces) / pieces)
    return [int(time) for time in np.unique(times[order][np.minimum(places, len(times) - 1)])]

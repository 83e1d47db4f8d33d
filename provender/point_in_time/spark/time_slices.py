"""Skew: keys whose rows are too many for one task (hot keys) are sorted in slices of time, on as many tasks.

Which keys are hot, and where their time is cut, is told from a sample; a wrong guess costs time, never a value. What
was so at the end of a slice is carried into the later slices as rows of its own, so every slice can be read alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from provender.point_in_time.spark.inputs import AT, BOUNDS, CREATED, EVENT, RECORDED, ROW, SLICE, state
from provender.point_in_time.spark.tracks import Follows, Track
from provender.tables.types import quoted

HOT_ROWS = 250_000
"""A key with more rows is hot: about a second of one core's sorting."""
MOST_SLICES = 256


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
    """Times that cut the rows into slices of about :data:`HOT_ROWS`."""
    slices = min(MOST_SLICES, int(-(-total // HOT_ROWS)))
    order = np.argsort(times, kind="stable")
    reached = np.cumsum(weights[order]) / total
    places = np.searchsorted(reached, np.arange(1, slices) / slices)
    return [int(time) for time in np.unique(times[order][np.minimum(places, len(times) - 1)])]


_SLICES_FOR_NULLS = 64


@dataclass(frozen=True)
class Skew:
    """The hot keys of a join by ``keys``, the same for all its tracks."""

    keys: Sequence[str]
    hot: DataFrame | None = None
    """keys, ``bounds`` (ascending microseconds; a slice starts at each). None: no key is hot."""
    gaps: bool = False
    """Whether entity rows may have null keys: these match nothing, and are dealt out."""

    @property
    def is_sliced(self) -> bool:
        """Whether rows have a ``slice``."""
        return self.gaps or self.hot is not None or not self.keys

    def split_entities(self, entities: DataFrame) -> DataFrame:
        """With ``slice``, if there are any."""
        rows = self._split(entities)
        if not self.gaps or not self.keys:
            return rows
        gap = F.greatest(*[F.col(key).isNull() for key in self.keys], F.lit(False))
        dealt = F.pmod(F.col(ROW), F.lit(_SLICES_FOR_NULLS)).cast("int")
        return rows.withColumn(SLICE, F.when(gap, dealt).otherwise(F.col(SLICE)))

    def split_track(self, track: Track) -> DataFrame:
        """The track's rows with ``slice``, if there are any, and what the slices of hot keys inherit."""
        rows = self._split(track.rows)
        return rows if self.hot is None else rows.unionByName(self._carried(track))

    def _split(self, rows: DataFrame) -> DataFrame:
        if self.hot is None:
            return rows.withColumn(SLICE, F.lit(0)) if self.is_sliced else rows
        marked = self._with_bounds(rows, "left")
        return marked.withColumn(SLICE, F.coalesce(_slice_number(), F.lit(0))).drop(BOUNDS)

    def _with_bounds(self, rows: DataFrame, how: str) -> DataFrame:
        assert self.hot is not None
        hot = F.broadcast(self.hot)
        return rows.join(hot, list(self.keys), how) if self.keys else rows.crossJoin(hot)

    def _carried(self, track: Track) -> DataFrame:
        """The state at the end of each slice, once for every later slice of its key."""
        rows = self._with_bounds(track.rows, "inner").withColumn(SLICE, _slice_number())
        rows = rows.withColumn("state", state(track.slots)).withColumn("last", F.size(BOUNDS))
        by_slice = [*self.keys, SLICE, "last"]
        if track.follows is Follows.FROM_CURRENT:
            newest = F.max_by(F.struct("state", CREATED, RECORDED), F.struct(CREATED, RECORDED)).alias("it")
            rows = rows.groupBy(*by_slice, AT).agg(newest).select(*by_slice, AT, "it.*")
            rows = rows.where(F.col("state")[EVENT].isNotNull())
        if track.follows is Follows.FROM_GREATEST:
            rows = rows.where(F.col(EVENT).isNotNull())
        ends = rows.groupBy(*by_slice).agg(
            F.max_by(F.struct(AT, CREATED, RECORDED, "state"), track.order()).alias("it")
        )
        later = F.explode(F.sequence(F.col(SLICE) + 1, F.col("last"))).alias(SLICE)
        inherited = ends.where(F.col(SLICE) < F.col("last")).select(*self.keys, "it.*", later)
        fields = [F.col(f"state.{quoted(name)}").alias(name) for name in (EVENT, *track.slots)]
        return inherited.select(*self.keys, AT, CREATED, RECORDED, SLICE, *fields)


def _slice_number() -> Column:
    """Number of the bounds at or before ``at``; null where there are no bounds."""
    return F.when(F.col(BOUNDS).isNotNull(), F.size(F.filter(BOUNDS, lambda bound: bound <= F.col(AT))))

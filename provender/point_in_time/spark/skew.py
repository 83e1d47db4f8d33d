"""Hot keys: those whose rows are too many for one task are sorted in pieces of time, on as many tasks.

Which keys are hot, and where their time is cut, is told from a sample; a wrong guess costs time, never a value. What
was so at the end of a piece is carried into the later pieces as rows of its own, so every piece can be read alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from provender.point_in_time.spark.names import AT, BOUNDS, CREATED, EVENT, PIECE, RECORDED, ROW
from provender.point_in_time.spark.tracks import Follows, Track
from provender.point_in_time.spark.versions import state
from provender.tables.types import quoted

_PIECES_FOR_NULLS = 64


@dataclass(frozen=True)
class Skew:
    """The hot keys of a join by ``keys``, the same for all its tracks."""

    keys: Sequence[str]
    hot: DataFrame | None = None
    """keys, ``bounds`` (ascending microseconds; a piece starts at each). None: no key is hot."""
    gaps: bool = False
    """Whether entity rows may have null keys: these match nothing, and are dealt out."""

    @property
    def pieced(self) -> bool:
        """Whether rows have a ``piece``."""
        return self.gaps or self.hot is not None or not self.keys

    def split_entities(self, entities: DataFrame) -> DataFrame:
        """With ``piece``, if there are any."""
        rows = self._split(entities)
        if not self.gaps or not self.keys:
            return rows
        gap = F.greatest(*[F.col(key).isNull() for key in self.keys], F.lit(False))
        dealt = F.pmod(F.col(ROW), F.lit(_PIECES_FOR_NULLS)).cast("int")
        return rows.withColumn(PIECE, F.when(gap, dealt).otherwise(F.col(PIECE)))

    def split_track(self, track: Track) -> DataFrame:
        """The track's rows with ``piece``, if there are any, and what the pieces of hot keys inherit."""
        rows = self._split(track.rows)
        return rows if self.hot is None else rows.unionByName(self._carried(track))

    def _split(self, rows: DataFrame) -> DataFrame:
        if self.hot is None:
            return rows.withColumn(PIECE, F.lit(0)) if self.pieced else rows
        marked = self._with_bounds(rows, "left")
        return marked.withColumn(PIECE, F.coalesce(_piece(), F.lit(0))).drop(BOUNDS)

    def _with_bounds(self, rows: DataFrame, how: str) -> DataFrame:
        assert self.hot is not None
        hot = F.broadcast(self.hot)
        return rows.join(hot, list(self.keys), how) if self.keys else rows.crossJoin(hot)

    def _carried(self, track: Track) -> DataFrame:
        """The state at the end of each piece, once for every later piece of its key."""
        rows = self._with_bounds(track.rows, "inner").withColumn(PIECE, _piece())
        rows = rows.withColumn("state", state(track.slots)).withColumn("last", F.size(BOUNDS))
        piece = [*self.keys, PIECE, "last"]
        if track.follows is Follows.FROM_CURRENT:
            newest = F.max_by(F.struct("state", CREATED, RECORDED), F.struct(CREATED, RECORDED)).alias("it")
            rows = rows.groupBy(*piece, AT).agg(newest).select(*piece, AT, "it.*")
            rows = rows.where(F.col("state")[EVENT].isNotNull())
        if track.follows is Follows.FROM_GREATEST:
            rows = rows.where(F.col(EVENT).isNotNull())
        ends = rows.groupBy(*piece).agg(
            F.max_by(F.struct(AT, CREATED, RECORDED, "state"), track.order()).alias("it")
        )
        later = F.explode(F.sequence(F.col(PIECE) + 1, F.col("last"))).alias(PIECE)
        inherited = ends.where(F.col(PIECE) < F.col("last")).select(*self.keys, "it.*", later)
        fields = [F.col(f"state.{quoted(name)}").alias(name) for name in (EVENT, *track.slots)]
        return inherited.select(*self.keys, AT, CREATED, RECORDED, PIECE, *fields)


def _piece() -> Column:
    """Number of the bounds at or before ``at``; null where there are no bounds."""
    return F.when(F.col(BOUNDS).isNotNull(), F.size(F.filter(BOUNDS, lambda bound: bound <= F.col(AT))))

"""Rows that some version withdraws: which is the best of them, from each moment on, by a segment tree.

A version of such a row is there from ``at`` until the next version of its row is created. Between two neighboring
moments at which something comes or goes, the best (greatest event) stays. To find it for each such stretch without
comparing every version with every stretch, the stretches of a key are the leaves of a binary tree: a version is put
on the few nodes that together cover its time (two a level at most), a stretch looks at its ancestors (one a level).
So n versions cost n·log n, by equal keys alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.window import Window

from provender.point_in_time.spark.inputs import AT, CREATED, DELETED, EVENT, RECORDED, state
from provender.tables.types import quoted

_UNTIL, _STATE, _LEAF, _LEAVES, _LEVEL, _NODE = "until", "state", "leaf", "leaves", "level", "node"


def changes_of_best(versions: DataFrame, keys: Sequence[str], slots: Sequence[str]) -> DataFrame:
    """keys, ``at``, ``event``, ``slots``: from ``at`` on that row is the best; null while there is none.

    ``versions``: all versions of the rows concerned: keys, ``event``, ``created``, ``recorded``, ``at``, ``deleted``,
    slots.
    """
    spans = _spans(versions.withColumn(_STATE, state(slots)), keys)
    leaves = _leaves(spans, keys)
    best = (
        _ancestors(leaves)
        .join(_on_nodes(spans, leaves, keys), [*keys, _LEVEL, _NODE])
        .groupBy(*keys, AT)
        .agg(F.max_by(_STATE, F.col(_STATE)[EVENT]).alias(_STATE))
    )
    changes = leaves.select(*keys, AT).join(best, [*keys, AT], "left")
    fields = [F.col(f"{_STATE}.{quoted(name)}").alias(name) for name in (EVENT, *slots)]
    return changes.select(*keys, AT, *fields)


def _spans(versions: DataFrame, keys: Sequence[str]) -> DataFrame:
    """keys, ``at``, ``until`` (null: no end), ``state`` (event, slots): when each version not deleted is there."""
    row = Window.partitionBy(*keys, EVENT).orderBy(CREATED, RECORDED)
    # Of versions created at once, the one recorded last is all that is ever seen.
    spans = (
        versions.withColumn("next", F.lead(CREATED).over(row))
        .where(F.col("next").isNull() | (F.col("next") > F.col(CREATED)))
        .select(*keys, AT, F.col("next").alias(_UNTIL), DELETED, _STATE)
    )
    return spans.where(~F.col(DELETED) & (F.col(_UNTIL).isNull() | (F.col(_UNTIL) > F.col(AT))))


def _leaves(spans: DataFrame, keys: Sequence[str]) -> DataFrame:
    """keys, ``at``, ``leaf`` (its number in its key, from 0), ``leaves`` (how many the key has)."""
    moments = spans.select(*keys, F.explode(F.array(AT, _UNTIL)).alias(AT)).where(F.col(AT).isNotNull())
    key = Window.partitionBy(*keys)
    return (
        moments.distinct()
        .withColumn(_LEAF, F.row_number().over(key.orderBy(AT)) - 1)
        .withColumn(_LEAVES, F.count(F.lit(1)).over(key))
    )


def _on_nodes(spans: DataFrame, leaves: DataFrame, keys: Sequence[str]) -> DataFrame:
    """keys, ``level``, ``node``, ``state``: each span on the nodes that cover its leaves ``[first, end)``."""
    first = leaves.select(*keys, AT, F.col(_LEAF).alias("first"), _LEAVES)
    end = leaves.select(*keys, F.col(AT).alias(_UNTIL), F.col(_LEAF).alias("last"))
    ranged = spans.join(first, [*keys, AT]).join(end, [*keys, _UNTIL], "left")
    ranged = ranged.withColumn("end", F.coalesce("last", _LEAVES)).withColumn(_LEVEL, F.explode(_levels()))
    # At each level, what is left of the range starts or ends on the second of two siblings, or is left to their parent.
    low = F.expr(f"shiftright(first + shiftleft(1L, {_LEVEL}) - 1, {_LEVEL})")
    high = F.expr(f"shiftright(end, {_LEVEL})")
    ranged = ranged.withColumns({"low": low, "high": high}).where("low < high")
    nodes = F.array(
        F.when(F.col("low") % 2 == 1, F.col("low")), F.when(F.col("high") % 2 == 1, F.col("high") - 1)
    )
    return ranged.select(*keys, _LEVEL, F.explode(nodes).alias(_NODE), _STATE).where(F.col(_NODE).isNotNull())


def _ancestors(leaves: DataFrame) -> DataFrame:
    """The leaves with each ``level`` and ``node`` above them."""
    raised = leaves.withColumn(_LEVEL, F.explode(_levels()))
    return raised.withColumn(_NODE, F.expr(f"shiftright(CAST({_LEAF} AS BIGINT), {_LEVEL})"))


def _levels() -> Column:
    """0 to the level of the root."""
    return F.expr(f"sequence(0, CAST(ceil(log2({_LEAVES})) AS INT) + 1)")

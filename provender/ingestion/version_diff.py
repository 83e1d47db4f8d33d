"""Which versions a feature table's log lacks: the difference of what is desired and what is recorded.

A group is one (entity keys, event timestamp). Its **desired** rows say which values hold from which created
timestamp on; its **log** rows are the versions recorded so far. Walking the group in order of created timestamp:

    created   log         desired   log's word then   appended
    c1        v1          v1        v1                –             unchanged
    c2                    v2        v1                v2            a correction
    c3                    v2        v1                –             same as the desired row before it

and, at the end, if the log's newest version is newer than the last desired row and says something else (its raw
rows were taken back), a last version that says what is true now, or ``deleted``.

One shuffle and one sort by group; the result does not depend on the order in which partitions came.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import reduce
from operator import or_

from pyspark.sql import Column, DataFrame, Window, WindowSpec
from pyspark.sql import functions as F

from provender.intervals import iso
from provender.specs.source import CREATED_TIMESTAMP, EVENT_TIMESTAMP
from provender.tables.tables import DELETED, PERIOD, RECORDED_TIMESTAMP
from provender.tables.types import quoted

OUTCOME = "outcome"
NEW, CORRECTED, WITHDRAWN, UNCHANGED = "new", "corrected", "withdrawn", "unchanged"
NULL_KEYS = "null_keys"
"""The outcome of a group that the SQL gives a null key: no reader could ask for it, so it is counted and not stored."""


def difference(
    desired: DataFrame, log: DataFrame, keys: list[str], features: list[str], withdrawn_at: datetime
) -> DataFrame:
    """The versions to append, and the outcome of every group.

    ``desired``: keys, features, ``event_timestamp``, ``created_timestamp``, ``period``, ``deleted`` (true: from
    this created timestamp on there is no such row). ``log``: the same columns and ``recorded_timestamp``.
    ``withdrawn_at``: when it became known that raw rows were taken back.

    Returns ``period``, ``outcome`` (``new``, ``corrected``, ``withdrawn``, ``unchanged`` or ``null_keys`` on one row
    of each group, else null) and ``versions``, an array (often empty) of structs of the columns to append.
    """
    columns = [*keys, *features, EVENT_TIMESTAMP, CREATED_TIMESTAMP, PERIOD, DELETED]
    chosen = [quoted(name) for name in columns]
    never = F.lit(None).cast("timestamp")
    union = log.select(*chosen, RECORDED_TIMESTAMP, F.lit(True).alias("_is_log")).unionByName(
        desired.select(*chosen, never.alias(RECORDED_TIMESTAMP), F.lit(False).alias("_is_log"))
    )
    group = [quoted(name) for name in (*keys, EVENT_TIMESTAMP)]
    order = Window.partitionBy(*group).orderBy(CREATED_TIMESTAMP, F.desc("_is_log"), RECORDED_TIMESTAMP)
    walked = _with_steps(_with_words(union, features, columns, order), order)
    return _with_endings(walked, keys, columns, withdrawn_at)


def has_null_key(keys: Sequence[str]) -> Column:
    """Whether one of the columns ``keys`` is null."""
    return reduce(or_, [F.col(quoted(key)).isNull() for key in keys], F.lit(False))


def to_append(differences: DataFrame) -> DataFrame:
    """The versions of :func:`difference`, one row each."""
    return differences.select(F.inline("versions"))


def outcomes(differences: DataFrame) -> DataFrame:
    """``period``, ``new``, ``corrected``, ``withdrawn``, ``unchanged``, ``null_keys`` (groups) and ``appended``
    (versions)."""
    counts = [
        F.count_if(F.col(OUTCOME) == name).alias(name)
        for name in (NEW, CORRECTED, WITHDRAWN, UNCHANGED, NULL_KEYS)
    ]
    return differences.groupBy(PERIOD).agg(*counts, F.sum(F.size("versions")).alias("appended"))


def _with_words(union: DataFrame, features: list[str], columns: list[str], order: WindowSpec) -> DataFrame:
    """Adds what the log and the desired rows say so far: ``_log`` and ``_desired``, states with their version."""
    is_log = F.col("_is_log")
    # A deleted version has no values: two of them are the same whatever their columns hold.
    values = [F.when(~F.col(DELETED), F.col(quoted(name))).alias(f"v{i}") for i, name in enumerate(features)]
    state = F.struct(F.col(DELETED).alias("gone"), *values)
    version = F.struct(*[F.col(quoted(name)).alias(name) for name in columns])
    word = F.struct(state.alias("state"), F.col(CREATED_TIMESTAMP).alias("created"), version.alias("version"))
    so_far = order.rowsBetween(Window.unboundedPreceding, Window.currentRow)
    before = order.rowsBetween(Window.unboundedPreceding, -1)
    desired = F.when(~is_log, word)
    return union.select(
        *[F.col(quoted(name)) for name in columns],
        "_is_log",
        RECORDED_TIMESTAMP,
        state.alias("_state"),
        F.last(F.when(is_log, word), ignorenulls=True).over(so_far).alias("_log"),
        F.last(desired, ignorenulls=True).over(so_far).alias("_desired"),
        F.last(desired, ignorenulls=True).over(before).alias("_desired_before"),
        F.lead(F.lit(True)).over(order).isNull().alias("_is_last"),
    )


def _with_steps(words: DataFrame, order: WindowSpec) -> DataFrame:
    """Adds ``_append``: without it, the log would say something else from this desired row on.

    What it would say is the later of the log's newest version so far and the desired row before, which is in the
    log or about to be.
    """
    log, before = F.col("_log"), F.col("_desired_before")
    follows_desired = log.isNull() | (before.getField("created") >= log.getField("created"))
    effective = F.when(before.isNotNull() & follows_desired, before.getField("state")).otherwise(
        log.getField("state")
    )
    walked = words.withColumn("_append", ~F.col("_is_log") & ~_same(effective, F.col("_state")))
    so_far = order.rowsBetween(Window.unboundedPreceding, Window.currentRow)
    return walked.withColumn("_appended", F.max("_append").over(so_far))


def _same(recorded: Column, desired: Column) -> Column:
    """Whether both say the same; no version at all and a deleted one do."""
    return F.when(recorded.isNull(), desired.getField("gone")).otherwise(recorded.eqNullSafe(desired))


def _with_endings(
    walked: DataFrame, keys: list[str], columns: list[str], withdrawn_at: datetime
) -> DataFrame:
    """Adds the last version where the log's newest says something else than the newest desired row."""
    no_key = has_null_key(keys)
    log, desired = F.col("_log"), F.col("_desired")
    gone = desired.isNull() | desired.getField("state").getField("gone")
    overtaken = desired.isNull() | (desired.getField("created") < log.getField("created"))
    stale = F.when(gone, ~log.getField("state").getField("gone")).otherwise(
        ~desired.getField("state").eqNullSafe(log.getField("state"))
    )
    ends = F.col("_is_last") & log.isNotNull() & overtaken & stale
    changed = F.col("_appended") | ends
    outcome = (
        F.when(no_key, F.when(~gone, F.lit(NULL_KEYS)))
        .when(~changed, F.lit(UNCHANGED))
        .when(gone, F.lit(WITHDRAWN))
        .when(log.isNull(), F.lit(NEW))
        .otherwise(F.lit(CORRECTED))
    )
    versions = F.array_compact(
        F.array(
            F.when(
                F.col("_append") & ~no_key, F.struct(*[F.col(quoted(name)).alias(name) for name in columns])
            ),
            F.when(ends, _ending(columns, gone, withdrawn_at)),
        )
    )
    result = walked.select(
        PERIOD, F.when(F.col("_is_last"), outcome).alias(OUTCOME), versions.alias("versions")
    )
    return result.where(F.col(OUTCOME).isNotNull() | (F.size("versions") > 0))


def _ending(columns: list[str], gone: Column, withdrawn_at: datetime) -> Column:
    now_true = F.coalesce(F.col("_desired.version"), F.col("_log.version"))
    known_at = F.lit(iso(withdrawn_at)).cast("timestamp")
    special = {
        CREATED_TIMESTAMP: F.greatest(F.col("_log.created"), known_at),
        DELETED: gone,
    }
    return F.struct(*[special.get(name, now_true.getField(name)).alias(name) for name in columns])

"""Which rows a materialization sends: of the keys that may have changed, what the log now says of each.

    versions recorded in (last, now] ─▶ newest row per key

A changed key that ever had a version withdrawn is computed from its whole history instead: its row falls back to what
the log now says, guarded by the newest version the log knows, so that it cannot undo a newer write.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from provender.intervals import iso
from provender.materialization.plan import ViewPlan
from provender.specs.source import CREATED_TIMESTAMP, EVENT_TIMESTAMP
from provender.tables.tables import DELETED, RECORDED_TIMESTAMP
from provender.tables.types import quoted


def online_rows(log: DataFrame, plan: ViewPlan, up_to: datetime) -> DataFrame:
    """One row per key that may have changed: join keys, features, ``event_timestamp``, ``created_timestamp`` (null
    if nothing is left of the key), ``guard_event``, ``guard_created`` (the newest version that the log knows)."""
    known, bounds = _recorded(log, None, up_to), plan.bounds
    if bounds.end is not None:
        known = known.where(F.col(EVENT_TIMESTAMP) <= _moment(bounds.end))
    rows = _rows(known, plan)
    return rows if bounds.start is None else rows.where(F.col("guard_event") >= _moment(bounds.start))


def is_anything_outside(log: DataFrame, plan: ViewPlan, up_to: datetime) -> bool:
    """Whether a version that is due lies outside the plan's bounds."""
    event, bounds = F.col(EVENT_TIMESTAMP), plan.bounds
    outside = F.lit(False)
    if bounds.start is not None:
        outside = outside | (event < _moment(bounds.start))
    if bounds.end is not None:
        outside = outside | (event > _moment(bounds.end))
    return not _recorded(log, plan.since, up_to).where(outside).isEmpty()


def _recorded(log: DataFrame, since: datetime | None, up_to: datetime) -> DataFrame:
    """The versions recorded in ``(since, up_to]``."""
    recorded = F.col(RECORDED_TIMESTAMP)
    known = log.where(recorded <= _moment(up_to))
    return known if since is None else known.where(recorded > _moment(since))


def _moment(moment: datetime) -> Column:
    return F.lit(iso(moment)).cast("timestamp")


def _rows(known: DataFrame, plan: ViewPlan) -> DataFrame:
    keys = [plan.view.column(name) for name in plan.view.join_keys]
    names = plan.names
    if plan.since is None:
        return _newest(known, keys, names)
    changed = known.where(F.col(RECORDED_TIMESTAMP) > _moment(plan.since))
    if not plan.changes.withdrawals:
        return (
            _all_of(changed, names)
            if _is_one_version_each(changed)
            else _newest_of_live(changed, keys, names)
        )
    # A change may lie between older versions, one of which withdraws it: whether a key has a deleted version is asked
    # of all that is known of it, not only of what is new.
    touched = changed.select(*map(quoted, keys)).distinct()
    deleted = known.where(DELETED).select(*map(quoted, keys)).distinct()
    withdrawn = F.broadcast(touched.join(deleted, keys, "left_semi"))
    histories = known.join(withdrawn, keys, "left_semi")
    plain = changed.join(withdrawn, keys, "left_anti")
    return _newest(histories.unionByName(plain), keys, names)


def _is_one_version_each(rows: DataFrame) -> bool:
    """Whether times alone say that no key is there twice, as in a day's aggregates: a version is told from the others
    of its key by its three times, and here all rows have the same. Three columns are read, and nothing is shuffled."""
    times = (EVENT_TIMESTAMP, CREATED_TIMESTAMP, RECORDED_TIMESTAMP)
    same = [F.coalesce(F.min(time) == F.max(time), F.lit(True)) for time in times]
    return bool(rows.agg(F.least(*same)).collect()[0][0])


def _all_of(rows: DataFrame, names: dict[str, str]) -> DataFrame:
    """Every row as what its key is now, guarded by itself."""
    return rows.select(
        *[F.col(quoted(column)).alias(name) for name, column in names.items()],
        EVENT_TIMESTAMP,
        CREATED_TIMESTAMP,
        F.col(EVENT_TIMESTAMP).alias("guard_event"),
        F.col(CREATED_TIMESTAMP).alias("guard_created"),
    )


def _newest_of_live(rows: DataFrame, keys: list[str], names: dict[str, str]) -> DataFrame:
    """:func:`_newest` where no version is deleted: one shuffle, one sort, and no struct to copy for each row."""
    times = (EVENT_TIMESTAMP, CREATED_TIMESTAMP, RECORDED_TIMESTAMP)
    order = Window.partitionBy(*map(quoted, keys)).orderBy(*map(F.desc, times))
    newest = rows.withColumn("_nth", F.row_number().over(order)).where(F.col("_nth") == 1)
    return _all_of(newest, names)


def _newest(rows: DataFrame, keys: list[str], names: dict[str, str]) -> DataFrame:
    version = F.struct(
        EVENT_TIMESTAMP, CREATED_TIMESTAMP, *[quoted(c) for c in sorted(set(names.values()) - set(keys))]
    )
    order = F.struct(EVENT_TIMESTAMP, CREATED_TIMESTAMP, RECORDED_TIMESTAMP)
    # A deleted version hides the others of its event timestamp: fold those first.
    facts = F.struct(version.alias("version"), order.alias("order"), DELETED)
    current = (
        rows.groupBy(*map(quoted, keys), EVENT_TIMESTAMP)
        .agg(F.max_by(facts, order).alias("_current"))
        .select(*map(quoted, keys), "_current.*")
    )
    live = F.when(~F.col(DELETED), F.col("order"))
    newest = current.groupBy(*map(quoted, keys)).agg(
        F.max("order").alias("_guard"), F.max_by("version", live).alias("_live")
    )
    return newest.select(*_columns(keys, names))


def _columns(keys: list[str], names: dict[str, str]) -> Iterator[Column]:
    for name, column in names.items():
        yield (F.col(quoted(column)) if column in keys else F.col("_live").getField(column)).alias(name)
    for name in (EVENT_TIMESTAMP, CREATED_TIMESTAMP):
        yield F.col("_live").getField(name).alias(name)
    yield F.col("_guard").getField(EVENT_TIMESTAMP).alias("guard_event")
    yield F.col("_guard").getField(CREATED_TIMESTAMP).alias("guard_created")

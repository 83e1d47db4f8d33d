"""What a log says over time, as tracks: rows that take effect at a moment, and how the answer follows from them.

Without ``filter_by_created_timestamp`` a view is one track: its versions by event timestamp, of which each
(keys, event) has one current. With it, a version takes effect at ``max(event, created)``, and a view is up to two
tracks: the versions of rows that are never withdrawn, whose answer is a running maximum, and the changes of the best
among the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.window import Window, WindowSpec

from provender.point_in_time.spark.inputs import AT, CREATED, DELETED, EVENT, MOMENT, PLACES, RECORDED, state
from provender.point_in_time.spark.segment_tree import changes_of_best

BROADCAST_ROWS = 100_000
"""Up to this many keys go to every task instead of being shuffled."""
SUPERSEDED = "superseded"


class Follows(Enum):
    """How the state at t follows from a track's rows at or before t."""

    FROM_LAST = "the last row"
    FROM_CURRENT = "the greatest event whose newest version is not deleted"
    FROM_GREATEST = "the greatest (event, created, recorded)"


@dataclass(frozen=True)
class Track:
    """``rows``: keys, ``at``, ``created``, ``recorded``, ``event`` (null: nothing is there), ``slots``."""

    follows: Follows
    rows: DataFrame
    slots: Sequence[str]

    def order(self) -> Column:
        """By what the row that counts is the greatest, among those that are current."""
        first = EVENT if self.follows is Follows.FROM_GREATEST else AT
        return F.struct(first, CREATED, RECORDED)

    def state_so_far(self, place: int, window: WindowSpec) -> Column:
        """Return the state at each row of the union, which is sorted by ``moment``, ``created``, ``recorded``."""
        so_far = window.rowsBetween(Window.unboundedPreceding, Window.currentRow)
        mine = place_of(F.col(MOMENT)) == place
        if self.follows is Follows.FROM_GREATEST:
            order = F.when(mine & F.col(EVENT).isNotNull(), F.struct(EVENT, CREATED, RECORDED))
            return F.max_by(state(self.slots), order).over(so_far)
        if self.follows is Follows.FROM_CURRENT:
            mine &= F.col(EVENT).isNotNull() & ~F.col(SUPERSEDED)
        return F.last(F.when(mine, state(self.slots)), ignorenulls=True).over(so_far)


def moment(at: Column, place: int) -> Column:
    """``at`` with the place in its last digits."""
    return at * PLACES + place


def place_of(column: Column) -> Column:
    """The place within a moment; right for times before 1970 too."""
    return column.bitwiseAND(F.lit(PLACES - 1))


def superseded(window: WindowSpec) -> Column:
    """Whether the next row is another version of the same row."""
    return F.lead(MOMENT).over(window).eqNullSafe(F.col(MOMENT))


def as_known_now(versions: DataFrame, slots: Sequence[str], withdrawn_versions: int | None) -> list[Track]:
    """Later corrections reach back. ``withdrawn_versions``: how many are marked deleted; None: perhaps some."""
    if withdrawn_versions == 0:
        return [Track(Follows.FROM_LAST, versions.withColumn(AT, F.col(EVENT)).drop(DELETED), slots)]
    rows = versions.withColumns({AT: F.col(EVENT), EVENT: F.when(~F.col(DELETED), F.col(EVENT))})
    return [Track(Follows.FROM_CURRENT, rows.drop(DELETED), slots)]


def as_known_then(
    versions: DataFrame, keys: Sequence[str], slots: Sequence[str], withdrawn_versions: int | None
) -> list[Track]:
    """Only versions created at or before t exist."""
    timed = versions.withColumn(AT, F.greatest(EVENT, CREATED))
    if withdrawn_versions == 0:
        return [Track(Follows.FROM_GREATEST, timed.drop(DELETED), slots)]
    row = [*keys, EVENT]
    withdrawn = versions.where(DELETED).select(*row).distinct()
    if withdrawn_versions is not None and withdrawn_versions <= BROADCAST_ROWS:
        withdrawn = F.broadcast(withdrawn)
    steady = timed.join(withdrawn, row, "left_anti")
    changes = changes_of_best(timed.join(withdrawn, row, "left_semi"), keys, slots)
    none = F.lit(None).cast("bigint")
    return [
        Track(Follows.FROM_GREATEST, steady.drop(DELETED), slots),
        Track(Follows.FROM_LAST, changes.withColumns({CREATED: none, RECORDED: none}), slots),
    ]


def combined(states: Sequence[Column]) -> Column:
    """A view's state from those of its tracks: the greatest event."""
    if len(states) == 1:
        return states[0]
    steady, best = states
    return F.when(steady[EVENT].isNull() | (best[EVENT] > steady[EVENT]), best).otherwise(steady)

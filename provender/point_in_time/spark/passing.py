"""The pass: entity rows among the rows of all tracks, sorted by key and time, each taking the state it comes after."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.window import Window

from provender.point_in_time.spark.names import AT, CREATED, MOMENT, PIECE, PLACES, RECORDED, ROW
from provender.point_in_time.spark.skew import Skew
from provender.point_in_time.spark.tracks import SUPERSEDED, Follows, Track, moment, place_of, superseded

MOST_TRACKS = PLACES - 1


def states_at(entities: DataFrame, tracks: Sequence[Track], skew: Skew) -> DataFrame:
    """``entities`` (``row``, keys, ``at``, any others) with ``s0``, ``s1``, …: each track's state at their time.

    One shuffle by key (and piece, where keys are hot) and one sort. A null key or time finds nothing. Takes
    :data:`MOST_TRACKS` at most.
    """
    together = skew.split_entities(entities).withColumn(MOMENT, moment(F.col(AT), MOST_TRACKS)).drop(AT)
    for place, track in enumerate(tracks):
        rows = skew.split_track(track).withColumn(MOMENT, moment(F.col(AT), place)).drop(AT)
        together = together.unionByName(rows, allowMissingColumns=True)
    by = [*skew.keys, PIECE] if skew.pieced else list(skew.keys)
    # Said here, states are made of the sorted rows; left to the window, they would be shuffled and sorted with them.
    together = together.repartition(*by).sortWithinPartitions(*by, MOMENT, CREATED, RECORDED)
    window = Window.partitionBy(*by).orderBy(MOMENT, CREATED, RECORDED)
    if any(track.follows is Follows.FROM_CURRENT for track in tracks):
        together = together.withColumn(SUPERSEDED, superseded(window))
    states = {f"s{place}": track.state_so_far(place, window) for place, track in enumerate(tracks)}
    passed = together.withColumns(states)
    # An entity row without a time has no moment.
    passed = passed.where(F.coalesce(place_of(F.col(MOMENT)), F.lit(MOST_TRACKS)) == MOST_TRACKS)
    names = [F.col(name) for name in entities.columns if name != AT]
    return passed.select(*names, F.shiftright(MOMENT, PLACES.bit_length() - 1).alias(AT), *states)


def intervals(tracks: Sequence[Track], keys: Sequence[str]) -> DataFrame:
    """keys, ``at``, ``until`` (exclusive; null: no end), ``s0``, ``s1``, …: the states between two changes."""
    moments = tracks[0].rows.select(*keys, AT)
    for track in tracks[1:]:
        moments = moments.unionByName(track.rows.select(*keys, AT))
    states = states_at(moments.distinct().withColumn(ROW, F.lit(0)), tracks, Skew(keys)).drop(ROW)
    key = Window.partitionBy(*[F.col(key) for key in keys] or [F.lit(0)]).orderBy(AT)
    return states.withColumn("until", F.lead(AT).over(key))

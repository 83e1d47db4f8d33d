"""The join as one Spark frame: the views with the same keys are joined at once, those with other keys after them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_type
from pyspark.sql.window import Window

from provender.point_in_time.duckdb_join import Lookup, micros
from provender.point_in_time.spark.inputs import (
    AT,
    CREATED,
    EVENT,
    MOMENT,
    PLACES,
    RECORDED,
    ROW,
    SLICE,
    StagedRows,
    compared,
    read_versions,
    slots_of,
    staged_keys,
)
from provender.point_in_time.spark.time_slices import HOT_ROWS, Sample, Skew, hot_keys
from provender.point_in_time.spark.tracks import (
    BROADCAST_ROWS,
    SUPERSEDED,
    Follows,
    Track,
    as_known_now,
    as_known_then,
    combined,
    moment,
    place_of,
    superseded,
)
from provender.storage import spark_path
from provender.tables.feature_log import CREATED as CREATED_TIMESTAMP
from provender.tables.feature_log import EVENT as EVENT_TIMESTAMP
from provender.tables.feature_log import Bounds

MOST_TRACKS = PLACES - 1


SMALL_LOG_ROWS = 1_000
"""A log of so few rows goes to every task; entity rows then need no shuffle for it."""
ROWS_PER_TASK = 1_250_000
SAMPLED_ROWS = 100_000
_MICROSECOND = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class _View:
    """One lookup within its group."""

    number: int
    """Of its output columns: where they start among all lookups'."""
    lookup: Lookup
    keys: dict[str, str]
    """``k…`` -> the log's column."""
    bounds: Bounds
    rows: int
    """How many the log's statistics allow within the bounds."""


def join(
    spark: SparkSession, entities: StagedRows, lookups: Sequence[Lookup], *, filter_by_created_timestamp: bool
) -> DataFrame:
    """``row``, the carried columns ``c0``…, and ``o0``, ``o1``, …: the lookups' output columns, one after another.

    Every entity row once, in no order. Output columns are nullable and have the log's types.
    """
    views = _views(entities, lookups)
    _size_shuffles(spark, entities.count + sum(view.rows for view in views))
    frame = staged = _read(spark, entities)
    groups: dict[tuple[str, ...], list[_View]] = {}
    for view in views:
        groups.setdefault(tuple(sorted(view.keys)), []).append(view)
    for keys, group in _in_unions(groups, 1 + filter_by_created_timestamp):
        frame = _Group(spark, staged, list(keys), group, entities, filter_by_created_timestamp).join(frame)
    outputs = _with_nothing(lookups, set(frame.columns))
    return frame.select("row", *entities.carried, *outputs)


def _in_unions(
    groups: dict[tuple[str, ...], list[_View]], tracks_a_view: int
) -> Iterator[tuple[tuple[str, ...], list[_View]]]:
    """The groups, cut where they have more tracks than one union takes."""
    most = MOST_TRACKS // tracks_a_view
    for keys, group in groups.items():
        yield from ((keys, group[start : start + most]) for start in range(0, len(group), most))


@dataclass(frozen=True)
class _Group:
    """The views with one set of keys."""

    spark: SparkSession
    staged: DataFrame
    """The entity rows as they are in their file."""
    keys: list[str]
    views: list[_View]
    entities: StagedRows
    filter_by_created_timestamp: bool

    def join(self, rows: DataFrame) -> DataFrame:
        """``rows`` with the views' output columns."""
        tracks = [self._tracks(view) for view in self.views]
        flat = [track for of_view in tracks for track in of_view]
        if all(view.rows <= SMALL_LOG_ROWS for view in self.views):
            stated = self._looked_up(rows, flat)
        else:
            stated = forward_fill(rows, flat, self._skew())
        states = iter(F.col(f"s{i}") for i in range(len(flat)))
        outputs = [
            output
            for view, of_view in zip(self.views, tracks, strict=True)
            for output in _outputs(view, combined([next(states) for _ in of_view]))
        ]
        return stated.select(*rows.columns, *outputs)

    def _skew(self) -> Skew:
        samples = [Sample(self.entities.sample, self.entities.count), *map(self._sample, self.views)]
        rows = sum(sample.of for sample in samples)
        hot = hot_keys(samples, self.keys) if rows > HOT_ROWS else None
        gaps = self.entities.gaps and bool(self.keys)
        if hot is None or not len(hot):
            return Skew(self.keys, gaps=gaps)
        return Skew(self.keys, self.spark.createDataFrame(hot), gaps)

    def _sample(self, view: _View) -> Sample:
        columns = list(dict.fromkeys([*view.keys.values(), EVENT_TIMESTAMP, CREATED_TIMESTAMP]))
        found = view.lookup.log.sample(view.bounds, columns, SAMPLED_ROWS)
        at = micros(found.column(EVENT_TIMESTAMP))
        if self.filter_by_created_timestamp:
            at = pc.max_element_wise(at, micros(found.column(CREATED_TIMESTAMP)))
        keys = {name: _comparable(found.column(column)) for name, column in view.keys.items()}
        return Sample(pa.table(keys | {AT: at}), view.rows)

    def _looked_up(self, rows: DataFrame, tracks: list[Track]) -> DataFrame:
        """Few versions: the intervals between their changes are sent to the entity rows."""
        found = intervals(tracks, self.keys).withColumnRenamed(AT, "since")
        found = F.broadcast(found.withColumnsRenamed({key: f"their_{key}" for key in self.keys}))
        within = (F.col("since") <= F.col(AT)) & (F.col("until").isNull() | (F.col(AT) < F.col("until")))
        for key in self.keys:
            within = (F.col(key) == F.col(f"their_{key}")) & within
        return rows.join(found, within, "left")

    def _tracks(self, view: _View) -> list[Track]:
        created_to = _moment(self.entities.greatest) if self.filter_by_created_timestamp else None
        versions = read_versions(self.spark, view.lookup, view.bounds, created_to, view.keys)
        if self.keys and view.rows > SMALL_LOG_ROWS and self.entities.count <= BROADCAST_ROWS:
            versions = versions.join(
                F.broadcast(self.staged.select(*self.keys).distinct()), self.keys, "left_semi"
            )
        withdrawn, slots = view.lookup.log.withdrawn(view.bounds), list(slots_of(view.lookup))
        if self.filter_by_created_timestamp:
            return as_known_then(versions, self.keys, slots, withdrawn)
        return as_known_now(versions, slots, withdrawn)


def _outputs(view: _View, state: Column) -> list[Column]:
    """The view's output columns: null where the event is older than the ttl allows."""
    ttl = view.lookup.ttl // _MICROSECOND
    in_time = state[EVENT] >= F.col(AT) - ttl if ttl else F.lit(True)
    return [
        F.when(in_time, state[slot]).alias(f"o{view.number + i}")
        for i, slot in enumerate(slots_of(view.lookup))
    ]


def _comparable(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(pa.int64()) if pa.types.is_integer(column.type) else column


def _views(entities: StagedRows, lookups: Sequence[Lookup]) -> list[_View]:
    """Those that can have an answer at all."""
    views, number, names = [], 0, staged_keys(lookups)
    for lookup in lookups:
        bounds = bounds_of(entities, lookup)
        rows = lookup.log.rows(bounds) if bounds is not None else 0
        if bounds is not None and rows and lookup.features:
            keys = {names[compared(lookup, entity)]: column for entity, column in lookup.keys.items()}
            views.append(_View(number, lookup, keys, bounds, rows))
        number += len(lookup.features)
    return views


def bounds_of(entities: StagedRows, lookup: Lookup) -> Bounds | None:
    """The bounds outside which no version can matter; None if no entity row has a time."""
    if entities.least is None:
        return None
    start = _moment(entities.least) - lookup.ttl if lookup.ttl else None
    return Bounds(event_from=start, event_to=_moment(entities.greatest), recorded_to=lookup.recorded_up_to)


def _with_nothing(lookups: Sequence[Lookup], there: set[str]) -> list[Column]:
    """All output columns; null for lookups that cannot have an answer."""
    kinds = [
        lookup.log.schema.field(column).type for lookup in lookups for column in lookup.features.values()
    ]
    return [
        F.col(f"o{i}") if f"o{i}" in there else F.lit(None).cast(_spark_type(kind)).alias(f"o{i}")
        for i, kind in enumerate(kinds)
    ]


def _spark_type(kind: pa.DataType) -> str:
    return from_arrow_type(kind, prefer_timestamp_ntz=False).simpleString()


def _read(spark: SparkSession, entities: StagedRows) -> DataFrame:
    frame = spark.read.parquet(spark_path(entities.uri))
    return frame.select("row", AT, *entities.keys, *entities.carried)


def _size_shuffles(spark: SparkSession, rows: int) -> None:
    name = "spark.sql.shuffle.partitions"
    spark.conf.set(name, str(tasks_for(rows, int(spark.conf.get(name) or 1))))


def tasks_for(rows: int, least: int) -> int:
    """A task for each :data:`ROWS_PER_TASK`, a multiple of ``least``: on as many cores, all end together."""
    return max(1, -(-rows // (ROWS_PER_TASK * least))) * least


def _moment(micros: int | None) -> datetime:
    assert micros is not None
    return _EPOCH + timedelta(microseconds=micros)


def forward_fill(entities: DataFrame, tracks: Sequence[Track], skew: Skew) -> DataFrame:
    """``entities`` (``row``, keys, ``at``, any others) with ``s0``, ``s1``, …: each track's state at their time.

    One shuffle by key (and slice, where keys are hot) and one sort. A null key or time finds nothing. Takes
    :data:`MOST_TRACKS` at most.
    """
    union = skew.split_entities(entities).withColumn(MOMENT, moment(F.col(AT), MOST_TRACKS)).drop(AT)
    for place, track in enumerate(tracks):
        rows = skew.split_track(track).withColumn(MOMENT, moment(F.col(AT), place)).drop(AT)
        union = union.unionByName(rows, allowMissingColumns=True)
    by = [*skew.keys, SLICE] if skew.is_sliced else list(skew.keys)
    # Said here, states are made of the sorted rows; left to the window, they would be shuffled and sorted with them.
    union = union.repartition(*by).sortWithinPartitions(*by, MOMENT, CREATED, RECORDED)
    window = Window.partitionBy(*by).orderBy(MOMENT, CREATED, RECORDED)
    if any(track.follows is Follows.FROM_CURRENT for track in tracks):
        union = union.withColumn(SUPERSEDED, superseded(window))
    states = {f"s{place}": track.state_so_far(place, window) for place, track in enumerate(tracks)}
    filled = union.withColumns(states)
    # An entity row without a time has no moment.
    filled = filled.where(F.coalesce(place_of(F.col(MOMENT)), F.lit(MOST_TRACKS)) == MOST_TRACKS)
    names = [F.col(name) for name in entities.columns if name != AT]
    return filled.select(*names, F.shiftright(MOMENT, PLACES.bit_length() - 1).alias(AT), *states)


def intervals(tracks: Sequence[Track], keys: Sequence[str]) -> DataFrame:
    """keys, ``at``, ``until`` (exclusive; null: no end), ``s0``, ``s1``, …: the states between two changes."""
    moments = tracks[0].rows.select(*keys, AT)
    for track in tracks[1:]:
        moments = moments.unionByName(track.rows.select(*keys, AT))
    states = forward_fill(moments.distinct().withColumn(ROW, F.lit(0)), tracks, Skew(keys)).drop(ROW)
    key = Window.partitionBy(*[F.col(key) for key in keys] or [F.lit(0)]).orderBy(AT)
    return states.withColumn("until", F.lead(AT).over(key))

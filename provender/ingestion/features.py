"""What a feature table should say: a pure function of the raw rows, one period at a time.

A table taken as it is: every raw row is a version of (keys, event timestamp), from its created timestamp on.

A derived table: its SQL over each of its :mod:`slices <provender.ingestion.slices>`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import and_
from pathlib import Path

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from provender.errors import SqlError
from provender.ingestion.narrowing import Declared, declared_columns, narrowing_error
from provender.ingestion.slices import SLICE, Slice, is_simple, slices_frame
from provender.ingestion.version_diff import has_null_key
from provender.intervals import Cadence
from provender.specs.source import (
    CREATED_TIMESTAMP,
    EVENT_TIMESTAMP,
    ColumnType,
    FeatureTable,
    Source,
)
from provender.specs.sql import as_checked, per_slice
from provender.tables.tables import DELETED, PERIOD, key_types
from provender.tables.types import DDL, quoted

_PERIOD_LENGTH = {
    Cadence.HOURLY: "INTERVAL 1 HOUR",
    Cadence.DAILY: "INTERVAL 1 DAY",
    Cadence.WEEKLY: "INTERVAL 7 DAY",
    Cadence.MONTHLY: "INTERVAL 1 MONTH",
}


@dataclass(frozen=True)
class Query:
    """The SQL of a derived table, and the file it is in."""

    text: str
    path: Path


def desired_versions(
    source: Source,
    table: FeatureTable,
    sql: Query | None,
    raw: DataFrame,
    slices: Sequence[Slice],
) -> DataFrame:
    """The versions that ``raw`` (all accepted rows of the periods in question) asks for.

    ``sql`` and ``slices`` (those of ``raw``) are for derived tables.

    Columns: the table's keys and features, ``event_timestamp``, ``created_timestamp``, ``period``, ``deleted``.
    Several versions of one (keys, event timestamp) have distinct created timestamps. Keys of a derived table are
    null where its SQL makes them null, in one row for each such group; those versions are counted, not stored.

    Raises :class:`SqlError` for columns that the SQL does not give or gives in a type that cannot become the
    declared one. A value that does not fit its declared type fails the frame's computation, in an error for which
    :func:`provender.ingestion.narrowing.is_narrowing` holds; :func:`explain_narrowing` then names the rows.
    """
    if sql is None:
        return _as_it_is(source, table, raw)
    return _derived(source, table, sql, raw, slices)


def explain_narrowing(
    source: Source, table: FeatureTable, sql: Query, raw: DataFrame, slices: Sequence[Slice]
) -> SqlError:
    """Name the first values that do not fit their declared types. Runs the SQL of :func:`desired_versions` again."""
    results = _run(source, sql, raw, slices, slices_frame(raw.sparkSession, slices))
    columns = _declared(source, table, sql, results)
    return narrowing_error(source, table.name, table.keys, results, columns, str(sql.path))


def versions_schema(source: Source, table: FeatureTable) -> str:
    """DDL of :func:`desired_versions`."""
    columns = [f"{quoted(name)} {kind}" for name, kind in _output_types(source, table).items()]
    times = [f"{name} timestamp" for name in (EVENT_TIMESTAMP, CREATED_TIMESTAMP, PERIOD)]
    return ", ".join([*columns, *times, f"{DELETED} boolean"])


def _as_it_is(source: Source, table: FeatureTable, raw: DataFrame) -> DataFrame:
    """Among copies with equal keys, event and created timestamp the one delivered last counts."""
    keys = [quoted(key) for key in table.keys]
    features = [quoted(feature.name) for feature in source.features_of(table)]
    payload = F.struct("_delivered", "_partition", "_file", *features)
    newest = raw.groupBy(*keys, "_event", "_created", "_period").agg(F.max(payload).alias("_row"))
    return newest.select(
        *keys,
        *[F.col("_row").getField(name.strip("`")).alias(name.strip("`")) for name in features],
        F.col("_event").alias(EVENT_TIMESTAMP),
        F.col("_created").alias(CREATED_TIMESTAMP),
        F.col("_period").alias(PERIOD),
        F.lit(False).alias(DELETED),
    )


def _derived(
    source: Source,
    table: FeatureTable,
    sql: Query,
    raw: DataFrame,
    slices: Sequence[Slice],
) -> DataFrame:
    places = slices_frame(raw.sparkSession, slices)
    results = _typed(source, table, sql, _run(source, sql, raw, slices, places))
    complete = results.join(places, SLICE).withColumn(DELETED, F.lit(False))
    if source.created_timestamp is None:
        # Known when its slice was: if a row was taken back, no remaining row says when.
        complete = complete.withColumn("_created", F.col("_level"))
    if not is_simple(slices):
        complete = _with_absences(table, complete, places)
        if source.created_timestamp is not None:
            complete = _in_order_of_delivery(table, complete)
    return complete.select(
        *[quoted(key) for key in table.keys],
        *[quoted(feature.name) for feature in source.features_of(table)],
        F.expr(f"`_period` + {_PERIOD_LENGTH[source.cadence]}").alias(EVENT_TIMESTAMP),
        F.col("_created").alias(CREATED_TIMESTAMP),
        F.col("_period").alias(PERIOD),
        F.col(DELETED),
    )


def _in_order_of_delivery(table: FeatureTable, versions: DataFrame) -> DataFrame:
    """Created timestamps of the raw rows' own need not follow the order in which rows were delivered: a version is
    never created before the one it supersedes, and of several with one created timestamp the last one counts."""
    group = ["_period", *[quoted(key) for key in table.keys]]
    so_far = (
        Window.partitionBy(*group).orderBy("_level").rowsBetween(Window.unboundedPreceding, Window.currentRow)
    )
    ordered = versions.withColumn("_created", F.max("_created").over(so_far))
    last = F.max("_level").over(Window.partitionBy(*group, "_created"))
    return ordered.withColumn("_last", last).where(F.col("_level") == F.col("_last"))


def _run(source: Source, sql: Query, raw: DataFrame, slices: Sequence[Slice], places: DataFrame) -> DataFrame:
    known = (F.col("raw._period") == F.col("slices._period")) & (
        F.col("raw._delivered") <= F.col("slices._level")
    )
    # The SQL sees the spec's columns, and no more of ours than it must.
    seen = [F.col(f"raw.{quoted(column.name)}") for column in source.columns]
    sliced = raw.alias("raw").join(places.alias("slices"), known)
    sliced = sliced.select(*seen, "raw._created", f"slices.{SLICE}")
    rewritten = per_slice(sql.text, source.name, path=sql.path, cadence=source.cadence)
    if rewritten is not None:
        sliced.createOrReplaceTempView(source.name)
        return raw.sparkSession.sql(rewritten)
    return _slice_by_slice(source, sql, sliced, slices)


def _slice_by_slice(source: Source, sql: Query, sliced: DataFrame, slices: Sequence[Slice]) -> DataFrame:
    """For SQL that cannot run on many slices at once: run it on each."""
    spark = sliced.sparkSession
    results: list[DataFrame] = []
    text = as_checked(sql.text)
    for one in slices:
        rows = sliced.where(F.col(SLICE) == one.name)
        view = f"{source.name}_{len(results)}"
        rows.drop(SLICE, "_created").createOrReplaceTempView(view)
        newest = rows.agg(F.max("_created").alias("_created"))
        query = f"WITH {quoted(source.name)} AS (SELECT * FROM {quoted(view)}) SELECT * FROM ({text})"
        results.append(spark.sql(query).crossJoin(newest).withColumn(SLICE, F.lit(one.name)))
    union = results[0]
    for result in results[1:]:
        union = union.unionByName(result)
    return union


def _output_types(source: Source, table: FeatureTable) -> dict[str, str]:
    return key_types(source, table) | {
        feature.name: DDL[feature.type] for feature in source.features_of(table)
    }


def _declared(source: Source, table: FeatureTable, sql: Query, results: DataFrame) -> list[Declared]:
    """The declared columns, keys first, with the types that the SQL gives.

    Raises :class:`SqlError` naming the columns the SQL does not give, or gives in a type that never fits.
    """
    wanted: dict[str, ColumnType] = {
        column.name: column.type for column in (*source.keys_of(table), *source.features_of(table))
    }
    missing = [name for name in wanted if name not in results.columns]
    if missing:
        raise SqlError(
            f"{source.name}.{table.name}: the query does not return column {', '.join(missing)}; "
            f"it gives {', '.join(name for name in results.columns if not name.startswith('_'))}",
            where=str(sql.path),
            not_affected="everything committed before; nothing of this attempt was written",
            remedy="name the column in the SQL, or correct keys and features in the spec",
        )
    return declared_columns(f"{source.name}.{table.name}", wanted, results, str(sql.path))


def _typed(source: Source, table: FeatureTable, sql: Query, results: DataFrame) -> DataFrame:
    """The declared columns with the declared types; a row per key and slice, and one per group with a null key."""
    columns = _declared(source, table, sql, results)
    typed = results.select(SLICE, "_created", *[column.converted(table.keys) for column in columns])
    return _one_row_a_key(source, table, typed)


def _one_row_a_key(source: Source, table: FeatureTable, typed: DataFrame) -> DataFrame:
    keys = [quoted(key) for key in table.keys]
    values = F.struct("_created", *[quoted(feature.name) for feature in source.features_of(table)])
    problem = F.concat(
        F.lit(f"{table.name}: the query returns more than one row per key: "),
        F.to_json(F.struct(*keys)),
        F.lit("; group by the keys"),
    )
    row = F.first(values)
    several = (F.count("*") > 1) & ~has_null_key(table.keys)
    counted = typed.groupBy(SLICE, *keys).agg(
        F.when(several, F.raise_error(problem)).otherwise(row).alias("_row")
    )
    return counted.select(SLICE, *keys, "_row.*")


def _with_absences(table: FeatureTable, present: DataFrame, places: DataFrame) -> DataFrame:
    """Adds ``deleted`` rows where a key of an earlier slice of a period is not in a later one (a HAVING, say)."""
    keys = [quoted(key) for key in table.keys]
    first_seen = present.groupBy("_period", *keys).agg(F.min("_level").alias("_first_level"))
    expected = first_seen.join(places, "_period").where(F.col("_level") > F.col("_first_level"))
    # Null keys are groups too here: of each it is counted whether it is there in the newest slice.
    same = [F.col(f"expected.{name}").eqNullSafe(F.col(f"there.{name}")) for name in (SLICE, *keys)]
    there = present.select(SLICE, *keys).alias("there")
    absent = expected.alias("expected").join(there, reduce(and_, same), "left_anti")
    return present.unionByName(
        absent.select(
            SLICE,
            "_period",
            "_level",
            *keys,
            F.col("_level").alias("_created"),
            F.lit(True).alias(DELETED),
        ),
        allowMissingColumns=True,
    )


def in_periods(column: str, ranges: Iterable[tuple[str, str]]) -> Column:
    """Whether ``column`` lies in one of the half-open ``[start, end)`` ranges, given as ISO times."""
    condition = F.lit(False)
    for start, end in ranges:
        moment = F.col(quoted(column))
        condition = condition | (
            (moment >= F.lit(start).cast("timestamp")) & (moment < F.lit(end).cast("timestamp"))
        )
    return condition

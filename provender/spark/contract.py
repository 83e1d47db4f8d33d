"""The contract, row by row: staged rows in, the same rows typed and with the reasons they break it out.

Reasons are short and stable, since people filter by them:

    malformed                 the line has too few or too many fields, or is no JSON object
    missing_column:<column>   the file has no such column (a JSON file has all of them)
    null:<column>             a required value is null
    wrong_type:<column>       the value is not of the column's type (overflow included)
    not_finite:<column>       NaN or infinity
    below_min:<column>        under ``min``          above_max:<column>    over ``max``
    not_allowed:<column>      not among ``allowed``  too_long:<column>     over ``max_length``
    nonexistent_time:<column> a wall time that a clock change skipped
    too_late                  the row's period began more than ``lateness`` before the partition that brings it
    after_partition           the row's event timestamp is not before the partition's end
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from pyspark.sql import Column as Expr
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from provender.intervals import Cadence, Partition, iso
from provender.spark.parse import Parsed, parse, parse_time
from provender.spark.staged import CORRUPT, PATH, StagedGroup, read_groups
from provender.spark.types import DDL, quoted
from provender.specs.model import Column, ColumnType, Source, Timestamp
from provender.storage import Storage

DEFAULT_MAX_LENGTH = 1 << 20
WAIVABLE = ("too_late", "after_partition", "below_min", "above_max", "not_allowed", "too_long", "null")
"""Reasons a person may admit rows with; the others leave no value that could be admitted."""

_TRUNC = {Cadence.HOURLY: "hour", Cadence.DAILY: "day", Cadence.WEEKLY: "week", Cadence.MONTHLY: "month"}


def checked_rows(
    spark: SparkSession,
    storage: Storage,
    source: Source,
    staged: dict[str, dict[str, Any]],
    waived: dict[str, tuple[str, ...]],
) -> DataFrame:
    """One row per staged row of the given partitions.

    Columns: ``_partition``, ``_period`` (starts, timestamp), ``_delivered``, ``_created``, ``_event``
    (timestamp), ``_file`` (string), the spec's columns (typed), ``_reasons`` (array of string, empty for an
    accepted row), ``_raw`` (JSON of the row as delivered, null for an accepted row).
    """
    groups = read_groups(spark, storage, source, staged)
    frames = [_checked_group(source, group, _deliveries(spark, source, staged)) for group in groups]
    if not frames:
        return spark.createDataFrame([], checked_schema(source))
    rows = frames[0]
    for frame in frames[1:]:
        rows = rows.unionByName(frame)
    return _without_waived(rows, source, {key: reasons for key, reasons in waived.items() if key in staged})


def checked_schema(source: Source) -> str:
    """DDL of :func:`checked_rows`."""
    columns = ", ".join(f"{quoted(c.name)} {DDL[c.type]}" for c in source.columns)
    times = ", ".join(
        f"{name} timestamp" for name in ("_partition", "_period", "_delivered", "_created", "_event")
    )
    return f"{times}, _file string, {columns}, _reasons array<string>, _raw string"


def _deliveries(spark: SparkSession, source: Source, staged: dict[str, dict[str, Any]]) -> DataFrame:
    """A small frame: partition key, its start and end, and when its rows became known."""
    rows = []
    for key, entry in staged.items():
        partition = Partition.parse(source.cadence, key)
        rows.append((key, iso(partition.start), iso(partition.end), entry["delivered"]))
    frame = spark.createDataFrame(rows, "_key string, _partition string, _end string, _delivered string")
    times = [F.col(name).cast("timestamp").alias(name) for name in ("_partition", "_end", "_delivered")]
    return F.broadcast(frame.select("_key", *times))


def _checked_group(source: Source, group: StagedGroup, deliveries: DataFrame) -> DataFrame:
    # The end of the path: the storage root may have any name.
    key = F.regexp_extract(F.col(PATH), rf"staging/{source.name}/([^/]+)/[^/]+/[^/]+$", 1)
    frame = group.frame.withColumn("_key", key).join(deliveries, "_key")
    found_types = dict(group.frame.dtypes)
    types = {name: found_types[ours] for name, ours in group.columns.items()}
    values: list[Expr] = []
    reasons: list[Expr] = [F.when(F.col(CORRUPT).isNotNull(), F.lit("malformed"))]
    required = _required(source)
    for column in source.columns:
        if column.name not in types:
            values.append(F.lit(None).cast(DDL[column.type]).alias(column.name))
            reasons.append(F.lit(f"missing_column:{column.name}"))
            continue
        parsed = _parse_column(source, column, F.col(group.columns[column.name]), types[column.name])
        values.append(parsed.value.alias(column.name))
        reasons.extend(_violations(column, column.name in required, parsed))
    event = _time(source.event_timestamp, group, types)
    created = _time(source.created_timestamp, group, types) if source.created_timestamp else None
    for how, read in ((source.event_timestamp, event), (source.created_timestamp, created)):
        if how and read:
            reasons.extend(_time_violations(how, read))
    period = F.date_trunc(_TRUNC[source.cadence], event.value)
    reasons.extend(_placement_violations(source, event.value, period))
    as_delivered = F.to_json(
        F.struct(
            *[F.col(ours).alias(name) for name, ours in group.columns.items()], F.col(CORRUPT).alias("_line")
        )
    )
    found = frame.select(
        "_partition",
        period.alias("_period"),
        "_delivered",
        (created.value if created else F.col("_delivered")).alias("_created"),
        event.value.alias("_event"),
        F.col(PATH).alias("_file"),
        *values,
        F.array_distinct(F.array_compact(F.array(*reasons))).alias("_reasons"),
        as_delivered.alias("_raw"),
    )
    return found.withColumn("_raw", F.when(F.size("_reasons") > 0, F.substring("_raw", 1, 1 << 16)))


def _required(source: Source) -> set[str]:
    """Columns that may not be null: those that say so, and the keys of tables taken as they are."""
    keys = {key for table in source.tables if not table.is_derived for key in table.keys}
    return keys | {column.name for column in source.columns if column.required}


def _parse_column(source: Source, column: Column, raw: Expr, spark_type: str) -> Parsed:
    if source.raw.format == "csv" and spark_type == "string" and column.type is not ColumnType.STRING:
        raw = F.when(F.trim(raw) != "", raw)
    for how in (source.event_timestamp, source.created_timestamp):
        if how and how.column == column.name and column.type is ColumnType.TIMESTAMP:
            return parse_time(raw, spark_type, how)
    return parse(raw, spark_type, column.type)


def _time(how: Timestamp, group: StagedGroup, types: dict[str, str]) -> Parsed:
    if how.column not in types:
        nothing = F.lit(None).cast("timestamp")
        return Parsed(nothing, F.lit(False))
    raw, spark_type = F.col(group.columns[how.column]), types[how.column]
    if spark_type == "string":
        raw = F.when(F.trim(raw) != "", raw)
    return parse_time(raw, spark_type, how)


def _violations(column: Column, required: bool, parsed: Parsed) -> Iterator[Expr]:
    name, value = column.name, parsed.value

    def unless(condition: Expr, reason: str) -> Expr:
        return F.when(condition, F.lit(f"{reason}:{name}"))

    yield unless(parsed.wrong, "wrong_type")
    if required:
        yield unless(value.isNull() & ~parsed.wrong, "null")
    if column.type in (ColumnType.FLOAT, ColumnType.DOUBLE) and not column.allow_not_finite:
        yield unless(F.isnan(value) | (F.abs(value) == float("inf")), "not_finite")
    # The bound as the column would hold it: 0.9 as FLOAT is less than 0.9 as DOUBLE, and within "max: 0.9".
    kind = "float" if column.type is ColumnType.FLOAT else "double"
    if column.min is not None:
        yield unless(value < F.lit(column.min).cast(kind), "below_min")
    if column.max is not None:
        yield unless((value > F.lit(column.max).cast(kind)) & ~F.isnan(value.cast("double")), "above_max")
    if column.allowed is not None:
        yield unless(~value.isin(*column.allowed), "not_allowed")
    if column.type is ColumnType.STRING:
        yield unless(F.length(value) > (column.max_length or DEFAULT_MAX_LENGTH), "too_long")


def _time_violations(how: Timestamp, parsed: Parsed) -> Iterator[Expr]:
    yield F.when(parsed.wrong, F.lit(f"wrong_type:{how.column}"))
    yield F.when(parsed.value.isNull() & ~parsed.wrong, F.lit(f"null:{how.column}"))
    if parsed.nonexistent is not None:
        yield F.when(parsed.nonexistent, F.lit(f"nonexistent_time:{how.column}"))


def _placement_violations(source: Source, event: Expr, period: Expr) -> Iterator[Expr]:
    lateness = source.lateness // timedelta(microseconds=1)
    latest = F.timestamp_micros(F.unix_micros(period) + F.lit(lateness))
    yield F.when(F.col("_partition") > latest, F.lit("too_late"))
    yield F.when(event >= F.col("_end"), F.lit("after_partition"))


def _without_waived(rows: DataFrame, source: Source, waived: dict[str, tuple[str, ...]]) -> DataFrame:
    """``waived``: per partition key reasons, with a column or for all columns (``above_max:fare``, ``above_max``)."""
    kept_always = [f"null:{name}" for name in _indispensable(source)]
    for key, reasons in waived.items():
        start = F.lit(iso(Partition.parse(source.cadence, key).start)).cast("timestamp")
        here = F.col("_partition") == start
        kept = F.filter("_reasons", _keeps(reasons, kept_always))
        rows = rows.withColumn("_reasons", F.when(here, kept).otherwise(F.col("_reasons")))
    return rows


def _keeps(waived: tuple[str, ...], kept_always: list[str]) -> Callable[[Expr], Expr]:
    def keeps(reason: Expr) -> Expr:
        kind = F.substring_index(reason, ":", 1)
        return ~(reason.isin(*waived) | kind.isin(*waived)) | reason.isin(*kept_always)

    return keeps


def _indispensable(source: Source) -> set[str]:
    """Columns without which a row has no place in a table."""
    times = {how.column for how in (source.event_timestamp, source.created_timestamp) if how}
    return times | {key for table in source.tables if not table.is_derived for key in table.keys}

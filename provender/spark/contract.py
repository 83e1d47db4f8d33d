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

Violation = tuple[Expr, str]
"""A condition (null counts as false) and the reason it gives."""

_EVENT, _CREATED = "<event>", "<created>"
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
    """Three steps, each of which reads what the one before computed: values, then reasons, then the row as it was.

    In one step Spark would parse a value again for every check on it, and write every good row as JSON.
    """
    types = dict(group.frame.dtypes)
    parsed = _parsed_columns(source, group, {name: types[ours] for name, ours in group.columns.items()})
    # The end of the path: the storage root may have any name.
    key = F.substring_index(F.substring_index(PATH, "/", -3), "/", 1)
    located = group.frame.withColumn("_key", key).join(deliveries, "_key")
    values = located.select("*", *_columns_of(parsed))
    judged = _judged(source, group, values, {name: _reference(name, p) for name, p in parsed.items()})
    as_delivered = F.to_json(
        F.struct(
            *[F.col(ours).alias(name) for name, ours in group.columns.items()], F.col(CORRUPT).alias("_line")
        )
    )
    return judged.select(
        "_partition",
        "_period",
        "_delivered",
        F.col(_value(_CREATED) if _CREATED in parsed else "_delivered").alias("_created"),
        F.col(_value(_EVENT)).alias("_event"),
        F.col(PATH).alias("_file"),
        *[
            F.col(_value(column.name)).alias(column.name)
            if column.name in parsed
            else F.lit(None).cast(DDL[column.type]).alias(column.name)
            for column in source.columns
        ],
        "_reasons",
        F.when(F.size("_reasons") > 0, F.substring(as_delivered, 1, 1 << 16)).alias("_raw"),
    )


def _parsed_columns(source: Source, group: StagedGroup, types: dict[str, str]) -> dict[str, Parsed]:
    """Every column of the spec that the files have, and the event and created timestamps under their own names."""
    parsed = {
        column.name: _parse_column(source, column, F.col(group.columns[column.name]), types[column.name])
        for column in source.columns
        if column.name in types
    }
    parsed[_EVENT] = _time(source.event_timestamp, group, types)
    if source.created_timestamp:
        parsed[_CREATED] = _time(source.created_timestamp, group, types)
    return parsed


def _value(name: str) -> str:
    return f"_v:{name}"


def _columns_of(parsed: dict[str, Parsed]) -> Iterator[Expr]:
    for name, read in parsed.items():
        yield read.value.alias(_value(name))
        yield read.present.alias(f"_p:{name}")
        if read.nonexistent is not None:
            yield read.nonexistent.alias(f"_n:{name}")


def _reference(name: str, read: Parsed) -> Parsed:
    """The same, as columns that are there already."""
    nonexistent = None if read.nonexistent is None else F.col(quoted(f"_n:{name}"))
    return Parsed(F.col(quoted(_value(name))), F.col(quoted(f"_p:{name}")), nonexistent)


def _judged(source: Source, group: StagedGroup, values: DataFrame, parsed: dict[str, Parsed]) -> DataFrame:
    """Adds ``_period`` and ``_reasons``."""
    found = values.withColumn("_period", F.date_trunc(_TRUNC[source.cadence], parsed[_EVENT].value))
    violations = [*_all_violations(source, parsed)]
    any_of = _any([condition for condition, _ in violations])
    reasons = F.array_compact(
        F.array(*[F.when(condition, F.lit(reason)) for condition, reason in violations])
    )
    # Most rows break nothing: they pay for the conditions, not for the array.
    nothing = F.array().cast("array<string>")
    broken = F.when(F.coalesce(any_of, F.lit(False)), F.array_distinct(reasons)).otherwise(nothing)
    return found.withColumn("_reasons", broken)


def _any(conditions: list[Expr]) -> Expr:
    """Whether one is true. A balanced tree: a chain of a hundred is nested deeper than Spark Connect reads."""
    if len(conditions) == 1:
        return conditions[0]
    middle = len(conditions) // 2
    return _any(conditions[:middle]) | _any(conditions[middle:])


def _all_violations(source: Source, parsed: dict[str, Parsed]) -> Iterator[Violation]:
    yield F.col(CORRUPT).isNotNull(), "malformed"
    required = _required(source)
    for column in source.columns:
        if column.name in parsed:
            yield from _violations(column, column.name in required, parsed[column.name])
        else:
            yield F.lit(True), f"missing_column:{column.name}"
    yield from _time_violations(source.event_timestamp, parsed[_EVENT])
    if source.created_timestamp:
        yield from _time_violations(source.created_timestamp, parsed[_CREATED])
    yield from _placement_violations(source, parsed[_EVENT].value)


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


def _violations(column: Column, required: bool, parsed: Parsed) -> Iterator[Violation]:
    name, value = column.name, parsed.value
    yield parsed.wrong, f"wrong_type:{name}"
    if required:
        yield ~parsed.present, f"null:{name}"
    if column.type in (ColumnType.FLOAT, ColumnType.DOUBLE) and not column.allow_not_finite:
        yield F.isnan(value) | (F.abs(value) == float("inf")), f"not_finite:{name}"
    # The bound as the column would hold it: 0.9 as FLOAT is less than 0.9 as DOUBLE, and within "max: 0.9".
    kind = "float" if column.type is ColumnType.FLOAT else "double"
    if column.min is not None:
        yield value < F.lit(column.min).cast(kind), f"below_min:{name}"
    if column.max is not None:
        yield (value > F.lit(column.max).cast(kind)) & ~F.isnan(value.cast("double")), f"above_max:{name}"
    if column.allowed is not None:
        yield ~value.isin(*column.allowed), f"not_allowed:{name}"
    if column.type is ColumnType.STRING:
        yield F.length(value) > (column.max_length or DEFAULT_MAX_LENGTH), f"too_long:{name}"


def _time_violations(how: Timestamp, parsed: Parsed) -> Iterator[Violation]:
    yield parsed.wrong, f"wrong_type:{how.column}"
    yield ~parsed.present, f"null:{how.column}"
    if parsed.nonexistent is not None:
        yield parsed.nonexistent, f"nonexistent_time:{how.column}"


def _placement_violations(source: Source, event: Expr) -> Iterator[Violation]:
    lateness = source.lateness // timedelta(microseconds=1)
    latest = F.timestamp_micros(F.unix_micros("_period") + F.lit(lateness))
    yield F.col("_partition") > latest, "too_late"
    yield event >= F.col("_end"), "after_partition"


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

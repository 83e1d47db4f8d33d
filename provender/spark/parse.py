"""One raw value to one typed value, or a reason why not: Spark column expressions.

Text (CSV, JSON) and typed values (Parquet) come in; nothing raises on a bad value, it becomes null and the
caller is told by a condition.
"""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import Column
from pyspark.sql import functions as F

from provender.spark.types import DDL
from provender.specs.model import ColumnType, Timestamp

_INTEGERS = (ColumnType.INT32, ColumnType.INT64)
_FRACTIONS = ("float", "double", "decimal")
_FLOATS = (ColumnType.FLOAT, ColumnType.DOUBLE)
_MICROS = {"epoch_s": 1_000_000, "epoch_ms": 1_000, "epoch_us": 1}
_OFFSET_LETTERS = set("XxZzVO")


@dataclass(frozen=True)
class Parsed:
    """A typed value, and what has to be known to tell why it is null."""

    value: Column
    present: Column
    """Whether there was anything to read."""
    nonexistent: Column | None = None
    """For wall times: true where a clock change skipped that time."""

    @property
    def wrong(self) -> Column:
        """True where a value was there but could not be read."""
        return self.present & self.value.isNull()


def parse(raw: Column, spark_type: str, wanted: ColumnType) -> Parsed:
    """``raw`` of ``spark_type`` (a ``DataFrame.dtypes`` name) as ``wanted``."""
    if wanted is ColumnType.TIMESTAMP:
        return parse_time(raw, spark_type, Timestamp(column="timestamp"))
    if spark_type == "string":
        value = _from_text(raw, wanted)
    elif not _holds(spark_type, wanted):
        value = F.lit(None).cast(DDL[wanted])
    elif wanted in _INTEGERS and spark_type.startswith(_FRACTIONS):
        whole = raw.try_cast(DDL[wanted])
        value = F.when(whole.cast("decimal(38,0)") == raw.try_cast("decimal(38,18)"), whole)
        if spark_type in ("float", "double"):
            value = F.when(whole.cast("double") == raw.cast("double"), whole)
    else:
        value = raw.try_cast(DDL[wanted])
    return Parsed(value, raw.isNotNull())


def _holds(spark_type: str, wanted: ColumnType) -> bool:
    """Whether a typed value (Parquet's) can mean one of type ``wanted``; Spark itself would cast more than that,
    or refuse the whole query."""
    is_number = spark_type in ("tinyint", "smallint", "int", "bigint") or spark_type.startswith(_FRACTIONS)
    if wanted is ColumnType.BYTES:
        return spark_type == "binary"
    if wanted is ColumnType.STRING:
        return is_number or spark_type in ("boolean", "date", "timestamp", "timestamp_ntz")
    if wanted is ColumnType.BOOL:
        return spark_type == "boolean"
    return is_number


def _from_text(raw: Column, wanted: ColumnType) -> Column:
    if wanted is ColumnType.STRING:
        return raw
    if wanted is ColumnType.BYTES:
        return F.try_to_binary(raw, F.lit("base64"))
    text = F.trim(raw)
    if wanted in _INTEGERS:
        # Exports of nullable integers write 517.0 for 517; the value is the same.
        text = F.when(F.contains(text, F.lit(".")), F.regexp_replace(text, r"\.0*$", "")).otherwise(text)
        return text.try_cast(DDL[wanted])
    if wanted in _FLOATS:
        # Java reads 1d and 1f as numbers; a person does not.
        suffixed = F.lower(F.right(text, F.lit(1))).isin("d", "f") & ~F.lower(text).endswith("inf")
        return F.when(~suffixed, text.try_cast("double")).cast(DDL[wanted])
    return text.try_cast(DDL[wanted])


def parse_time(raw: Column, spark_type: str, how: Timestamp) -> Parsed:
    """``raw`` as a UTC timestamp in microseconds, read as ``how`` says."""
    if spark_type in ("timestamp", "timestamp_ntz", "date"):
        wall = raw.cast("timestamp")
        return _in_zone(raw, wall, how.zone if spark_type != "timestamp" else "UTC")
    if spark_type != "string" and not _holds(spark_type, ColumnType.STRING):
        return Parsed(F.lit(None).cast("timestamp"), raw.isNotNull())
    if how.format in _MICROS:
        number = F.trim(raw) if spark_type == "string" else raw
        micros = (number.try_cast("decimal(30,6)") * F.lit(_MICROS[how.format])).try_cast("bigint")
        in_range = micros.between(-62_135_596_800_000_000, 253_402_300_799_999_999)
        return Parsed(F.timestamp_micros(F.when(in_range, micros)), raw.isNotNull())
    text = F.trim(raw.cast("string"))
    if how.format == "iso":
        # Spark also reads "12:30" (as today) and "2013" (as a date): a moment names its day.
        dated = (F.substring(text, 5, 1) == "-") & (F.substring(text, 8, 1) == "-") & (F.length(text) >= 10)
        read = F.when(dated, text.try_cast("timestamp"))
        if how.zone == "UTC":
            return _in_zone(raw, read, "UTC")
        absolute = text.rlike(r"\d{2}:\d{2}.*(Z|[+-]\d{2}(:?\d{2})?)$")
        local = _in_zone(raw, read, how.zone)
        skipped = local.nonexistent & ~absolute if local.nonexistent is not None else None
        return Parsed(F.when(absolute, read).otherwise(local.value), raw.isNotNull(), skipped)
    read = F.try_to_timestamp(text, F.lit(how.format))
    names_offset = any(letter in how.format for letter in _OFFSET_LETTERS)
    return _in_zone(raw, read, "UTC" if names_offset else how.zone)


def _in_zone(raw: Column, wall: Column, zone: str) -> Parsed:
    if zone == "UTC":
        return Parsed(wall, raw.isNotNull())
    moment = F.to_utc_timestamp(wall, zone)
    return Parsed(moment, raw.isNotNull(), nonexistent=F.from_utc_timestamp(moment, zone) != wall)

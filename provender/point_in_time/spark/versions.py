"""The rows of a feature table's log that can matter to a join, as Spark reads them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from provender.point_in_time.duckdb_join import Lookup
from provender.point_in_time.spark.names import CREATED, DELETED, EVENT, RECORDED
from provender.storage import spark_path
from provender.tables import feature_log as logs
from provender.tables.types import quoted


def slots_of(lookup: Lookup) -> dict[str, str]:
    """Slot -> the log's column, in the order of the lookup's features."""
    kinds = [str(lookup.log.schema.field(column).type) for column in lookup.features.values()]
    seen: Counter[str] = Counter()
    slots = {}
    for kind, column in zip(kinds, lookup.features.values(), strict=True):
        slots[f"{kind} {seen[kind]}"] = column
        seen[kind] += 1
    return slots


def read_versions(
    spark: SparkSession,
    lookup: Lookup,
    bounds: logs.Bounds,
    created_to: datetime | None,
    keys: Mapping[str, str],
) -> DataFrame:
    """Versions within ``bounds`` (ends included) and created at or before ``created_to``: ``keys`` (own name -> the
    log's column), ``event``, ``created``, ``recorded`` (microseconds), ``deleted``, and the features in their slots.

    Delta skips the files whose statistics rule them out; Parquet skips row groups. A version whose key is null
    matches nothing and is left out.
    """
    reader = spark.read.format("delta").option("versionAsOf", lookup.log.version)
    frame = reader.load(spark_path(lookup.log.uri))
    for condition in _conditions(bounds, created_to):
        frame = frame.where(condition)
    for column in keys.values():
        frame = frame.where(F.col(quoted(column)).isNotNull())
    return frame.select(
        *[_key(lookup, column).alias(name) for name, column in keys.items()],
        F.unix_micros(logs.EVENT).alias(EVENT),
        F.unix_micros(logs.CREATED).alias(CREATED),
        F.unix_micros(logs.RECORDED).alias(RECORDED),
        F.col(logs.DELETED).alias(DELETED),
        *[F.col(quoted(column)).alias(slot) for slot, column in slots_of(lookup).items()],
    )


def state(slots: Sequence[str]) -> Column:
    """``event`` and the features as one struct."""
    return F.struct(EVENT, *[F.col(quoted(slot)) for slot in slots])


def _key(lookup: Lookup, column: str) -> Column:
    """Whole numbers as 64 bits, as in the staged entity rows."""
    value = F.col(quoted(column))
    kind = lookup.log.schema.field(column).type
    return value.cast("bigint") if pa.types.is_integer(kind) else value


def _conditions(bounds: logs.Bounds, created_to: datetime | None) -> list[Column]:
    limits = [
        (logs.EVENT, ">=", bounds.event_from),
        (logs.EVENT, "<=", bounds.event_to),
        (logs.RECORDED, "<=", bounds.recorded_to),
        (logs.CREATED, "<=", created_to),
    ]
    return [F.expr(f"{column} {sign} {_literal(m)}") for column, sign, m in limits if m is not None]


def _literal(moment: datetime) -> str:
    return f"TIMESTAMP '{moment.astimezone(UTC).isoformat(sep=' ')}'"

"""What the join reads: entity rows staged as a file, and the versions of each feature table that can matter.

Columns of both, which no column of a user reaches: a key column is ``k0``, ``k1``, …; an output column ``o0``, ``o1``,
…; all times are whole microseconds since the epoch. Features travel in *slots*, named by their type and a number:
views share them, so a row is as wide as the widest view.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from provender.point_in_time.duckdb_join import Lookup, key_column, micros
from provender.storage import Storage, spark_path
from provender.tables import feature_log as logs
from provender.tables.types import quoted

ROW = "row"
"""Number of the entity row, from 0; null in a version."""
AT = "at"
"""When the row takes effect: an entity row's t; when a version can first be the answer."""
MOMENT = "moment"
"""``at`` and the row's place among rows of that time in one number: ``at * PLACES + place``."""
PLACES = 32
"""Times to the year 9999 leave room for so many; the last place is the entity rows'."""
CREATED = "created"
RECORDED = "recorded"
EVENT = "event"
"""Event timestamp; null: nothing is there (from then on)."""
DELETED = "deleted"
SLICE = "slice"
"""Which stretch of its time a row of a hot key is in; 0 for the other keys."""
BOUNDS = "bounds"


@dataclass(frozen=True)
class StagedRows:
    """A Parquet file of entity rows: ``row``, ``at``, keys ``k0``…; and, if asked for, all they came with: ``c0``…"""

    uri: str
    schema: pa.Schema
    count: int
    least: int | None
    """Microseconds of the earliest row; None if no row has a time."""
    greatest: int | None

    gaps: bool
    """Whether some row has a null key."""
    sample: pa.Table
    """Some of the rows: keys and ``at``."""

    @property
    def keys(self) -> list[str]:
        return [name for name in self.schema.names if name.startswith("k")]

    @property
    def carried(self) -> list[str]:
        return [name for name in self.schema.names if name.startswith("c")]


def staged_keys(lookups: Sequence[Lookup]) -> dict[tuple[str, str], str]:
    """(Entity column, type it is compared as) -> ``k0``, ``k1``, …."""
    pairs = dict.fromkeys(compared(lookup, entity) for lookup in lookups for entity in lookup.keys)
    return {pair: f"k{i}" for i, pair in enumerate(pairs)}


def compared(lookup: Lookup, entity: str) -> tuple[str, str]:
    """The entity column with the type it is compared as: whole numbers have one width."""
    kind = lookup.log.schema.field(lookup.keys[entity]).type
    return entity, "int64" if pa.types.is_integer(kind) else str(kind)


def stage_rows(
    storage: Storage,
    path: str,
    batches: Iterable[pa.Table],
    timestamp_column: str,
    lookups: Sequence[Lookup],
    *,
    carry: bool,
) -> StagedRows:
    """Writes ``batches`` (one at least) of entity rows to ``path``, one at a time.

    Raises :class:`TerminalError` for a key whose type cannot be compared with a log's.
    """
    tally = _Tally()
    with storage.writing(path) as file:
        writer = None
        for batch in batches:
            table = _numbered(batch, timestamp_column, lookups, tally.count, carry)
            writer = writer or pq.ParquetWriter(file, table.schema, **_FOR_SPARK)
            writer.write_table(table)
            tally.add(table)
        assert writer is not None, "there was no batch"
        writer.close()
    sample = pa.concat_tables(tally.samples)
    return StagedRows(
        storage.uri(path), table.schema, tally.count, tally.least, tally.greatest, tally.gaps, sample
    )


@dataclass
class _Tally:
    """What is learnt of the rows as they pass."""

    count: int = 0
    least: int | None = None
    greatest: int | None = None
    gaps: bool = False
    samples: list[pa.Table] = field(default_factory=list)
    share: float = 1.0

    def add(self, table: pa.Table) -> None:
        self.count += len(table)
        times = [self.least, self.greatest, *(t.as_py() for t in pc.min_max(table.column(AT)).values())]
        known = [time for time in times if time is not None]
        self.least, self.greatest = min(known, default=None), max(known, default=None)
        keys = table.select([name for name in table.column_names if name == AT or name.startswith("k")])
        self.gaps |= any(column.null_count for column in keys.drop_columns([AT]).columns)
        self.samples.append(self._some(keys, self.share))
        if sum(map(len, self.samples)) > _MOST_SAMPLED:
            self.samples = [self._some(sample, 0.5) for sample in self.samples]
            self.share /= 2

    def _some(self, table: pa.Table, share: float) -> pa.Table:
        chosen = np.random.default_rng(self.count).random(len(table)) < share
        return table.filter(pa.array(chosen))


_MOST_SAMPLED = 200_000
_FOR_SPARK = {"coerce_timestamps": "us", "allow_truncated_timestamps": True}
"""Spark refuses Parquet with nanosecond timestamps."""


def _numbered(
    batch: pa.Table, timestamp_column: str, lookups: Sequence[Lookup], first: int, carry: bool
) -> pa.Table:
    columns = {ROW: pa.array(range(first, first + len(batch)), pa.int64())}
    columns[AT] = micros(batch.column(timestamp_column))
    names = staged_keys(lookups)
    for lookup in lookups:
        for entity in lookup.keys:
            name = names[compared(lookup, entity)]
            if name not in columns:
                columns[name] = key_column(batch, entity, lookup)
    if carry:
        columns |= {f"c{i}": column for i, column in enumerate(batch.columns)}
    return pa.table(columns)


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

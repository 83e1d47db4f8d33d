"""Entity rows on their way to Spark: numbered, with times and keys in types that compare with the logs'."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from provender.point_in_time.duckdb_join import Lookup, key_column, micros
from provender.point_in_time.spark.names import AT, ROW
from provender.storage import Storage


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

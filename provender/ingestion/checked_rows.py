"""Staged files as checked rows: read and checked in Python, by the one reader and the one contract, and given to Spark.

    little   read and checked in this process, and handed over as Arrow
    much     cut into parts, which Spark's Python workers read and check, each in constant memory

Both give the same rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from provender.contract.check import Delivery, check, checked_schema
from provender.errors import ContractError, ProvenderError, error_from_dict
from provender.intervals import Partition
from provender.ledger.records import StagedPartition
from provender.records import Part, read_records, split
from provender.spark.session import SMALL_INPUT_BYTES
from provender.specs.source import Source
from provender.storage import Storage, storage_at
from provender.tables.types import DDL, quoted

_HELD_BYTES = 64 << 20
"""Rows that are handed over from this process are kept in its memory first."""
_PART_BYTES = 16 << 20
_FAILURE = "_failure"


@dataclass(frozen=True)
class StagedFile:
    """A file of a staged partition: where it is in the storage, and what its rows are of."""

    path: str
    name: str
    bytes: int
    delivery: Delivery


def checked_rows(
    spark: SparkSession,
    storage: Storage,
    source: Source,
    staged: Mapping[str, StagedPartition],
    waived: Mapping[str, tuple[str, ...]],
    held_bytes: int = _HELD_BYTES,
) -> DataFrame:
    """Read and check the staged partitions; returns a checkpointed frame, one row per record.

    Columns: those of :func:`provender.contract.check.check`. Raises :class:`ContractError` for a file that is damaged,
    that is not in the encoding its spec names, or whose header names a declared column twice.
    """
    files = staged_files(storage, source, staged, waived)
    if sum(file.bytes for file in files) < SMALL_INPUT_BYTES:
        table = _table(storage, source, files, held_bytes)
        if table is not None:
            # Without rows Arrow's table has no pieces, which Spark cannot take.
            rows: Any = table if table.num_rows else []
            # In one piece: each piece of a few rows would be a file of its own in the raw table.
            return spark.createDataFrame(rows, _ddl(source)).coalesce(1).localCheckpoint()
    return _by_workers(spark, storage, source, files)


def staged_files(
    storage: Storage,
    source: Source,
    staged: Mapping[str, StagedPartition],
    waived: Mapping[str, tuple[str, ...]],
) -> list[StagedFile]:
    """The files of staged partitions that hold a byte, in order."""
    found = []
    for key, entry in staged.items():
        partition, delivered = Partition.parse(source.cadence, key), entry.delivered
        # Older manifests do not say when they were committed: their rows came before now.
        arrived = entry.arrived or datetime.now(UTC)
        for file in entry.files:
            path = f"{entry.folder}/{file.name}"
            is_json = file.format == "json"
            admitted = waived.get(key, ())
            delivery = Delivery(partition, delivered, storage.uri(path), is_json, admitted, arrived)
            if file.bytes:
                found.append(StagedFile(path, file.name, file.bytes, delivery))
    return found


def checked_batches(
    storage: Storage, source: Source, file: StagedFile, part: Part | None = None
) -> Iterator[pa.RecordBatch]:
    """The checked rows of a file, or of a part of it, in order. Raises :class:`ContractError`."""
    declared = [column.name for column in source.columns]
    parts = () if part is None else (part,)
    with storage.open(file.path) as opened:
        try:
            for batch in read_records(opened, file.name, source.raw, declared, *parts):
                yield check(batch, source, file.delivery)
        except ContractError as error:
            raise _of_source(source, file, error) from error


def _of_source(source: Source, file: StagedFile, error: ContractError) -> ContractError:
    """The reader's error with the file's place, and with what is safe."""
    return ContractError(
        f"{source.name}: {error.what}",
        where=file.delivery.file,
        not_affected="the staged copy and everything ingested before",
        remedy=error.remedy,
        source=source.name,
        partitions=(file.delivery.partition.key,),
    )


def _table(storage: Storage, source: Source, files: list[StagedFile], held_bytes: int) -> pa.Table | None:
    """All rows; None if they are more than may be held."""
    batches: list[pa.RecordBatch] = []
    held = 0
    for file in files:
        for batch in checked_batches(storage, source, file):
            held += batch.nbytes
            if held > held_bytes:
                return None
            batches.append(batch)
    return pa.Table.from_batches(batches, checked_schema(source))


def _ddl(source: Source) -> str:
    columns = ", ".join(f"{quoted(c.name)} {DDL[c.type]}" for c in source.columns)
    times = ", ".join(
        f"{name} timestamp" for name in ("_partition", "_period", "_delivered", "_created", "_event")
    )
    return f"{times}, _file string, {columns}, _reasons array<string>, _raw string"


def _by_workers(spark: SparkSession, storage: Storage, source: Source, files: list[StagedFile]) -> DataFrame:
    shares = tuple(_shares(storage, source, files))
    task = _CheckShare(storage.root, source, shares)
    numbers = spark.range(0, len(shares), 1, max(len(shares), 1))
    rows = numbers.mapInArrow(task, f"{_ddl(source)}, {_FAILURE} string").localCheckpoint()  # type: ignore[arg-type]
    failed = rows.where(F.col(_FAILURE).isNotNull()).select(_FAILURE).limit(1).collect()
    if failed:
        raise error_from_dict(json.loads(failed[0][_FAILURE]))
    return rows.drop(_FAILURE)


Share = tuple[tuple[StagedFile, Part], ...]
"""What one task reads."""


def _shares(storage: Storage, source: Source, files: list[StagedFile]) -> Iterator[Share]:
    """Large files in parts, small ones together."""
    waiting: list[tuple[StagedFile, Part]] = []
    size = 0
    for file in files:
        if file.bytes > _PART_BYTES:
            yield from (((file, part),) for part in _parts(storage, source, file))
            continue
        waiting.append((file, Part()))
        size += file.bytes
        if size > _PART_BYTES:
            yield tuple(waiting)
            waiting, size = [], 0
    if waiting:
        yield tuple(waiting)


def _parts(storage: Storage, source: Source, file: StagedFile) -> list[Part]:
    with storage.open(file.path) as opened:
        try:
            return split(opened, file.name, source.raw, _PART_BYTES)
        except ContractError as error:
            raise _of_source(source, file, error) from error


@dataclass(frozen=True)
class _CheckShare:
    """What a worker does with a number: read and check that share. A file that cannot be read is handed back as JSON,
    since what is raised in a worker comes out as a stack of Python within a stack of Java."""

    root: str
    source: Source
    shares: tuple[Share, ...]

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        storage = storage_at(self.root)
        schema = checked_schema(self.source).append(pa.field(_FAILURE, pa.string()))
        for numbers in batches:
            for number in numbers.column(0).to_pylist():
                yield from self._rows(storage, self.shares[number], schema)

    def _rows(self, storage: Storage, share: Share, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        try:
            for file, part in share:
                for batch in checked_batches(storage, self.source, file, part):
                    none = pa.nulls(batch.num_rows, pa.string())
                    yield pa.RecordBatch.from_arrays([*batch.columns, none], schema=schema)
        except ContractError as error:
            yield _failure(schema, error)


def _failure(schema: pa.Schema, error: ProvenderError) -> pa.RecordBatch:
    columns = [
        pa.array([json.dumps(error.to_dict())]) if field.name == _FAILURE else pa.nulls(1, field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)

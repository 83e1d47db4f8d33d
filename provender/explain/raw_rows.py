"""The raw rows that a version is computed from: as the raw table holds them, and where in which file they came."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import deltalake
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from deltalake.exceptions import DeltaError

from provender.contract.check import check
from provender.errors import ProvenderError
from provender.explain.ledger_facts import LedgerFacts
from provender.ingestion.checked_rows import StagedFile, staged_files
from provender.intervals import Partition, as_utc
from provender.records import read_records
from provender.specs.source import FeatureTable, Source
from provender.storage import Storage
from provender.storage.readers import delta_options

MOST_SHOWN = 20
_MOST_SEARCHED_BYTES = 64 << 20


class RawRowsGoneError(Exception):
    """The raw table as it was then cannot be read any more."""


@dataclass(frozen=True)
class RawRow:
    """An accepted raw row and where it came from."""

    partition: str
    file: str
    """URI of the staged copy."""
    record: int | None
    """Its number in the file, from 1; a CSV header is not counted. None: the file was not searched."""
    values: Mapping[str, Any]


@dataclass(frozen=True)
class RawRows:
    """Rows of one period at one version of the raw table."""

    table: pa.Table
    """The raw table's columns."""
    is_of_key: bool
    """Only rows with the key's values; False: the keys are the SQL's own, so these are all rows of the period."""


def read_raw(storage: Storage, source: Source, period: datetime, version: int | None) -> pa.Table:
    """Read the accepted raw rows of a period at a version of the raw table (None: the newest).

    Raises :class:`RawRowsGoneError` where its files were removed by upkeep.
    """
    uri = storage.uri(f"raw/{source.name}")
    try:
        table = deltalake.DeltaTable(uri, version=version, storage_options=delta_options(uri))
        found = table.to_pyarrow_dataset().to_table(filter=ds.field("_period") == pa.scalar(period))
    except (DeltaError, FileNotFoundError, OSError) as error:
        raise RawRowsGoneError(str(error).splitlines()[0][:200]) from error
    return pa.table(found)


def rows_of_key(source: Source, table: FeatureTable, rows: pa.Table, keys: Mapping[str, Any]) -> RawRows:
    """The rows with the key's values, where all keys are raw columns."""
    if not {*keys} <= {column.name for column in source.columns}:
        return RawRows(rows, is_of_key=False)
    for name, value in keys.items():
        wanted = pa.scalar(value, rows.schema.field(name).type)
        rows = rows.filter(pc.fill_null(pc.equal(rows.column(name), wanted), False))
    return RawRows(rows, is_of_key=True)


def located(storage: Storage, source: Source, facts: LedgerFacts, rows: pa.Table) -> list[RawRow]:
    """The first of ``rows``, each with the number of its record in the staged copy that it came in."""
    shown = rows.slice(0, MOST_SHOWN).to_pylist()
    names = [column.name for column in source.columns]
    numbers = _Numbers(storage, source, facts, shown, names)
    return [
        RawRow(
            Partition.holding(source.cadence, as_utc(row["_partition"])).key,
            row["_file"],
            numbers.take(row),
            {name: row[name] for name in names},
        )
        for row in shown
    ]


class _Numbers:
    """The numbers of records that hold given rows; of equal rows each gets its own."""

    def __init__(
        self,
        storage: Storage,
        source: Source,
        facts: LedgerFacts,
        rows: Sequence[Mapping[str, Any]],
        names: Sequence[str],
    ) -> None:
        self._names = names
        wanted = {(row["_file"], self._identity(row)) for row in rows}
        self._found: dict[tuple[str, str], list[int]] = {}
        left = _MOST_SEARCHED_BYTES
        for file in _files_of(storage, source, facts, rows):
            left -= file.bytes
            if left < 0:
                break
            for number, row in _records(storage, source, file):
                name = (file.delivery.file, self._identity(row))
                if name in wanted:
                    self._found.setdefault(name, []).append(number)

    def take(self, row: Mapping[str, Any]) -> int | None:
        numbers = self._found.get((row["_file"], self._identity(row)))
        return numbers.pop(0) if numbers else None

    def _identity(self, row: Mapping[str, Any]) -> str:
        # As text: NaN is not equal to itself.
        return repr([as_utc(row["_event"]), *[row[name] for name in self._names]])


def _files_of(
    storage: Storage, source: Source, facts: LedgerFacts, rows: Sequence[Mapping[str, Any]]
) -> list[StagedFile]:
    wanted = {row["_file"] for row in rows}
    keys = {Partition.holding(source.cadence, as_utc(row["_partition"])).key for row in rows}
    found: dict[str, StagedFile] = {}
    for key in sorted(keys):
        for entry in facts.staged(key):
            for file in staged_files(storage, source, {key: entry}, {}):
                if file.delivery.file in wanted:
                    found[file.delivery.file] = file
    return list(found.values())


def _records(storage: Storage, source: Source, file: StagedFile) -> Iterator[tuple[int, dict[str, Any]]]:
    """Number and checked row of every record; nothing where the copy is gone."""
    try:
        with storage.open(file.path) as opened:
            for batch in read_records(opened, file.name, source.raw, [c.name for c in source.columns]):
                rows = check(batch, source, file.delivery).to_pylist()
                for number, row in zip(batch.numbers.to_pylist(), rows, strict=True):
                    if row["_event"] is not None:
                        yield number, row
    except (ProvenderError, FileNotFoundError):
        return

"""One attempt at ingesting: what it was asked for, what of that needs work, and under which times and names."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from provender.clocks import Clock, after
from provender.errors import PartitionError, SourceNotReadyError
from provender.ingestion.features import Query
from provender.ingestion.slices import Redelivery
from provender.intervals import Partition, from_micros, parse_iso, to_micros
from provender.ledger import Ledger
from provender.ledger.progress import (
    admitted_reasons,
    ingested_partitions,
    recorded_up_to,
    staged_partitions,
)
from provender.settings import Settings
from provender.specs.catalog import Catalog
from provender.specs.hashing import data_hash
from provender.specs.source import FeatureTable, Source
from provender.storage import Storage
from provender.tables.tables import DeltaTable, Transaction, tables_of


@dataclass(frozen=True)
class Attempt:
    """What one ingest works with. ``staged`` holds only the partitions that need work."""

    settings: Settings
    storage: Storage
    source: Source
    sqls: dict[str, Query | None]
    name: str
    staged: dict[str, dict[str, Any]]
    waived: dict[str, tuple[str, ...]]
    redelivered: tuple[Redelivery, ...]
    recorded: datetime
    resumed: frozenset[Partition] = frozenset()
    """Partitions that an attempt died with: the tables hold some of its work, nobody knows which."""

    @property
    def partitions(self) -> list[Partition]:
        return sorted(Partition.parse(self.source.cadence, key) for key in self.staged)

    @property
    def staged_bytes(self) -> int:
        return sum(file["bytes"] for entry in self.staged.values() for file in entry["files"])

    @property
    def newest_delivery(self) -> datetime:
        return max(parse_iso(entry["delivered"]) for entry in self.staged.values())

    @property
    def admitted_from_afar(self) -> list[Partition]:
        """Partitions with rows of periods that are out of their reach by the spec."""
        far = {key for key, reasons in self.waived.items() if {"too_late", "after_partition"} & {*reasons}}
        return partitions_of(self.source, sorted(far))

    def definition_of(self, table: FeatureTable) -> str:
        """The file that says what the table holds."""
        return str(self.settings.repo / "sources" / (table.sql or f"{self.source.name}.yaml"))

    def transaction(self, table: DeltaTable) -> Transaction:
        return Transaction(app_id_of(table), to_micros(self.recorded))


def app_id_of(table: DeltaTable) -> str:
    """Whose transactions ours are in a table's log. Their versions are recorded timestamps in microseconds."""
    return f"provender/{table.path}"


def partitions_of(source: Source, keys: list[str]) -> list[Partition]:
    """The partitions named ``keys``; those of another cadence, which the source had once, are nobody's work now."""
    left = []
    for key in keys:
        with suppress(PartitionError):
            left.append(Partition.parse(source.cadence, key))
    return left


def prepare(
    settings: Settings,
    storage: Storage,
    source: Source,
    sqls: dict[str, Query | None],
    ledger: Ledger,
    attempt: str,
    asked: Iterable[Partition],
    left: frozenset[Partition],
    clock: Clock,
) -> Attempt:
    partitions = sorted({*asked, *left})
    staged, done, waived = (
        staged_partitions(ledger),
        ingested_partitions(ledger),
        admitted_reasons(ledger),
    )
    absent = [partition.key for partition in partitions if partition.key not in staged]
    if absent:
        raise SourceNotReadyError(
            f"{source.name}: not staged: {', '.join(absent[:5])}{' …' if len(absent) > 5 else ''}",
            unharmed="everything ingested before",
            remedy=f"provender stage {source.name} {absent[0]}..{absent[-1]}",
        )
    spec = data_hash(source, sql_texts(sqls))
    todo = {
        partition.key: staged[partition.key]
        for partition in partitions
        if partition in left
        or _inputs(done.get(partition.key))
        != (
            staged[partition.key]["content"],
            staged[partition.key]["delivery"],
            spec,
            list(waived.get(partition.key, ())),
        )
    }
    recorded = after(_last_recorded(storage, source, ledger), clock)
    redelivered = redeliveries(source, {**done, **todo})
    return Attempt(
        settings,
        storage,
        source,
        sqls,
        attempt,
        todo,
        waived,
        redelivered,
        recorded,
        left,
    )


def _last_recorded(storage: Storage, source: Source, ledger: Ledger) -> datetime | None:
    """The newest recorded timestamp of any attempt, those that died before their manifest included: their clock may
    have been ahead, and Delta passes over a transaction that is not above the last one."""
    written = [table.last_transaction(app_id_of(table)) for table in tables_of(storage, source)]
    moments = [from_micros(version) for version in written if version is not None]
    committed = recorded_up_to(ledger)
    return max([*moments, *([committed] if committed else [])], default=None)


def redeliveries(source: Source, entries: dict[str, dict[str, Any]]) -> tuple[Redelivery, ...]:
    """Of all partitions in the raw table those that are not as they were delivered first."""
    partitions = {
        key: Partition.parse(source.cadence, key) for key, entry in entries.items() if entry["delivery"] > 1
    }
    return tuple(
        Redelivery(
            partition.start,
            partition.end + source.delay,
            parse_iso(entries[key]["delivered"]),
        )
        for key, partition in sorted(partitions.items())
    )


def _inputs(done: dict[str, Any] | None) -> tuple[Any, ...] | None:
    return (done["content"], done["delivery"], done["spec"], done["waived"]) if done else None


def query_of(catalog: Catalog, source: Source, table: FeatureTable) -> Query | None:
    if not table.is_derived:
        return None
    return Query(
        catalog.sql_of(source.name, table.name),
        catalog.sql_path_of(source.name, table.name),
    )


def sql_texts(sqls: dict[str, Query | None]) -> dict[str, str]:
    return {name: sql.text for name, sql in sqls.items() if sql is not None}

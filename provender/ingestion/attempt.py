"""One attempt at ingesting: what it was asked for, what of that needs work, and under which times and names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from provender.clocks import Clock, after
from provender.errors import PartitionError, SourceNotReadyError
from provender.ingestion.features import Query
from provender.ingestion.slices import Redelivery
from provender.intervals import Partition, from_micros, to_micros
from provender.ledger import Ledger
from provender.ledger.records import IngestedPartition, StagedPartition
from provender.ledger.state import SourceState
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
    staged: dict[str, StagedPartition]
    waived: Mapping[str, tuple[str, ...]]
    redelivered: tuple[Redelivery, ...]
    recorded: datetime
    resumed: frozenset[Partition] = frozenset()
    """Partitions that an attempt died with: the tables hold some of its work, nobody knows which."""

    @property
    def partitions(self) -> list[Partition]:
        return sorted(Partition.parse(self.source.cadence, key) for key in self.staged)

    @property
    def staged_bytes(self) -> int:
        return sum(file.bytes for entry in self.staged.values() for file in entry.files)

    @property
    def newest_delivery(self) -> datetime:
        return max(entry.delivered for entry in self.staged.values())

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
    state = ledger.state()
    staged, done, waived = state.staged, state.ingested, state.admitted
    absent = [partition.key for partition in partitions if partition.key not in staged]
    if absent:
        raise SourceNotReadyError(
            f"{source.name}: not staged: {', '.join(absent[:5])}{' …' if len(absent) > 5 else ''}",
            not_affected="everything ingested before",
            remedy=f"provender stage {source.name} {absent[0]}..{absent[-1]}",
            source=source.name,
            partitions=tuple(absent),
        )
    spec = data_hash(source, sql_texts(sqls))
    todo = {
        partition.key: staged[partition.key]
        for partition in partitions
        if partition in left
        or not _is_done(done.get(partition.key), staged[partition.key], spec, waived.get(partition.key, ()))
    }
    recorded = after(_last_recorded(storage, source, state), clock)
    redelivered = redeliveries(source, {**dict(state.redelivered()), **todo})
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


def _last_recorded(storage: Storage, source: Source, state: SourceState) -> datetime | None:
    """The newest recorded timestamp of any attempt, those that died before their manifest included: their clock may
    have been ahead, and Delta passes over a transaction that is not above the last one."""
    written = [table.last_transaction(app_id_of(table)) for table in tables_of(storage, source)]
    moments = [from_micros(version) for version in written if version is not None]
    committed = state.recorded_up_to
    return max([*moments, *([committed] if committed else [])], default=None)


def redeliveries(
    source: Source, entries: Mapping[str, IngestedPartition | StagedPartition]
) -> tuple[Redelivery, ...]:
    """Of all partitions in the raw table those that are not as they were delivered first."""
    partitions = {
        key: Partition.parse(source.cadence, key) for key, entry in entries.items() if entry.delivery > 1
    }
    return tuple(
        Redelivery(
            partition.start,
            partition.end + source.delay,
            entries[key].delivered,
        )
        for key, partition in sorted(partitions.items())
    )


def _is_done(
    done: IngestedPartition | None, staged: StagedPartition, spec: str, waived: tuple[str, ...]
) -> bool:
    """Whether the partition was ingested from these very inputs."""
    return done is not None and (done.content, done.delivery, done.spec, done.waived) == (
        staged.content,
        staged.delivery,
        spec,
        waived,
    )


def query_of(catalog: Catalog, source: Source, table: FeatureTable) -> Query | None:
    if not table.is_derived:
        return None
    return Query(
        catalog.sql_of(source.name, table.name),
        catalog.sql_path_of(source.name, table.name),
    )


def sql_texts(sqls: dict[str, Query | None]) -> dict[str, str]:
    return {name: sql.text for name, sql in sqls.items() if sql is not None}

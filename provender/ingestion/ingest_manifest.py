"""What an ingest commits: the manifest of the work done, or the receipt that there was none."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from provender.ingestion import row_counts
from provender.ingestion.attempt import Attempt, sql_texts
from provender.ingestion.row_counts import Tally
from provender.ingestion.version_diff import NULL_KEYS
from provender.ingestion.withdrawal import Withdrawn, withdrawal_notes
from provender.intervals import Partition
from provender.ledger import Draft, Job, Kind
from provender.ledger.records import IngestedPartition, StagedFolder, TableCommit, WithdrawalAllowed
from provender.records.csv_records import unclosed_note
from provender.specs.hashing import data_hash, descriptive_hash


def receipt(work: Attempt, started: datetime) -> Draft:
    return Draft(
        Job.INGEST,
        work.name,
        Kind.RECEIPT,
        partitions={},
        started=started,
        recorded_up_to=work.recorded,
        notes=["every partition was ingested already, from the same bytes by the same spec"],
        resumed=bool(work.resumed),
    )


def draft(
    work: Attempt,
    started: datetime,
    counted: Tally,
    features: dict[str, dict[Partition, dict[str, int]]],
    wrote: list[TableCommit],
    withdrawn: Withdrawn,
) -> Draft:
    spec = data_hash(work.source, sql_texts(work.sqls))
    placed = row_counts.by_partition(features, work.partitions)
    partitions = {
        key: IngestedPartition(
            content=entry.content,
            delivery=entry.delivery,
            delivered=entry.delivered,
            waived=work.waived.get(key, ()),
            spec=spec,
            **counted.partitions[key],
            features=placed[key],
            **_allowed(withdrawn.get(key)),
        )
        for key, entry in work.staged.items()
    }
    totals = row_counts.totals(partitions)
    return Draft(
        Job.INGEST,
        work.name,
        Kind.MANIFEST,
        partitions=partitions,
        started=started,
        recorded_up_to=work.recorded,
        read=[StagedFolder(folder=each.folder, content=each.content) for each in work.staged.values()],
        wrote=wrote,
        spec={"data": spec, "descriptive": descriptive_hash(work.source)},
        counts=totals,
        notes=[*_notes(work), *_left_out(work, counted, placed), *withdrawal_notes(withdrawn)],
        resumed=bool(work.resumed),
    )


def _allowed(withdrawn: dict[str, int] | None) -> dict[str, Any]:
    """Only of a partition from which more was taken back than its source allows by itself."""
    return {"withdrawal_allowed": WithdrawalAllowed(**withdrawn)} if withdrawn is not None else {}


def _left_out(work: Attempt, counted: Tally, placed: dict[str, dict[str, dict[str, int]]]) -> list[str]:
    """What is in no feature: rows of periods before the source's start, groups with a null key."""
    notes = []
    if counted.before_start:
        first = work.source.first_partition.key
        notes.append(
            f"{counted.before_start} accepted row(s) belong to periods before {first}, where {work.source.name} "
            "starts: they are in the raw table and in no feature"
        )
    for table in work.source.tables:
        groups = sum(tables[table.name].get(NULL_KEYS, 0) for tables in placed.values())
        if groups:
            notes.append(
                f"{table.name}: the SQL gives {groups} group(s) with a null key ({', '.join(table.keys)}); no reader "
                "can ask for them, so they are not stored"
            )
    return notes


def _notes(work: Attempt) -> list[str]:
    """What was left out or read in an unusual way: extra columns, quotes that are never closed."""
    named = {column.name for column in work.source.columns}
    named |= {how.column for how in (work.source.event_timestamp, work.source.created_timestamp) if how}
    extra: dict[str, list[str]] = {}
    notes = []
    for entry in work.staged.values():
        for file in entry.files:
            for name in sorted({*(file.header or ()), *file.columns} - named):
                extra.setdefault(name, []).append(file.name)
            if file.unclosed_quote:
                notes.append(f"{file.name}: {unclosed_note(file.unclosed_quote)}")
    for name, files in extra.items():
        others = f" and {len(files) - 1} more" if len(files) > 1 else ""
        notes.append(f"column {name[:80]!r} of {files[0]}{others} is not in the spec and was left out")
    return notes

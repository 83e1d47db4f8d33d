"""What is done, read off the manifests: nothing of this is stored anywhere else."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from provender.ledger.ledger import Ledger
from provender.ledger.manifest import Job, Kind


def staged_partitions(ledger: Ledger) -> dict[str, dict[str, Any]]:
    """Per partition key what its newest delivery is."""
    newest: dict[str, dict[str, Any]] = {}
    for manifest in ledger.manifests(Job.STAGE):
        newest.update(manifest.partitions)
    return newest


def ingested_partitions(ledger: Ledger) -> dict[str, dict[str, Any]]:
    """Per partition key how it was ingested last: ``content``, ``delivery``, ``waived``, ``spec`` (data hash),
    counts, and ``recorded`` (ISO time of the attempt)."""
    newest: dict[str, dict[str, Any]] = {}
    for manifest in ledger.manifests(Job.INGEST):
        if manifest.kind is Kind.RECEIPT:
            continue
        recorded = manifest.document["recorded_up_to"]
        newest.update({key: {**entry, "recorded": recorded} for key, entry in manifest.partitions.items()})
    return newest


def online_views(ledger: Ledger) -> dict[str, dict[str, Any]]:
    """Per feature view its newest ``wrote`` entry, or that it has nothing to write yet. Every materialization looks at
    every view of the source, so ``recorded_up_to`` is the newest one's."""
    last = ledger.last(Job.MATERIALIZE)
    up_to = last.document["recorded_up_to"] if last else None
    entries = {entry["view"]: entry for entry in (last.document["read"] if last else [])}
    entries |= last_written(ledger, Job.MATERIALIZE, "view")
    return {view: {**entry, "recorded_up_to": up_to} for view, entry in entries.items()}


def last_written(ledger: Ledger, job: Job, by: str) -> dict[str, dict[str, Any]]:
    """Per view or table (its name under the key ``by``) the entry of the manifest that wrote it last."""
    newest: dict[str, dict[str, Any]] = {}
    for manifest in ledger.manifests(job):
        newest.update({entry[by]: entry for entry in manifest.wrote})
    return newest


def admitted_reasons(ledger: Ledger) -> dict[str, tuple[str, ...]]:
    """Per partition key the reasons with which a person has admitted its rows."""
    admitted: dict[str, set[str]] = {}
    for manifest in ledger.manifests(Job.ADMIT):
        for key, entry in manifest.partitions.items():
            admitted.setdefault(key, set()).update(entry["reasons"])
    return {key: tuple(sorted(reasons)) for key, reasons in admitted.items()}


def recorded_up_to(ledger: Ledger) -> datetime | None:
    """Up to when the source's logs are complete: what was recorded later belongs to no committed attempt."""
    newest = ledger.last(Job.INGEST)
    return newest.recorded_up_to if newest else None

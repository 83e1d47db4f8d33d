"""Which partitions of a source are done, missing or stale: derived from its manifests, never stored."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from provender.intervals import Partition
from provender.ledger import progress
from provender.ledger.holes import backfill_command, expected_partitions
from provender.ledger.ledger import Ledger
from provender.ledger.manifest import Job
from provender.ledger.progress import admitted_reasons, ingested_partitions, staged_partitions
from provender.specs.source import Source


@dataclass(frozen=True)
class SourceStatus:
    """What is known of a source at a time."""

    source: Source
    last_complete: Partition | None
    """The newest partition that is ingested as it was delivered, by the spec as it is, and online."""
    holes: list[Partition]
    """Expected by now, and not ingested."""
    not_online: list[Partition]
    """Ingested, and not online yet."""
    stale: list[Partition]
    """Ingested, but since then delivered again, or the spec's data half has changed."""
    quarantined: dict[str, dict[str, int]]
    """Per partition key the rows in quarantine by reason."""
    online: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Per view what was materialized last."""
    not_published: list[Partition] = field(default_factory=list)
    """Ingested, and not in BigQuery yet, where tables are published there."""
    raw_changed: dict[str, list[str]] = field(default_factory=dict)
    """Per partition key the raw files that are new, or not as they were staged."""
    raw_gone: list[Partition] = field(default_factory=list)
    """Staged from raw files that are not there any more."""
    raw_unknown: str = ""
    """Why the raw files could not be compared; empty if they were."""

    @property
    def to_run_again(self) -> list[Partition]:
        """Partitions that are stale, or whose raw files differ from what was staged, in order."""
        changed = {Partition.parse(self.source.cadence, key) for key in self.raw_changed}
        return sorted({*self.stale, *(changed - {*self.holes})})

    @property
    def quarantined_rows(self) -> int:
        """Rows that are in quarantine. A row with two reasons counts once per partition's own count."""
        return sum(entry["rows"] for entry in self.quarantined.values())

    @property
    def commands(self) -> list[str]:
        """What to type to fix the holes, the stale partitions and those whose raw files changed, in order."""
        return [
            *self._backfills(self.holes, "failed"),
            *self._backfills(self.to_run_again, "completed"),
            *([f"provender materialize {self.source.name}"] if self.not_online else []),
            *([f"provender publish {self.source.name}"] if self.not_published else []),
        ]

    def _backfills(self, partitions: list[Partition], reprocess: str) -> list[str]:
        """One line over all of them: Airflow takes one backfill of a DAG at a time, and what is done is quick."""
        if not partitions:
            return []
        return [backfill_command(self.source, partitions[0], partitions[-1], reprocess=reprocess)]


def source_status(
    source: Source,
    data_hash: str,
    ledger: Ledger,
    now: datetime,
    online_views: Collection[str],
    *,
    is_published: bool = False,
) -> SourceStatus:
    """The status of ``source``. ``data_hash`` is its spec's; ``online_views`` are the applied views that read it;
    ``is_published``: whether its tables are to be in BigQuery."""
    staged = staged_partitions(ledger)
    ingested, admitted = ingested_partitions(ledger), admitted_reasons(ledger)
    online = progress.online_views(ledger)
    up_to = min((online.get(view, {}).get("recorded_up_to", "") for view in online_views), default=None)
    holes, stale, not_online, complete = [], [], [], None
    for partition in expected_partitions(source, now):
        done = ingested.get(partition.key)
        if done is None:
            holes.append(partition)
        elif _is_stale(done, staged.get(partition.key), data_hash, admitted.get(partition.key, ())):
            stale.append(partition)
        elif up_to is not None and done["recorded"] > up_to:
            not_online.append(partition)
        else:
            complete = partition
    quarantined = {
        key: {"rows": entry["quarantined"], **entry["reasons"]}
        for key, entry in sorted(ingested.items())
        if entry["quarantined"]
    }
    shown = {view: online[view] for view in sorted(online_views) if view in online}
    not_published = _not_published(ledger, ingested, source) if is_published else []
    return SourceStatus(source, complete, holes, not_online, stale, quarantined, shown, not_published)


def _not_published(ledger: Ledger, ingested: dict[str, dict[str, Any]], source: Source) -> list[Partition]:
    last = ledger.last(Job.PUBLISH)
    up_to = last.document["recorded_up_to"] if last is not None else ""
    keys = sorted(key for key, done in ingested.items() if done["recorded"] > up_to)
    return [Partition.parse(source.cadence, key) for key in keys]


def _is_stale(
    done: dict[str, Any], staged: dict[str, Any] | None, data_hash: str, admitted: tuple[str, ...]
) -> bool:
    redelivered = staged is not None and (staged["content"], staged["delivery"]) != (
        done["content"],
        done["delivery"],
    )
    return redelivered or done["spec"] != data_hash or done["waived"] != list(admitted)

"""All that an explanation asks the ledger of a source: the one place that knows how manifests are read."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from provender.intervals import parse_iso
from provender.ledger import Job, Kind, Ledger, Manifest
from provender.ledger.progress import recorded_up_to


@dataclass(frozen=True)
class Delivered:
    """How a partition was ingested by one attempt."""

    partition: str
    delivery: int
    delivered: datetime


@dataclass(frozen=True)
class Recorder:
    """The attempt that recorded a version, as its manifest says."""

    manifest: int
    attempt: str
    recorded: datetime
    committed: datetime
    spec: str
    """The data half of the spec hash."""
    code: str
    resumed: bool
    """An attempt before it died while writing: the version may be that one's work."""
    delivered: tuple[Delivered, ...]
    raw_version: int | None
    """Version of the raw table that it wrote; None: the manifest does not say."""

    def delivery_at(self, moment: datetime) -> Delivered | None:
        """The delivery that became known at ``moment``."""
        return next((each for each in self.delivered if each.delivered == moment), None)


class LedgerFacts:
    """What the manifests of one source say. Reads each once."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    @cached_property
    def recorded_to(self) -> datetime | None:
        """Up to when the logs are complete; what was recorded later belongs to no committed attempt."""
        return recorded_up_to(self._ledger)

    @cached_property
    def online_to(self) -> datetime | None:
        """Up to when the online store holds the logs."""
        last = self._ledger.last(Job.MATERIALIZE)
        return last.recorded_up_to if last is not None else None

    def recorder(self, recorded: datetime) -> Recorder | None:
        """The attempt whose work includes what was recorded at ``recorded``: the first one complete up to then."""
        place = bisect_left(self._ends, recorded)
        return _recorder(self._ingests[place]) if place < len(self._ingests) else None

    @cached_property
    def newest(self) -> Recorder | None:
        """The newest attempt that ingested something."""
        return _recorder(self._ingests[-1]) if self._ingests else None

    def ingested(self, recorded_to: datetime) -> dict[str, dict[str, Any]]:
        """Per partition key how it was ingested last, as of ``recorded_to``."""
        found: dict[str, dict[str, Any]] = {}
        for manifest in self._ingests:
            if manifest.recorded_up_to is not None and manifest.recorded_up_to <= recorded_to:
                found |= manifest.partitions
        return found

    def staged(self, partition: str) -> list[dict[str, Any]]:
        """Every delivery of a partition, oldest first."""
        return [m.partitions[partition] for m in self._stages if partition in m.partitions]

    @cached_property
    def _stages(self) -> list[Manifest]:
        return self._ledger.manifests(Job.STAGE)

    @cached_property
    def _ingests(self) -> list[Manifest]:
        return [m for m in self._ledger.manifests(Job.INGEST) if m.kind is Kind.MANIFEST]

    @cached_property
    def _ends(self) -> list[datetime]:
        return [m.recorded_up_to for m in self._ingests if m.recorded_up_to is not None]


def _recorder(manifest: Manifest) -> Recorder:
    assert manifest.recorded_up_to is not None, "every ingest has one"
    document = manifest.document
    versions = {entry["table"]: entry.get("version") for entry in manifest.wrote}
    delivered = [
        Delivered(key, entry["delivery"], parse_iso(entry["delivered"]))
        for key, entry in manifest.partitions.items()
    ]
    return Recorder(
        manifest=manifest.number,
        attempt=manifest.attempt,
        recorded=manifest.recorded_up_to,
        committed=manifest.committed,
        spec=str(document["spec"].get("data", "")),
        code=str(document["code"]),
        resumed=manifest.resumed,
        delivered=tuple(delivered),
        raw_version=versions.get(f"raw/{manifest.source}"),
    )

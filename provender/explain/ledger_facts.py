"""All that an explanation asks the ledger of a source: the one place that knows how manifests are read."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from provender.ledger import Job, Kind, Ledger
from provender.ledger.records import IngestedPartition, IngestManifest, StagedPartition, StageManifest
from provender.ledger.state import SourceState


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
        return self._state.recorded_up_to

    @cached_property
    def online_to(self) -> datetime | None:
        """Up to when the online store holds the logs."""
        return self._state.online_up_to

    @cached_property
    def _state(self) -> SourceState:
        return self._ledger.state()

    def recorder(self, recorded: datetime) -> Recorder | None:
        """The attempt whose work includes what was recorded at ``recorded``: the first one complete up to then."""
        place = bisect_left(self._ends, recorded)
        return _recorder(self._ingests[place]) if place < len(self._ingests) else None

    @cached_property
    def newest(self) -> Recorder | None:
        """The newest attempt that ingested something."""
        return _recorder(self._ingests[-1]) if self._ingests else None

    def ingested(self, recorded_to: datetime) -> dict[str, IngestedPartition]:
        """Per partition key how it was ingested last, as of ``recorded_to``."""
        found: dict[str, IngestedPartition] = {}
        for manifest in self._ingests:
            if manifest.recorded_up_to is not None and manifest.recorded_up_to <= recorded_to:
                found |= manifest.partitions
        return found

    def staged(self, partition: str) -> list[StagedPartition]:
        """Every delivery of a partition, oldest first."""
        return [m.partitions[partition] for m in self._stages if partition in m.partitions]

    @cached_property
    def _stages(self) -> list[StageManifest]:
        return [m for m in self._ledger.manifests(Job.STAGE) if isinstance(m, StageManifest)]

    @cached_property
    def _ingests(self) -> list[IngestManifest]:
        every = self._ledger.manifests(Job.INGEST)
        return [m for m in every if isinstance(m, IngestManifest) and m.kind is Kind.MANIFEST]

    @cached_property
    def _ends(self) -> list[datetime]:
        return [m.recorded_up_to for m in self._ingests if m.recorded_up_to is not None]


def _recorder(manifest: IngestManifest) -> Recorder:
    assert manifest.recorded_up_to is not None, "every ingest has one"
    versions = {commit.table: commit.version for commit in manifest.wrote}
    delivered = [Delivered(k, entry.delivery, entry.delivered) for k, entry in manifest.partitions.items()]
    return Recorder(
        manifest=manifest.number,
        attempt=manifest.attempt,
        recorded=manifest.recorded_up_to,
        committed=manifest.committed,
        spec=manifest.spec.get("data", ""),
        code=manifest.code,
        resumed=manifest.resumed,
        delivered=tuple(delivered),
        raw_version=versions.get(f"raw/{manifest.source}"),
    )

"""A source as a task knows it: by repo and name, read when the task runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provender.intervals import Partition
from provender.ledger import Job, Ledger, Manifest
from provender.settings import Settings
from provender.specs.catalog import Catalog
from provender.specs.loader import load_source
from provender.specs.source import Source
from provender.storage import storage_at
from provender_airflow.partitions import partitions_of_context
from provender_airflow.task_settings import task_settings


@dataclass(frozen=True, slots=True)
class SourceReference:
    """``repo``: folder of ``feature_store.yaml``. ``name``: the source's."""

    repo: str
    name: str

    def settings(self) -> Settings:
        return task_settings(self.repo)

    def load(self) -> Source:
        """The spec, without reading the others. Raises :class:`provender.errors.SpecError`."""
        path = Catalog(Path(self.repo)).path_of(self.name)
        return load_source(path) if path.is_file() else Catalog.load(Path(self.repo)).source(self.name)

    def partitions(self, context: Mapping[str, Any]) -> list[Partition]:
        """What the task's run means. Raises :class:`provender.errors.PartitionError`."""
        return partitions_of_context(self.load(), context)

    def manifest(self, settings: Settings, job: Job, attempt: str) -> Manifest | None:
        """What ``attempt`` committed."""
        return Ledger(storage_at(settings.storage_root), self.name).find_attempt(job, attempt)


def counts_of(manifest: Manifest) -> dict[str, Any]:
    """A task's return value: which attempt, which partitions, and its counts."""
    return {
        "attempt": manifest.attempt,
        "manifest": manifest.number,
        "kind": str(manifest.kind),
        "partitions": sorted(manifest.partitions),
        "seconds": round(manifest.seconds, 3),
        **manifest.counts,
    }

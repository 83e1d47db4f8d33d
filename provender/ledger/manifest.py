"""The manifest: the JSON document that an attempt commits last.

Its fields are described for people in ``docs/manifests.md``.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Any

from provender.intervals import iso, parse_iso

FORMAT = 1


class Job(StrEnum):
    """What commits manifests."""

    STAGE = "stage"
    INGEST = "ingest"
    MATERIALIZE = "materialize"
    PUBLISH = "publish"
    ADMIT = "admit"


class Kind(StrEnum):
    """A manifest records work; a receipt records that there was nothing to do."""

    MANIFEST = "manifest"
    RECEIPT = "receipt"


@dataclass(frozen=True)
class Draft:
    """What an attempt wants to commit. The ledger adds number and time."""

    job: Job
    attempt: str
    kind: Kind
    partitions: dict[str, dict[str, Any]]
    """Per partition key: hashes and counts. A materialization has none."""
    started: datetime
    recorded_up_to: datetime | None = None
    """Ingest: the log is complete up to here. Materialize, publish: the online store, or BigQuery, holds the log up to
    here."""
    read: list[dict[str, Any]] = field(default_factory=list)
    wrote: list[dict[str, Any]] = field(default_factory=list)
    spec: dict[str, str] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    """Sentences for people: what was announced or left out."""
    resumed: bool = False
    """The attempt before died while writing: some of what this one found in the tables is that one's work."""


@dataclass(frozen=True)
class Manifest:
    """A committed manifest or receipt."""

    source: str
    document: dict[str, Any]

    @property
    def number(self) -> int:
        """1, 2, 3, … per source and job; never reused."""
        return int(self.document["number"])

    @property
    def job(self) -> Job:
        return Job(self.document["job"])

    @property
    def kind(self) -> Kind:
        return Kind(self.document["kind"])

    @property
    def attempt(self) -> str:
        return str(self.document["attempt"])

    @property
    def partitions(self) -> dict[str, dict[str, Any]]:
        """Per partition key: hashes and counts."""
        partitions: dict[str, dict[str, Any]] = self.document["partitions"]
        return partitions

    @property
    def counts(self) -> dict[str, int]:
        counts: dict[str, int] = self.document["counts"]
        return counts

    @property
    def wrote(self) -> list[dict[str, Any]]:
        wrote: list[dict[str, Any]] = self.document["wrote"]
        return wrote

    @property
    def notes(self) -> list[str]:
        notes: list[str] = self.document["notes"]
        return notes

    @property
    def resumed(self) -> bool:
        return bool(self.document["resumed"])

    @cached_property
    def recorded_up_to(self) -> datetime | None:
        text = self.document.get("recorded_up_to")
        return parse_iso(text) if text else None

    @cached_property
    def committed(self) -> datetime:
        return parse_iso(self.document["committed"])

    @property
    def seconds(self) -> float:
        """From the attempt's start to its commit."""
        return (self.committed - parse_iso(self.document["started"])).total_seconds()


_FIELDS: dict[str, type] = {
    "number": int,
    "attempt": str,
    "partitions": dict,
    "counts": dict,
    "wrote": list,
    "notes": list,
    "started": str,
    "committed": str,
}


def parse_manifest(source: str, data: bytes) -> Manifest:
    """The manifest in ``data``. Raises :class:`ValueError` with what is wrong with it."""
    document = json.loads(data)
    if not isinstance(document, dict):
        raise ValueError(f"it is no JSON object but {type(document).__name__}")
    if isinstance(document.get("format"), int) and document["format"] > FORMAT:
        raise ValueError(
            f"it has the format {document['format']} of a newer version, and this one reads {FORMAT}"
        )
    for name, kind in _FIELDS.items():
        if not isinstance(document.get(name), kind):
            raise ValueError(f"its field {name!r} is missing or no {kind.__name__}")
    manifest = Manifest(source, document)
    # Reading them checks them: a job or time that is none raises here, and not where it is used.
    _ = (
        Job(str(document.get("job"))),
        Kind(str(document.get("kind"))),
        manifest.committed,
        manifest.recorded_up_to,
    )
    return manifest


def to_document(draft: Draft, source: str, number: int, committed: datetime, code: str) -> dict[str, Any]:
    """The JSON object of a manifest."""
    return {
        "format": FORMAT,
        "number": number,
        "source": source,
        "job": str(draft.job),
        "kind": str(draft.kind),
        "attempt": draft.attempt,
        "input_hash": digest({"partitions": draft.partitions, "spec": draft.spec, "read": draft.read}),
        "partitions": draft.partitions,
        "recorded_up_to": iso(draft.recorded_up_to) if draft.recorded_up_to else None,
        "read": draft.read,
        "wrote": draft.wrote,
        "counts": draft.counts,
        "notes": draft.notes,
        "resumed": draft.resumed,
        "spec": draft.spec,
        "code": code,
        "started": iso(draft.started),
        "committed": iso(committed),
    }


def digest(value: Any) -> str:
    """SHA-256 in hex of ``value`` as canonical JSON (sorted keys, no spaces, UTF-8)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()

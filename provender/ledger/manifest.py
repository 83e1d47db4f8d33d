"""The manifest: the JSON document that an attempt commits last, read from bytes and made from a draft.

Its fields are in :mod:`provender.ledger.records`, and described for people in ``docs/manifests.md``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from provender.ledger.records import (
    FORMAT,
    MANIFESTS,
    AdmitManifest,
    IngestManifest,
    Job,
    Kind,
    Manifest,
    MaterializeManifest,
    PublishManifest,
    Record,
    StageManifest,
)

__all__ = ["Draft", "Job", "Kind", "Manifest", "digest", "parse_manifest", "to_manifest"]

_ANY: TypeAdapter[Manifest] = TypeAdapter(
    Annotated[
        StageManifest | IngestManifest | MaterializeManifest | PublishManifest | AdmitManifest,
        Field(discriminator="job"),
    ]
)


@dataclass(frozen=True)
class Draft:
    """What an attempt wants to commit. The ledger adds number and time."""

    job: Job
    attempt: str
    kind: Kind
    partitions: Mapping[str, Record]
    """Per partition key the entry of the job. A materialization has none."""
    started: datetime
    recorded_up_to: datetime | None = None
    """Ingest: the log is complete up to here. Materialize, publish: the online store, or BigQuery, holds the log up to
    here."""
    read: Sequence[Record] = ()
    wrote: Sequence[Record] = ()
    spec: Mapping[str, str] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    notes: Sequence[str] = ()
    """Sentences for people: what was announced or left out."""
    resumed: bool = False
    """The attempt before died while writing: some of what this one found in the tables is that one's work."""


def parse_manifest(data: bytes) -> Manifest:
    """Parse a manifest of any format. Raises :class:`ValueError` with what is wrong with it."""
    try:
        return _ANY.validate_json(data, strict=True)
    except ValidationError as error:
        raise ValueError(_explain(data, error)) from error


def to_manifest(draft: Draft, source: str, number: int, committed: datetime, code: str) -> Manifest:
    """Make the manifest of ``draft``. Raises :class:`pydantic.ValidationError` for entries of another job."""
    manifest = MANIFESTS[draft.job].model_validate(
        {
            "format": FORMAT,
            "number": number,
            "source": source,
            "job": draft.job,
            "kind": draft.kind,
            "attempt": draft.attempt,
            "input_hash": "",
            "partitions": draft.partitions,
            "recorded_up_to": draft.recorded_up_to,
            "read": draft.read,
            "wrote": draft.wrote,
            "counts": draft.counts,
            "notes": draft.notes,
            "resumed": draft.resumed,
            "spec": draft.spec,
            "code": code,
            "started": draft.started,
            "committed": committed,
        }
    )
    inputs = manifest.model_dump(mode="json", exclude_unset=True, include={"partitions", "spec", "read"})
    return manifest.model_copy(update={"input_hash": digest(inputs)})


def digest(value: Any) -> str:
    """SHA-256 in hex of ``value`` as canonical JSON (sorted keys, no spaces, UTF-8)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _explain(data: bytes, error: ValidationError) -> str:
    try:
        document = json.loads(data)
    except ValueError as broken:
        return str(broken)
    if not isinstance(document, dict):
        return f"it is not a JSON object but {type(document).__name__}"
    if isinstance(document.get("format"), int) and document["format"] > FORMAT:
        return f"it has the format {document['format']} of a newer version, and this one reads {FORMAT}"
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"][1:]) or "job"
    return f"its field {place!r}: {first['msg']}"

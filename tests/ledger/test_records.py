"""Manifests as records: what earlier versions wrote is read, and written again byte for byte."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from provender.ledger.manifest import parse_manifest
from provender.ledger.records import IngestManifest, Job, StagedPartition
from provender.ledger.schemas import schema_lines
from tests.manifests import staged

WRITTEN = sorted((Path(__file__).parent / "written").glob("*.json"))
"""Manifests as provender 0.1.0 wrote them before there were records: files of all formats, deliveries and
redeliveries, quarantined and admitted rows, rebuilds, receipts."""


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.stem)
def test_what_earlier_versions_wrote_is_read_and_written_byte_for_byte(path: Path) -> None:
    manifest = parse_manifest(path.read_bytes())
    assert json.dumps(manifest.to_document(), indent=1).encode() == path.read_bytes()


def test_every_job_is_among_what_was_written() -> None:
    jobs = {parse_manifest(path.read_bytes()).job for path in WRITTEN}
    assert jobs >= {Job.STAGE, Job.INGEST, Job.MATERIALIZE}


def test_a_field_that_is_not_known_is_refused_with_its_place() -> None:
    document = json.loads(next(p for p in WRITTEN if p.stem == "ingest-01").read_bytes())
    with pytest.raises(ValueError, match="surprise"):
        parse_manifest(json.dumps({**document, "surprise": 1}).encode())
    entry = next(iter(document["partitions"].values()))
    entry["accepted"] = "many"
    with pytest.raises(ValueError, match=r"partitions\..*\.accepted"):
        parse_manifest(json.dumps(document).encode())


def test_records_are_frozen_and_keep_what_was_absent_absent() -> None:
    entry = staged("one")
    with pytest.raises(ValidationError, match="frozen"):
        entry.content = "two"  # type: ignore[misc]
    document = entry.to_document()
    assert "arrived" not in document and "raw" not in document
    assert StagedPartition.model_validate(document) == entry


def test_an_ingest_manifest_is_typed_to_its_entries() -> None:
    path = next(p for p in WRITTEN if p.stem == "ingest-01")
    manifest = parse_manifest(path.read_bytes())
    assert isinstance(manifest, IngestManifest)
    for entry in manifest.partitions.values():
        assert entry.staged == entry.accepted + entry.quarantined


def test_the_schemas_in_the_docs_are_those_of_the_records() -> None:
    docs = (Path(__file__).parents[2] / "docs" / "manifests.md").read_text(encoding="utf-8")
    assert docs.rpartition("```json\n")[2] == f"{schema_lines()}\n```\n", "write schema_lines() into the docs"

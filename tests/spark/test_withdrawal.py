"""A redelivery that would take back most of a partition stops before anything is written, until it is let through."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from provender.errors import StagedCopyError, WithdrawalError
from provender.ingestion.ingest import ingest
from provender.intervals import Partition
from provender.ledger import Job, Manifest
from provender.ledger.records import WithdrawalAllowed
from provender.staging import stage
from tests.engine import Project
from tests.logged import logged
from tests.spark.readings import csv, day, key_of, spec, state

pytestmark = pytest.mark.spark
HOUR = timedelta(hours=1)


def make(project: Project, **changes: Any) -> None:
    project.write_source(spec(tables=[{"name": "latest", "keys": ["key"]}], **changes))


def deliver(project: Project, text: str, *, allow: bool = False) -> Manifest:
    project.drop("readings", key_of(1), text)
    source = project.source("readings")
    partitions = [Partition.parse(source.cadence, key_of(1))]
    stage(project.settings, source, partitions, "attempt")
    return ingest(project.settings, "readings", partitions, "attempt", allow_withdrawal=allow)


def rows(keys: range, value: int = 1) -> str:
    return csv([(f"k{number:02}", day(1) + HOUR, value) for number in keys])


def test_a_redelivery_takes_back_no_more_than_the_source_allows(project: Project) -> None:
    make(project)
    deliver(project, rows(range(20)))
    before = state(project, "latest")

    # Fewer than ten rows, or not more than half: a correction like any other, whatever it changes.
    assert deliver(project, rows(range(1, 20), value=2)).counts["withdrawn"] == 1
    after = state(project, "latest")
    assert after > before

    # The same number of rows, of other keys: fourteen of nineteen would go.
    with pytest.raises(WithdrawalError) as refused:
        deliver(project, rows(range(15, 34), value=2))
    assert "more than 50%" in refused.value.what
    assert f"{key_of(1)}: 14 of 19 rows" in refused.value.what
    assert f"key k01, at {day(1) + HOUR:%Y-%m-%d %H:%M:%S}" in refused.value.what
    assert f"provender ingest readings {key_of(1)} --allow-withdrawal" in refused.value.remedy
    assert state(project, "latest") == after
    assert len(project.ledger("readings").manifests(Job.INGEST)) == 2
    lock = project.storage.lock("readings.tables", "next", timeout_seconds=0)
    with lock as held:
        assert held.abandoned_work == []

    # The right header and no rows says that there are none, and has to be let through as well.
    with pytest.raises(WithdrawalError, match="19 of 19 rows"):
        deliver(project, rows(range(0)))
    manifest = deliver(project, rows(range(0)), allow=True)
    assert manifest.partitions[key_of(1)].withdrawal_allowed == WithdrawalAllowed(rows=19, of=19)
    assert any("19 of 19 rows were taken back" in note for note in manifest.notes)
    assert manifest.counts["withdrawn"] == 19

    # A share that the spec names holds for one row too; what the spec itself takes back is meant.
    make(project, violations={"max_share": 1.0, "max_withdrawn_share": 0.0})
    deliver(project, rows(range(3)))
    with pytest.raises(WithdrawalError, match="1 of 3 rows"):
        deliver(project, rows(range(2)))
    narrower = [{"name": "key", "type": "STRING", "required": True, "allowed": ["k00"]}]
    narrower += [{"name": "value", "type": "INT64"}, {"name": "at", "type": "TIMESTAMP"}]
    make(project, columns=narrower, violations={"max_share": 1.0, "max_withdrawn_share": 0.0})
    assert deliver(project, rows(range(3))).counts["accepted"] == 1


def test_a_staged_copy_that_is_gone_is_never_ingested_as_no_rows(project: Project) -> None:
    make(project)
    source = project.source("readings")
    partitions = [Partition.parse(source.cadence, key_of(1))]
    raw = project.drop("readings", key_of(1), rows(range(3)))
    entry = stage(project.settings, source, partitions, "a").partitions[key_of(1)]
    copy = project.folder / "storage" / entry.folder / entry.files[0].name
    copy.unlink()
    raw.unlink()
    with pytest.raises(StagedCopyError, match="is gone"):
        ingest(project.settings, "readings", partitions, "a")
    raw.write_text(rows(range(3)))
    with logged() as said:
        manifest = ingest(project.settings, "readings", partitions, "b")
    assert manifest.counts["accepted"] == 3
    assert manifest.notes[0] in said
    assert "staged again from the same raw bytes" in manifest.notes[0]

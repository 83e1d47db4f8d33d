"""An ingest on a disk that is full at one step after the other."""

from __future__ import annotations

import pytest

from provender.errors import StorageError
from provender.ingestion.ingest import ingest
from provender.intervals import Partition
from provender.ledger import Job
from provender.staging import stage
from tests.engine import make_project
from tests.small_disk import SmallDisk
from tests.spark.readings import csv, day, key_of, log_of, make_readings

pytestmark = pytest.mark.spark


def test_an_ingest_fails_in_one_sentence_wherever_the_disk_is_full_and_is_right_when_there_is_space(
    small_disk: SmallDisk, engine_url: str
) -> None:
    project = make_project(small_disk.folder, spark={"remote": engine_url})
    make_readings(project)
    rows = [(f"key {number}", day(1), number) for number in range(500)]
    project.drop("readings", key_of(1), csv(rows) + "x,-1,2026-01-01\n")
    partition = Partition.parse(project.source("readings").cadence, key_of(1))
    stage(project.settings, project.source("readings"), [partition], "stage")
    failed: list[int] = []
    for room in range(12, 1000, 48):
        small_disk.resize(small_disk.used_kilobytes() + room)
        try:
            manifest = ingest(project.settings, "readings", [partition], f"room {room}")
            break
        except StorageError as error:
            assert "No space left on device" in error.what
            assert error.remedy.startswith("free space")
            assert str(small_disk.folder) in error.where
            assert project.ledger("readings").last(Job.INGEST) is None
            failed.append(room)
    assert len(failed) > 1, "one before, and one after tables were made"
    assert manifest.counts["accepted"] == 500
    log = log_of(project, "latest")
    assert sorted((row["key"], row["value"]) for row in log) == sorted((key, value) for key, _, value in rows)
    assert sorted(row["total"] for row in log_of(project, "daily")) == list(range(500))

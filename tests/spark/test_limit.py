"""What is said of a partition that breaks its contract past the limit."""

from __future__ import annotations

from datetime import UTC, datetime

from provender.ingestion.violation_limit import _hints
from provender.ledger.records import StagedFile, StagedPartition
from tests.contract.specs import source_of


def csv_file(name: str, *header: str) -> StagedFile:
    return StagedFile(name=name, format="csv", bytes=1, sha256="", header=header)


def staged(*files: StagedFile) -> StagedPartition:
    return StagedPartition(
        content="", folder="", files=files, delivery=1, delivered=datetime(2026, 1, 1, tzinfo=UTC)
    )


def test_files_written_by_another_option_are_told_which_one_reads_them() -> None:
    semicolons = csv_file("a.csv", "key;at")
    headless = csv_file("b.csv", "k", "2026-01-01")
    usual = csv_file("c.csv", "key", "at")
    said = _hints(source_of(), [staged(semicolons, usual), staged(headless)])
    assert "a.csv: its fields seem to be separated by ';'" in said
    assert "{header: false}" in said
    assert "c.csv" not in said

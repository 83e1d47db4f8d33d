"""What is said of a partition that breaks its contract past the limit."""

from __future__ import annotations

from provender.ingestion.violation_limit import _hints
from tests.contract.specs import source_of


def test_files_written_by_another_option_are_told_which_one_reads_them() -> None:
    semicolons = {"name": "a.csv", "format": "csv", "header": ["key;at"]}
    headless = {"name": "b.csv", "format": "csv", "header": ["k", "2026-01-01"]}
    usual = {"name": "c.csv", "format": "csv", "header": ["key", "at"]}
    said = _hints(source_of(), [{"files": [semicolons, usual]}, {"files": [headless]}])
    assert "a.csv: its fields seem to be separated by ';'" in said
    assert "{header: false}" in said
    assert "c.csv" not in said

"""``--json``: one document on standard output, whatever is told meanwhile."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from provender.cli.main import main
from tests.engine import Project, make_project

SPEC: dict[str, Any] = {
    "name": "rides",
    "owner": "tests",
    "cadence": "daily",
    "start": "2026-03-01",
    "end": "2026-03-03",
    "raw": {"uri": "../raw/rides/{partition}.csv"},
    "event_timestamp": {"column": "at"},
    "violations": {"max_share": 0.9},
    "columns": [
        {"name": "city", "type": "STRING", "required": True},
        {"name": "fare", "type": "DOUBLE", "min": 0, "max": 100},
        {"name": "at", "type": "TIMESTAMP"},
    ],
    "tables": [{"name": "rides", "keys": ["city"]}],
}
ROWS = "city,fare,at\nOslo,12.5,2026-03-01T10:00:00Z\nBergen,101,2026-03-01T11:00:00Z\n"


@pytest.fixture
def project_without_engine(tmp_path: Path) -> Project:
    return make_project(tmp_path, spark={})


def call(project: Project, capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> Any:
    capsys.readouterr()
    assert main(["--repo", str(project.settings.repo), *words, "--json"]) == code
    return json.loads(capsys.readouterr().out)


@pytest.mark.spark
def test_ingest_quarantine_and_upkeep_answer_with_documents(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.write_source(SPEC)
    project.drop("rides", "2026-03-01", ROWS)
    staged, ingested = call(project, capsys, "ingest", "rides", "2026-03-01")
    assert (staged["job"], ingested["job"]) == ("stage", "ingest")
    assert ingested["counts"]["quarantined"] == 1
    listed = call(project, capsys, "quarantine", "list", "rides")
    assert listed["source"] == "rides"
    day = listed["partitions"]["2026-03-01"]
    assert day == {"staged": 2, "quarantined": 1, "reasons": {"above_max:fare": 1}}
    (row,) = listed["rows"]
    assert row["partition"].startswith("2026-03-01T00:00:00")
    assert row["reasons"] == ["above_max:fare"] and "Bergen" in row["raw"]
    (admitted,) = call(
        project, capsys, "quarantine", "admit", "rides", "2026-03-01", "--reason", "above_max:fare"
    )
    assert admitted["job"] == "ingest"
    assert call(project, capsys, "quarantine", "list", "rides")["rows"] == []


@pytest.mark.spark
@pytest.mark.redis
@pytest.mark.usefixtures("redis_server")
def test_upkeep_lists_every_table(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.write_source(SPEC)
    project.drop("rides", "2026-03-01", ROWS)
    project.run("rides", "2026-03-01")
    tables = call(project, capsys, "upkeep")
    assert {table["table"].split("/")[-1] for table in tables} >= {"rides"}
    assert not any(table["compacted"] for table in tables)


def test_services_that_do_not_run_are_a_document_too(
    project_without_engine: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    found = call(project_without_engine, capsys, "services", code=1)
    assert [each["name"] for each in found] == ["redis", "airflow", "predictor"]
    assert {each["state"] for each in found} == {"stopped"}


def test_training_sets_and_sources_that_are_not_there_are_empty_lists(
    project_without_engine: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(project_without_engine, capsys, "training-set", "list") == []
    assert call(project_without_engine, capsys, "status") == []
    assert call(project_without_engine, capsys, "models") == []

"""What is done, missing, stale and online, read off manifests."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from provender.cli.main import main
from provender.ledger import Draft, Job, Kind
from provender.ledger.status import SourceStatus, source_status
from provender.specs.catalog import Catalog
from provender.specs.hashing import data_hash
from tests.engine import Project, make_project
from tests.manifests import ingested, staged, view_write
from tests.spark.readings import make_readings

NOW = datetime(2026, 1, 6, 2, tzinfo=UTC)
DAYS = [f"2026-01-0{number}" for number in range(1, 6)]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    found = make_project(tmp_path, spark={})
    make_readings(found)
    return found


def spec_hash(project: Project) -> str:
    catalog = Catalog.load(project.settings.repo)
    return data_hash(catalog.source("readings"), catalog.sql_texts("readings"))


def commit_stage(project: Project, key: str, content: str, delivery: int = 1) -> None:
    entry = staged(content, delivery=delivery)
    project.ledger("readings").commit(Draft(Job.STAGE, "s", Kind.MANIFEST, {key: entry}, started=NOW))


def commit_ingest(
    project: Project, key: str, content: str = "one", recorded: datetime = NOW, **more: Any
) -> None:
    entry = ingested(content, **{"spec": spec_hash(project), **more})
    draft = Draft(Job.INGEST, "i", Kind.MANIFEST, {key: entry}, started=NOW, recorded_up_to=recorded)
    project.ledger("readings").commit(draft)


def commit_materialize(project: Project, recorded: datetime) -> None:
    wrote = [view_write("day", recorded)]
    draft = Draft(Job.MATERIALIZE, "m", Kind.MANIFEST, {}, started=NOW, recorded_up_to=recorded, wrote=wrote)
    project.ledger("readings").commit(draft)


def status(project: Project, *views: str) -> SourceStatus:
    source = project.source("readings")
    return source_status(source, spec_hash(project), project.ledger("readings").state(), NOW, views)


def keys(partitions: list[Any]) -> list[str]:
    return [partition.key for partition in partitions]


def test_what_was_never_ingested_is_a_hole_and_one_line_spans_all_holes(project: Project) -> None:
    for key in (DAYS[1], DAYS[3]):
        commit_stage(project, key, "one")
        commit_ingest(project, key)
    found = status(project)
    assert keys(found.holes) == [DAYS[0], DAYS[2], DAYS[4]]
    assert found.last_complete is not None
    assert found.last_complete.key == DAYS[3]
    assert found.commands == [
        "airflow backfill create --dag-id features__readings --from-date 2026-01-01 --to-date 2026-01-05 "
        "--reprocess-behavior failed"
    ]


def test_a_partition_delivered_again_or_ingested_by_another_spec_is_stale(project: Project) -> None:
    for key in DAYS:
        commit_stage(project, key, "one")
        commit_ingest(project, key)
    commit_stage(project, DAYS[2], "two", delivery=2)
    commit_ingest(project, DAYS[4], spec="another")
    found = status(project)
    assert keys(found.stale) == [DAYS[2], DAYS[4]]
    assert found.commands[0].endswith(
        "--from-date 2026-01-03 --to-date 2026-01-05 --reprocess-behavior completed"
    )


def test_what_is_ingested_and_not_online_is_no_hole(project: Project) -> None:
    for key in DAYS:
        commit_stage(project, key, "one")
        commit_ingest(project, key, recorded=NOW + timedelta(hours=DAYS.index(key)))
    commit_materialize(project, NOW + timedelta(hours=2))
    found = status(project, "day")
    assert (keys(found.holes), keys(found.not_online)) == ([], DAYS[3:])
    assert found.commands == ["provender materialize readings"]


def test_what_is_ingested_and_not_in_bigquery_is_listed_where_tables_are_published(project: Project) -> None:
    for key in DAYS:
        commit_stage(project, key, "one")
        commit_ingest(project, key, recorded=NOW + timedelta(hours=DAYS.index(key)))
    assert status(project).not_published == []
    assert keys(published_status(project).not_published) == DAYS
    draft = Draft(Job.PUBLISH, "p", Kind.MANIFEST, {}, NOW, recorded_up_to=NOW + timedelta(hours=2))
    project.ledger("readings").commit(draft)
    found = published_status(project)
    assert keys(found.not_published) == DAYS[3:]
    assert found.commands == ["provender publish readings"]


def published_status(project: Project) -> SourceStatus:
    source = project.source("readings")
    return source_status(
        source, spec_hash(project), project.ledger("readings").state(), NOW, (), is_published=True
    )


def test_the_command_prints_the_same_for_people_and_machines(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    commit_stage(project, DAYS[0], "one")
    commit_ingest(project, DAYS[0], quarantined=2, reasons={"too_late": 2})
    repo = str(project.settings.repo)
    assert main(["--repo", repo, "status"]) == 0
    assert "quarantined    2 rows in 1 partitions" in capsys.readouterr().out
    assert main(["--repo", repo, "status", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)[0]
    assert document["quarantined"] == {DAYS[0]: {"rows": 2, "too_late": 2}}
    assert document["last_complete"] == DAYS[0]


def test_an_unknown_source_is_one_clear_message(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--repo", str(project.settings.repo), "status", "reedings"]) == 3
    assert "readings" in capsys.readouterr().err

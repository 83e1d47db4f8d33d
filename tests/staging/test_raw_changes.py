"""Raw files that are no longer as they were staged are named, with the command to run."""

from __future__ import annotations

import json
import os
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from provender.cli.main import main
from provender.intervals import Partition
from provender.ledger import Draft, Job, Kind
from provender.staging import stage
from provender.staging.raw_changes import RawChanges, raw_changes
from provender.staging.raw_file import local_file
from tests.engine import Project, make_project
from tests.manifests import ingested
from tests.spark.readings import key_of, spec

SQL = "SELECT key, 1 AS total, 1 AS readings FROM readings"
DAYS = [key_of(number) for number in (1, 2, 3)]
HEADER = "key,value,at\n"


@pytest.fixture(params=["{partition}.csv", "{partition}*.csv"], ids=["a path", "a glob"])
def project(tmp_path: Path, request: pytest.FixtureRequest) -> Project:
    found = make_project(tmp_path, spark={})
    found.write_source(spec(raw={"uri": f"../raw/readings/{request.param}"}), daily=SQL)
    for key in DAYS:
        found.drop("readings", key, f"{HEADER}a,1,{key}\n")
    run(found, *DAYS)
    return found


def run(project: Project, *keys: str, **how: Any) -> None:
    source = project.source("readings")
    stage(project.settings, source, [Partition.parse(source.cadence, key) for key in keys], "a", **how)


def staged(project: Project) -> dict[str, Any]:
    newest: dict[str, Any] = {}
    for manifest in project.ledger("readings").manifests(Job.STAGE):
        newest |= manifest.partitions
    return newest


def changes(project: Project) -> RawChanges:
    return raw_changes(project.settings, project.source("readings"), staged(project))


def replace(project: Project, key: str, text: str, later: float = 60.0) -> Path:
    path = project.drop("readings", key, text)
    modified = path.stat().st_mtime + later
    os.utime(path, (modified, modified))
    return path


def test_files_as_they_were_staged_are_not_named(project: Project) -> None:
    assert changes(project) == RawChanges({}, [])


def test_a_file_of_another_size_or_with_other_bytes_is_named(project: Project) -> None:
    replace(project, DAYS[0], HEADER)
    replace(project, DAYS[1], f"{HEADER}b,1,{DAYS[1]}\n")
    assert changes(project).changed == {key: [f"{key}.csv"] for key in DAYS[:2]}
    run(project, *DAYS)
    assert changes(project).changed == {}


def test_the_same_bytes_at_another_time_are_no_change(project: Project) -> None:
    replace(project, DAYS[0], f"{HEADER}a,1,{DAYS[0]}\n")
    assert changes(project).changed == {}


def test_a_file_that_is_gone_is_told_and_mends_nothing(project: Project) -> None:
    (project.folder / "raw" / "readings" / f"{DAYS[1]}.csv").unlink()
    found = changes(project)
    assert (found.changed, [partition.key for partition in found.gone]) == ({}, [DAYS[1]])


def test_old_manifests_are_compared_by_size(project: Project) -> None:
    entries = {key: entry.model_copy(update={"raw": None}) for key, entry in staged(project).items()}
    replace(project, DAYS[0], f"{HEADER}b,1,{DAYS[0]}\n")
    replace(project, DAYS[1], HEADER)
    found = raw_changes(project.settings, project.source("readings"), entries)
    assert found.changed == {DAYS[1]: [f"{DAYS[1]}.csv"]}


def test_a_partition_that_came_as_a_frame_has_no_raw_file(project: Project, tmp_path: Path) -> None:
    frame = tmp_path / "frame.parquet"
    frame.write_bytes(b"")
    run(project, DAYS[2], deliver=lambda _: nullcontext({frame.name: local_file(frame)}))
    assert changes(project) == RawChanges({}, [])


def test_status_names_the_files_and_the_command(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    entry = ingested("")
    draft = Draft(Job.INGEST, "i", Kind.MANIFEST, dict.fromkeys(DAYS, entry), staged_time(), staged_time())
    project.ledger("readings").commit(draft)
    replace(project, DAYS[0], HEADER)
    (project.folder / "raw" / "readings" / f"{DAYS[1]}.csv").unlink()
    repo = str(project.settings.repo)
    assert main(["--repo", repo, "status"]) == 0
    told = capsys.readouterr().out
    assert f"raw changed    1: {DAYS[0]} ({DAYS[0]}.csv)" in told
    assert f"raw gone       1: {DAYS[1]}; the staged copies stay" in told
    assert f"--from-date {DAYS[0]} " in told
    assert main(["--repo", repo, "status", "--json"]) == 0
    [document] = json.loads(capsys.readouterr().out)
    assert document["raw_changed"] == {DAYS[0]: [f"{DAYS[0]}.csv"]}
    assert document["raw_gone"] == [DAYS[1]]


def staged_time() -> Any:
    from datetime import UTC, datetime

    return datetime(2026, 1, 6, tzinfo=UTC)


def test_a_glob_that_finds_one_more_file_is_a_change(tmp_path: Path) -> None:
    project = make_project(tmp_path, spark={})
    project.write_source(spec(raw={"uri": "../raw/readings/{partition}-*.csv"}), daily=SQL)
    project.drop("readings", f"{DAYS[0]}-1", HEADER)
    run(project, DAYS[0])
    project.drop("readings", f"{DAYS[0]}-2", HEADER)
    assert changes(project).changed == {DAYS[0]: [f"{DAYS[0]}-2.csv"]}

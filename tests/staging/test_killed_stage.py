from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from provender.intervals import Partition
from provender.ledger import Job, Kind, Manifest
from provender.staging import stage
from tests.engine import Project, make_project
from tests.spark.killed import run_killed
from tests.spark.readings import key_of, spec

COPY = "provender.staging.stage:_copy"
PLACES = {
    "before the first file": (COPY, {"before": 1}),
    "after the first file": (COPY, {"after": 1}),
    "in the middle of the second file": ("provender.storage.file:to_disk", {"before": 3}),
    "before the manifest": ("provender.ledger.ledger:Ledger.commit", {"before": 1}),
    "while the manifest is written": ("provender.storage.file:FileStorage.create", {"before": 1}),
    "after the manifest": ("provender.ledger.ledger:Ledger.commit", {"after": 1}),
}


def make(folder: Path) -> Project:
    project = make_project(folder, spark={})
    raw = {"uri": "../raw/readings/{partition}-*.csv", "format": "csv"}
    project.write_source(spec(raw=raw), daily="SELECT key, 1 AS total, 1 AS readings FROM readings")
    for part in ("1", "2", "3"):
        project.drop("readings", f"{key_of(1)}-{part}", f"key,value,at\n{part},1,{key_of(1)}\n")
    return project


def run(project: Project, attempt: str) -> Manifest:
    source = project.source("readings")
    return stage(project.settings, source, [Partition.parse(source.cadence, key_of(1))], attempt)


def staged_bytes(project: Project) -> dict[str, Any]:
    entry = project.ledger("readings").last(Job.STAGE)
    assert entry is not None
    found = entry.partitions[key_of(1)]
    names = project.storage.names(found.folder)
    return {name: project.storage.read(f"{found.folder}/{name}") for name in names} | {
        "delivery": found.delivery
    }


@pytest.mark.parametrize("place", PLACES)
def test_a_stage_killed_anywhere_is_done_by_the_next_run(tmp_path: Path, place: str) -> None:
    undisturbed, project = make(tmp_path / "undisturbed"), make(tmp_path / "killed")
    run(undisturbed, "only")
    step, when = PLACES[place]
    run_killed(project, "stage", [key_of(1)], step, attempt="killed", **when)
    committed = project.ledger("readings").manifests(Job.STAGE)
    assert len(committed) == (1 if place == "after the manifest" else 0)
    manifest = run(project, "again")
    assert manifest.kind is (Kind.RECEIPT if committed else Kind.MANIFEST)
    assert staged_bytes(project) == staged_bytes(undisturbed)


def test_an_absent_file_is_not_ready_and_an_empty_one_is_staged(tmp_path: Path) -> None:
    from provender.errors import SourceNotReadyError

    project = make_project(tmp_path, spark={})
    project.write_source(spec(), daily="SELECT key, 1 AS total, 1 AS readings FROM readings")
    with pytest.raises(SourceNotReadyError, match="no raw file for readings 2026-01-01") as caught:
        run(project, "absent")
    assert "2026-01-01.csv" in caught.value.where
    assert project.ledger("readings").manifests(Job.STAGE) == []
    project.drop("readings", key_of(1), b"")
    assert run(project, "empty").partitions[key_of(1)].files[0].bytes == 0


def test_what_the_spec_says_about_the_format_counts_though_the_bytes_are_the_same(tmp_path: Path) -> None:
    project = make(tmp_path)
    project.drop("readings", f"{key_of(1)}-1", "key,value,at\nä,1,2026-01-01\n".encode("latin-1"))
    first = run(project, "first").partitions[key_of(1)]
    raw = {"uri": "../raw/readings/{partition}-*.csv", "options": {"encoding": "ISO-8859-1"}}
    project.write_source(spec(raw=raw))
    second = run(project, "second").partitions[key_of(1)]
    assert (first.files[0].invalid_at, second.files[0].invalid_at) == (13, None)
    assert second.files[0].header == ("key", "value", "at")
    assert (second.content, second.delivery) == (first.content, 1)


def test_names_that_readers_would_take_for_something_else_are_staged_under_plain_ones(tmp_path: Path) -> None:
    project = make(tmp_path)
    for path in (project.folder / "raw" / "readings").iterdir():
        path.unlink()
    for name in ("_hidden", ".dot", "a b*?", "{x}", "$(rm -rf ~)"):
        project.drop("readings", f"{key_of(1)}-{name}", "key,value,at\n")
    names = {file.name for file in run(project, "odd").partitions[key_of(1)].files}
    assert len(names) == 5
    assert all(name.isascii() and not set(name) & set("*?{}[] $()~/") for name in names)

"""A raw file that is still being written is waited for, and never staged half."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from provender.errors import SourceNotReadyError
from provender.intervals import Partition
from provender.ledger import Job, Kind, Manifest
from provender.settings import load_settings
from provender.staging import arrived, stage
from provender.staging.raw_file import RawFile, local_file
from provender.staging.settle import Clock, is_settled, settled
from tests.engine import Project, make_project
from tests.spark.readings import key_of, spec

NOW = 1_800_000_000.0
HEADER = "key,value,at\n"


class Passing:
    """A clock that moves when somebody waits; ``meanwhile`` is called then."""

    def __init__(self, meanwhile: Callable[[int], None] = lambda _: None) -> None:
        self.time, self.waits, self.meanwhile = NOW, 0, meanwhile

    def clock(self) -> Clock:
        return Clock(now=lambda: self.time, pause=self.pause)

    def pause(self, seconds: float) -> None:
        self.time += seconds
        self.waits += 1
        self.meanwhile(self.waits)


def write(path: Path, text: str, modified: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (modified, modified))
    return path


def look(path: Path) -> Callable[[], list[RawFile]]:
    return lambda: [local_file(found) for found in sorted(path.parent.iterdir())]


def test_an_old_file_costs_no_waiting(tmp_path: Path) -> None:
    passing, path = Passing(), write(tmp_path / "a.csv", "x", NOW - 5)
    assert [file.bytes for file in settled(look(path), 5, passing.clock())] == [1]
    assert passing.waits == 0


def test_a_young_file_is_looked_at_twice(tmp_path: Path) -> None:
    passing, path = Passing(), write(tmp_path / "a.csv", "x", NOW - 1)
    settled(look(path), 5, passing.clock())
    assert (passing.waits, passing.time) == (1, NOW + 4)


def test_a_file_that_grows_is_waited_for_and_taken_whole(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "x", NOW)

    def grow(times: int) -> None:
        if times < 4:
            write(path, "x" * (times + 1), NOW + 5 * times)

    assert [file.bytes for file in settled(look(path), 5, Passing(grow).clock())] == [4]


def test_a_file_of_the_same_size_that_is_written_anew_has_not_settled(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "x", NOW)
    passing = Passing(lambda times: None if times > 2 else os.utime(path, (NOW + 5 * times,) * 2))
    settled(look(path), 5, passing.clock())
    assert passing.waits == 3


def test_another_file_beside_it_has_to_settle_too(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "x", NOW)
    passing = Passing(lambda times: None if times > 1 else (write(tmp_path / "b.csv", "y", NOW + 5), None)[1])
    assert [file.name for file in settled(look(path), 5, passing.clock())] == ["a.csv", "b.csv"]


def test_a_time_ahead_of_the_clock_is_judged_by_watching(tmp_path: Path) -> None:
    passing, path = Passing(), write(tmp_path / "a.csv", "x", NOW + 86_400)
    settled(look(path), 5, passing.clock())
    assert (passing.waits, passing.time) == (1, NOW + 5)


def test_a_file_that_never_settles_is_not_ready(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "x", NOW)
    passing = Passing(lambda times: (write(path, "x" * times, NOW + 5 * times), None)[1])
    with pytest.raises(
        SourceNotReadyError, match=r"a\.csv is still being written: \d+ bytes so far"
    ) as caught:
        settled(look(path), 5, passing.clock())
    assert "raw.settle" in caught.value.remedy
    assert passing.time <= NOW + 70


def test_settled_without_waiting_is_told_by_time_alone(tmp_path: Path) -> None:
    files = [local_file(write(tmp_path / "a.csv", "x", NOW))]
    told = [is_settled(files, 5, NOW + passed) for passed in (0, 4.9, 5, -86_400)]
    assert told == [False, False, True, True]
    (tmp_path / "a.csv").unlink()
    assert not is_settled(files, 5, NOW + 100)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """One whose raw files have to stand still for an hour."""
    made = make_project(tmp_path, spark={})
    path = made.settings.repo / "feature_store.yaml"
    document = yaml.safe_load(path.read_text())
    document["provender"]["staging"] = {"settle_seconds": 3600}
    path.write_text(yaml.safe_dump(document))
    found = Project(tmp_path, load_settings(made.settings.repo))
    found.write_source(spec(), daily="SELECT key, 1 AS total, 1 AS readings FROM readings")
    return found


def partition(project: Project) -> Partition:
    return Partition.parse(project.source("readings").cadence, key_of(1))


def run(project: Project, attempt: str = "a") -> Manifest:
    return stage(project.settings, project.source("readings"), [partition(project)], attempt)


def drop(project: Project, text: str = HEADER, age: timedelta = timedelta(hours=2)) -> Path:
    path = project.drop("readings", key_of(1), text)
    modified = path.stat().st_mtime - age.total_seconds()
    os.utime(path, (modified, modified))
    return path


def test_data_has_arrived_once_it_stands_still(project: Project) -> None:
    source = project.source("readings")
    drop(project, age=timedelta(minutes=30))
    assert not arrived(project.settings, source, partition(project))
    without = project.write_source(
        spec(raw={"uri": "../raw/readings/{partition}.csv", "settle": "10m"}),
        daily="SELECT key, 1 AS total, 1 AS readings FROM readings",
    )
    assert arrived(project.settings, without, partition(project))
    drop(project)
    assert arrived(project.settings, source, partition(project))


def test_the_manifest_says_which_version_of_a_file_was_staged(project: Project) -> None:
    path = drop(project)
    found = run(project).partitions[key_of(1)].raw
    assert found[f"{key_of(1)}.csv"].bytes == len(HEADER)
    assert found[f"{key_of(1)}.csv"].modified is not None
    os.utime(path, (NOW - 1e7, NOW - 1e7))
    again = run(project, "b")
    assert again.kind is Kind.RECEIPT
    assert again.partitions[key_of(1)].raw != found
    assert again.partitions[key_of(1)].delivery == 1


@pytest.mark.parametrize("time_column", [None, "at"], ids=["a file of a partition", "a location that is cut"])
def test_a_file_that_changes_while_it_is_copied_is_not_staged(
    project: Project, monkeypatch: pytest.MonkeyPatch, time_column: str | None
) -> None:
    path = drop(project)
    module = sys.modules["provender.staging.stage"]
    step = "_profiled"
    if time_column:
        path = path.rename(path.with_name("all.csv"))
        project.write_source(
            spec(raw={"uri": "../raw/readings/all.csv", "time_column": "at"}),
            daily="SELECT key, 1 AS total, 1 AS readings FROM readings",
        )
        module, step = sys.modules["provender.staging.found"], "require_location"
    before = getattr(module, step)

    def appended(*given: Any) -> Any:
        found = before(*given)
        with path.open("a") as file:
            file.write(f"a,1,{key_of(1)}\n")
        return found

    monkeypatch.setattr(module, step, appended)
    with pytest.raises(SourceNotReadyError, match="changed while it was being staged"):
        run(project)
    assert project.ledger("readings").manifests(Job.STAGE) == []

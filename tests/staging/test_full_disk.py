"""Staging on a disk that is full at one step after the other."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from provender.cli.main import main
from provender.errors import StorageError
from provender.intervals import Partition
from provender.ledger import Job, Manifest
from provender.staging import stage
from tests.engine import Project, make_project
from tests.small_disk import SmallDisk, walked
from tests.spark.readings import csv, day, key_of, make_readings


def _project(folder: Path, small_disk: SmallDisk, **changes: object) -> Project:
    """Its storage is on the small disk, nothing else."""
    project = make_project(folder, spark={})
    (folder / "storage").symlink_to(small_disk.folder)
    make_readings(project, **changes)
    return project


def _stage(project: Project, attempt: str = "stage") -> Manifest:
    source = project.source("readings")
    return stage(project.settings, source, [Partition.parse(source.cadence, key_of(1))], attempt)


def test_staging_fails_in_one_sentence_wherever_the_disk_is_full_and_is_right_when_there_is_space(
    tmp_path: Path, small_disk: SmallDisk
) -> None:
    project = _project(tmp_path, small_disk)
    text = csv([(f"key {number}", day(1), number) for number in range(1000)])
    project.drop("readings", key_of(1), text)
    seen: list[Manifest | None] = []

    def run() -> Manifest:
        seen.append(project.ledger("readings").last(Job.STAGE))
        return _stage(project)

    errors, manifest = walked(small_disk, run, 4)
    assert len({error.where for error in errors}) >= 2, "the staged file and the manifest"
    assert set(seen) == {None}, "nothing was committed before"
    entry = manifest.partitions[key_of(1)]
    assert project.storage.read(f"{entry.folder}/{entry.files[0].name}") == text.encode()
    assert [path for path in small_disk.folder.rglob("*") if path.name.startswith(".tmp-")] == []


@pytest.mark.parametrize("call", ["fsync", "link", "replace", "mkdir"])
def test_a_disk_that_fails_at_any_step_is_one_sentence_and_the_next_run_is_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    seen: set[str] = set()
    for at in range(1, 100):
        project = make_project(tmp_path / f"{call}-{at}", spark={})
        make_readings(project)
        project.drop("readings", key_of(1), csv([("a", day(1), 1)]))
        with monkeypatch.context() as patched:
            failing = _FailsOnce(getattr(os, call), at)
            patched.setattr(os, call, failing)
            try:
                manifest = _stage(project)
            except StorageError as error:
                assert "Input/output error" in error.what
                assert error.remedy.startswith("check the disk")
                seen.add(Path(error.where).name)
        if not failing.failed:
            break
        manifest = _stage(project, "again")
        entry = manifest.partitions[key_of(1)]
        assert entry.delivery == 1
        assert project.storage.names(entry.folder) == [f"{key_of(1)}.csv"]
        # A manifest that has its name is committed, also where the disk then failed: the second run finds it.
        assert len(project.ledger("readings").manifests(Job.STAGE)) in (1, 2)
    assert at >= 3 and len(seen) >= 2


class _FailsOnce:
    """A call of the operating system that fails with EIO the n-th time."""

    def __init__(self, call: Callable[..., Any], at: int) -> None:
        self._call, self._left, self.failed = call, at, False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self._left -= 1
        if self._left == 0:
            self.failed = True
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return self._call(*args, **kwargs)


@pytest.mark.parametrize("use", ["the library", "the command line"])
def test_a_full_folder_of_temporary_files_is_one_sentence(
    tmp_path: Path,
    small_disk: SmallDisk,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    use: str,
) -> None:
    project = make_project(tmp_path / "project", spark={})
    make_readings(project, raw={"uri": "../raw/readings/*.csv", "format": "csv", "time_column": "at"})
    project.drop("readings", "all", csv([(f"key {number}", day(1), 1) for number in range(5000)]))
    monkeypatch.setattr(tempfile, "tempdir", str(small_disk.folder))
    small_disk.fill()
    if use == "the library":
        with pytest.raises(StorageError, match="No space left on device") as caught:
            _stage(project)
        assert str(small_disk.folder) in str(caught.value)
    else:
        code = main(["--repo", str(project.settings.repo), "stage", "readings", key_of(1)])
        said = capsys.readouterr().err
        assert code == StorageError.exit_code
        assert "No space left on device" in said and "free space" in said
    assert project.ledger("readings").last(Job.STAGE) is None
    small_disk.clear()
    assert _stage(project).counts["files"] == 1

"""Staged copies that are gone, cut or changed are found, and replaced by the same raw bytes where those are."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from provender.errors import StagedCopyError, TerminalError
from provender.intervals import Partition
from provender.ledger import Kind
from provender.staging import stage
from provender.staging.additions import added_name
from provender.staging.copies import restore_copies
from tests.engine import Project, make_project
from tests.spark.readings import day, key_of, spec

ROWS = f"key,value,at\na,1,{key_of(1)}\n"
DAMAGE = {
    "is gone": lambda path: path.unlink(),
    "has 5 bytes instead of 28": lambda path: path.write_bytes(path.read_bytes()[:5]),
    "has 0 bytes instead of 28": lambda path: path.write_bytes(b""),
    "has other bytes than were staged": lambda path: path.write_bytes(
        path.read_bytes().replace(b"1", b"2", 1)
    ),
}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    found = make_project(tmp_path, spark={})
    found.write_source(spec(), daily="SELECT key, 1 AS total, 1 AS readings FROM readings")
    found.drop("readings", key_of(1), ROWS)
    run(found)
    return found


def run(project: Project, attempt: str = "a") -> Kind:
    source = project.source("readings")
    return stage(project.settings, source, [Partition.parse(source.cadence, key_of(1))], attempt).kind


def staged_path(project: Project, name: str = "") -> Path:
    entry = project.ledger("readings").last("stage").partitions[key_of(1)]  # type: ignore[arg-type, union-attr]
    return project.folder / "storage" / entry.folder / (name or entry.files[0].name)


def restore(project: Project) -> list[str]:
    last = project.ledger("readings").last("stage")  # type: ignore[arg-type]
    assert last is not None
    return restore_copies(project.settings, project.storage, project.source("readings"), last.partitions)


def test_a_copy_that_is_as_it_was_staged_is_left_alone(project: Project) -> None:
    before = staged_path(project).stat()
    assert restore(project) == []
    assert staged_path(project).stat() == before


@pytest.mark.parametrize("fault", DAMAGE)
def test_a_damaged_copy_is_replaced_by_the_same_raw_bytes(project: Project, fault: str) -> None:
    DAMAGE[fault](staged_path(project))
    [note] = restore(project)
    assert fault in note
    assert staged_path(project).read_text() == ROWS


@pytest.mark.parametrize("fault", DAMAGE)
@pytest.mark.parametrize(
    "raw", [None, ROWS.replace("a", "b")], ids=["the raw file is gone", "it has changed"]
)
def test_where_the_raw_bytes_are_gone_too_one_error_has_the_way_out(
    project: Project, fault: str, raw: str | None
) -> None:
    path = staged_path(project)
    DAMAGE[fault](path)
    if raw is None:
        (project.folder / "raw" / "readings" / f"{key_of(1)}.csv").unlink()
    else:
        project.drop("readings", key_of(1), raw)
    with pytest.raises(StagedCopyError, match=fault) as caught:
        restore(project)
    assert isinstance(caught.value, TerminalError)
    assert "SQL" not in str(caught.value)
    assert f"provender ingest readings {key_of(1)}" in caught.value.remedy
    assert path.name in caught.value.where
    # The way out is one: the same bytes fix the copy.
    project.drop("readings", key_of(1), ROWS)
    run(project, "again")
    restore(project)
    assert path.read_text() == ROWS


def test_staging_the_same_bytes_again_replaces_a_copy_that_is_gone(project: Project) -> None:
    staged_path(project).unlink()
    assert run(project, "again") is Kind.RECEIPT
    last = project.ledger("readings").last("stage")  # type: ignore[arg-type]
    assert last is not None
    assert "was gone" in last.notes[0]
    assert staged_path(project).read_text() == ROWS


def test_rows_cut_from_a_location_are_cut_again(project: Project) -> None:
    project.drop("readings", "all", ROWS + f"b,1,{key_of(2)}\n")
    project.write_source(spec(raw={"uri": "../raw/readings/all.csv", "time_column": "at"}))
    run(project, "cut")
    before = staged_path(project).read_bytes()
    staged_path(project).unlink()
    project.drop("readings", "all", ROWS + f"b,1,{key_of(2)}\nc,1,{key_of(3)}\n")
    assert len(restore(project)) == 1
    assert staged_path(project).read_bytes() == before


def test_added_rows_that_are_gone_are_named_by_staging_too(project: Project, tmp_path: Path) -> None:
    from contextlib import nullcontext

    from provender.staging.raw_file import local_file

    name = added_name("0" * 64)
    pq.write_table(pa.table({"key": ["z"], "value": [1], "at": [day(1)]}), tmp_path / name)
    source = project.source("readings")
    partition = Partition.parse(source.cadence, key_of(1))
    raw = project.folder / "raw" / "readings" / f"{key_of(1)}.csv"
    files = {raw.name: local_file(raw), name: local_file(tmp_path / name)}
    stage(project.settings, source, [partition], "added", lambda _: nullcontext(files))
    assert run(project, "beside it") is Kind.RECEIPT or staged_path(project, name).exists()
    staged_path(project, name).unlink()
    for lost in (lambda: restore(project), lambda: run(project, "again")):
        with pytest.raises(StagedCopyError, match=f"{name} is gone") as caught:
            lost()
        assert "without add=True" in caught.value.remedy

"""Half-made tables, made by hand or by deltalake: no engine is needed to find them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import deltalake
import pyarrow as pa
import pytest

from provender.errors import DamagedFileError
from provender.ledger import Draft, Job, Kind, Ledger
from provender.tables.delta_log import DeltaLogFiles
from provender.tables.feature_log import FeatureLog
from provender.tables.repair import repair_tables
from provender.tables.tables import raw_table
from tests.engine import Project, make_project
from tests.logged import logged
from tests.manifests import table_commit
from tests.spark.readings import make_readings

NOW = datetime(2026, 2, 1, tzinfo=UTC)
FIRST = "_delta_log/00000000000000000000.json"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = make_project(tmp_path, spark={})
    make_readings(made)
    return made


def _folder(project: Project) -> Path:
    return project.folder / "storage" / "tables" / "readings" / "latest"


def _repair(project: Project) -> list[str]:
    with logged() as said:
        repair_tables(project.storage, project.source("readings"), project.ledger("readings"))
    return said


def _write(project: Project, rows: int, version: int) -> None:
    transaction = deltalake.Transaction("provender/tables/readings/latest", version)
    deltalake.write_deltalake(
        str(_folder(project)),
        pa.table({"x": list(range(rows))}),
        mode="append",
        commit_properties=deltalake.CommitProperties(app_transactions=[transaction]),
    )


def _record(ledger: Ledger, version: int) -> None:
    wrote = [table_commit("tables/readings/latest", version=version)]
    ledger.commit(Draft(Job.INGEST, "a", Kind.MANIFEST, {}, NOW, recorded_up_to=NOW, wrote=wrote))


def _staged_commits(folder: Path) -> None:
    (folder / "_delta_log" / "_staged_commits").mkdir(parents=True)


def _unfinished(folder: Path) -> None:
    (folder / "_delta_log").mkdir(parents=True)
    (folder / "_delta_log" / ".00000000000000000000.json.4f1c.tmp").write_text("{")


def _data_only(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "part-00000.parquet").write_text("PAR1")


def _first_commit(text: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        (folder / "_delta_log").mkdir(parents=True)
        (folder / FIRST).write_text(text)
        (folder / "_delta_log" / ".00000000000000000000.json.crc").write_text("x")

    return make


HALF_MADE = {
    "an empty folder": lambda folder: folder.mkdir(parents=True),
    "an empty log": lambda folder: (folder / "_delta_log").mkdir(parents=True),
    "staged commits only": _staged_commits,
    "unfinished files only": _unfinished,
    "data files only": _data_only,
    "an empty first commit": _first_commit(""),
    "a cut first commit": _first_commit('{"commitInfo": {}}\n{"metaDa'),
    "a first commit that says nothing of the table": _first_commit('{"commitInfo": {}}\n'),
}


@pytest.mark.parametrize("make", HALF_MADE.values(), ids=HALF_MADE)
def test_a_table_that_was_left_half_made_is_no_table_and_is_removed(
    project: Project, make: Callable[[Path], None]
) -> None:
    make(_folder(project))
    said = _repair(project)
    assert not _folder(project).exists()
    assert any("recreated" in line for line in said)
    assert _repair(project) == []
    _write(project, 2, 5)
    assert FeatureLog(_folder(project).as_uri()).version == 0


@pytest.mark.parametrize("text", ["", '{"commitInfo": {}}\n{"ad', "\x00\x00", "[]"])
def test_a_commit_in_part_that_no_manifest_names_is_removed(project: Project, text: str) -> None:
    _write(project, 2, 5)
    _record(project.ledger("readings"), 0)
    torn = _folder(project) / "_delta_log" / "00000000000000000001.json"
    torn.write_text(text)
    (torn.parent / f".{torn.name}.crc").write_text("x")
    assert len(_repair(project)) == 1
    assert [path.name for path in torn.parent.glob("*0001*")] == []
    _write(project, 3, 6)
    assert FeatureLog(_folder(project).as_uri()).version == 1


@pytest.mark.parametrize("damage", ["the commit is cut", "the commit is empty", "the log is gone"])
def test_what_a_manifest_names_is_never_removed(project: Project, damage: str) -> None:
    _write(project, 2, 5)
    _record(project.ledger("readings"), 0)
    commit = _folder(project) / FIRST
    if damage == "the log is gone":
        commit.unlink()
    else:
        commit.write_text('{"metaDa' if "cut" in damage else "")
    before = sorted(path.name for path in _folder(project).rglob("*"))
    with pytest.raises(DamagedFileError) as caught:
        _repair(project)
    assert "tables/readings/latest/_delta_log" in caught.value.where
    assert "backup" in caught.value.remedy
    assert sorted(path.name for path in _folder(project).rglob("*")) == before


def test_a_table_that_a_person_removed_is_made_anew_also_after_an_accident(project: Project) -> None:
    _write(project, 2, 5)
    _record(project.ledger("readings"), 0)
    shutil.rmtree(_folder(project))
    _staged_commits(_folder(project))
    assert any("recreated" in line for line in _repair(project))
    assert not _folder(project).exists()


def test_a_whole_table_is_left_alone_and_one_that_is_not_there_too(project: Project) -> None:
    assert _repair(project) == []
    _write(project, 2, 5)
    before = sorted(_folder(project).rglob("*"))
    assert _repair(project) == []
    assert sorted(_folder(project).rglob("*")) == before


def test_a_reader_is_told_of_a_log_that_cannot_be_read(project: Project) -> None:
    _first_commit("")(_folder(project))
    with pytest.raises(DamagedFileError, match="log cannot be read"):
        _ = FeatureLog(_folder(project).as_uri()).version
    _staged_commits(_folder(project).with_name("daily"))
    assert not FeatureLog(_folder(project).with_name("daily").as_uri()).exists


def test_a_write_is_found_by_its_transaction_among_the_later_versions_only(project: Project) -> None:
    _write(project, 2, 5)
    _write(project, 3, 7)
    log = DeltaLogFiles(project.storage, "tables/readings/latest")
    app_id = "provender/tables/readings/latest"
    found = log.find(app_id, 7, after=0)
    assert found is not None
    assert (found.version, found.rows, found.files) == (1, 3, 1)
    assert log.find(app_id, 7, after=1) is None, "it was there before"
    assert log.find(app_id, 8, after=0) is None
    assert log.find("another", 7, after=None) is None
    assert log.newest() == 1


def test_rows_that_a_replacement_only_copied_are_not_counted_as_written(project: Project) -> None:
    folder = _folder(project) / "_delta_log"
    folder.mkdir(parents=True)
    actions = [
        {"commitInfo": {"operationMetrics": {"numCopiedRows": "7", "numOutputRows": "8"}}},
        {"txn": {"appId": "a", "version": 3}},
        {"add": {"path": "1", "size": 10, "stats": '{"numRecords":1}'}},
        {"add": {"path": "2", "size": 20, "stats": '{"numRecords":7}'}},
    ]
    (folder / "00000000000000000004.json").write_text("\n".join(json.dumps(action) for action in actions))
    commit = DeltaLogFiles(project.storage, "tables/readings/latest").commit(4)
    assert (commit.rows, commit.rows_are_exact) == (1, False)
    assert commit.summary == {"version": 4, "files": 2, "bytes": 30}


def test_the_newest_transaction_is_known_whether_or_not_a_manifest_was_committed(project: Project) -> None:
    table = raw_table(project.storage, project.source("readings"))
    assert table.last_transaction("a") is None
    for version in (3, 9):
        deltalake.write_deltalake(
            table.uri,
            pa.table({"x": [1]}),
            mode="append",
            commit_properties=deltalake.CommitProperties(
                app_transactions=[deltalake.Transaction("a", version)]
            ),
        )
    assert table.last_transaction("a") == 9
    assert table.last_transaction("b") is None


@pytest.mark.parametrize("content", [b"", b"PAR1 and the rest is miss"], ids=["empty", "cut"])
def test_a_checkpoint_in_part_is_removed_where_the_commits_say_the_same(
    project: Project, content: bytes
) -> None:
    for version in range(3):
        _write(project, 2, version)
    deltalake.DeltaTable(str(_folder(project))).create_checkpoint()
    _write(project, 2, 7)
    _record(project.ledger("readings"), 3)
    (checkpoint,) = (_folder(project) / "_delta_log").glob("*.checkpoint.parquet")
    whole = checkpoint.read_bytes()
    checkpoint.write_bytes(content)
    assert len(_repair(project)) == 1
    assert not checkpoint.exists()
    assert deltalake.DeltaTable(str(_folder(project))).to_pyarrow_table().num_rows == 8
    assert _repair(project) == []
    hint = checkpoint.with_name("_last_checkpoint")
    hint.write_text('{"version": 2, "size": 5}')
    assert len(_repair(project)) == 1 and not hint.exists()
    hint.write_text('{"ver')
    assert _repair(project) == [] and hint.exists(), "readers pass over it"
    checkpoint.write_bytes(whole)
    assert _repair(project) == [] and checkpoint.exists()
    checkpoint.write_bytes(content)
    (_folder(project) / FIRST).unlink()
    with pytest.raises(DamagedFileError, match="its commits are gone"):
        _repair(project)
    assert checkpoint.exists()

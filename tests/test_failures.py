"""Failure documents: a job that fails says why in the storage, and who started it reads it there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from provender.errors import ContractError, SettingsError, StorageError, TrainingSetError, TransientError
from provender.failures import (
    Failure,
    error_of,
    forget_failure,
    read_failure,
    run_job,
    write_failure,
)
from provender.settings import Settings

SETTINGS = """
project: p
registry: registry.db
provider: local
provender: {storage_root: ../storage, state_dir: ../state}
"""
BROKEN = ContractError("12 rows", source="rides", partitions=("2026-01-01",), reasons={"too_late": 12})


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    folder = tmp_path / "repo"
    folder.mkdir()
    (folder / "feature_store.yaml").write_text(SETTINGS)
    return folder


def root_of(repo: Path) -> str:
    return (repo.parent / "storage").as_uri()


def breaks(_: Settings) -> None:
    raise BROKEN


def test_a_failure_is_there_until_a_new_try_begins(tmp_path: Path) -> None:
    folder = tmp_path.as_uri()
    forget_failure(folder, "run-1")
    write_failure(folder, Failure("run-1", TrainingSetError("broken"), "load", "log"))
    found = read_failure(folder, "run-1")
    assert found is not None
    assert (found.job, str(found.error), found.step, found.log) == ("run-1", "broken", "load", "log")
    assert read_failure(folder, "run-2") is None
    forget_failure(folder, "run-1")
    assert read_failure(folder, "run-1") is None


def test_a_job_that_fails_leaves_its_error_with_class_and_attributes(repo: Path) -> None:
    assert run_job(repo, "attempt-1", breaks) == ContractError.exit_code
    error = error_of(root_of(repo), "attempt-1")
    assert isinstance(error, ContractError)
    assert (error.partitions, error.reasons) == (("2026-01-01",), {"too_late": 12})
    failure = read_failure(root_of(repo), "attempt-1")
    assert failure is not None and "in breaks" in failure.log


def test_a_job_that_ends_well_leaves_none(repo: Path) -> None:
    assert run_job(repo, "attempt-1", lambda settings: None) == 0
    assert error_of(root_of(repo), "attempt-1") is None


def test_what_nobody_expected_is_told_too_and_may_be_tried_again(repo: Path) -> None:
    def divide(_: Settings) -> None:
        raise ZeroDivisionError("by nothing")

    with pytest.raises(ZeroDivisionError):
        run_job(repo, "attempt-1", divide)
    error = error_of(root_of(repo), "attempt-1")
    assert type(error) is TransientError and "ZeroDivisionError: by nothing" in error.what


def test_before_the_storage_is_known_the_message_and_the_exit_code_are_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_job(tmp_path, "attempt-1", breaks) == SettingsError.exit_code
    assert "no feature_store.yaml there" in capsys.readouterr().err


def test_a_storage_that_cannot_be_written_does_not_hide_the_error(
    repo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (repo.parent / "storage").write_text("a file where the folder should be")
    assert run_job(repo, "attempt-1", breaks) == ContractError.exit_code
    shown = capsys.readouterr().err
    assert "12 rows" in shown and "could not be written" in shown


def test_a_document_of_the_training_steps_before_is_read(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    error = {
        "kind": "StorageError",
        "terminal": "false",
        "what": "w",
        "where": "",
        "not_affected": "u",
        "remedy": "",
    }
    document = {"format": 1, "step": "train", "error": error, "log": "l"}
    (tmp_path / "runs" / "r.failed.json").write_text(json.dumps(document))
    found = read_failure(tmp_path.as_uri(), "r")
    assert found is not None and found.step == "train"
    assert isinstance(found.error, StorageError) and found.error.not_affected == "u"
    forget_failure(tmp_path.as_uri(), "r")
    assert read_failure(tmp_path.as_uri(), "r") is None

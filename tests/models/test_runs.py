"""What a training run leaves behind."""

from __future__ import annotations

from pathlib import Path

from provender.errors import TrainingSetError
from provender.model_registry.runs import (
    forget_failure,
    read_failure,
    read_result,
    write_failure,
    write_result,
)


def test_a_result_is_read_as_it_was_written(tmp_path: Path) -> None:
    output = tmp_path.as_uri()
    assert read_result(output, "run-1") is None
    write_result(output, "run-1", {"version": "v1", "metrics": {"roc_auc": None}})
    write_result(output, "run-1", {"version": "v2", "metrics": {"roc_auc": 0.7}})
    expected = {"format": 1, "run_name": "run-1", "version": "v2", "metrics": {"roc_auc": 0.7}}
    assert read_result(output, "run-1") == expected


def test_a_failure_is_there_until_a_new_try_begins(tmp_path: Path) -> None:
    output, error = tmp_path.as_uri(), TrainingSetError("broken").to_dict()
    forget_failure(output, "run-1")
    write_failure(output, "run-1", "load", error, "log")
    assert read_failure(output, "run-1") == {"format": 1, "step": "load", "error": error, "log": "log"}
    assert read_result(output, "run-1") is None
    forget_failure(output, "run-1")
    assert read_failure(output, "run-1") is None

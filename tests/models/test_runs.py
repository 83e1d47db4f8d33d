"""What a training run leaves behind."""

from __future__ import annotations

from pathlib import Path

from provender.model_registry.runs import read_result, write_result


def test_a_result_is_read_as_it_was_written(tmp_path: Path) -> None:
    output = tmp_path.as_uri()
    assert read_result(output, "run-1") is None
    write_result(output, "run-1", {"version": "v1", "metrics": {"roc_auc": None}})
    write_result(output, "run-1", {"version": "v2", "metrics": {"roc_auc": 0.7}})
    expected = {"format": 1, "run_name": "run-1", "version": "v2", "metrics": {"roc_auc": 0.7}}
    assert read_result(output, "run-1") == expected

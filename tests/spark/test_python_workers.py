"""Python workers of the local engine: shared by sessions, and never older than the code."""

from __future__ import annotations

import importlib
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

import provender
from provender.spark.engine.workers import with_current_code

pytestmark = pytest.mark.spark
NAME = "provender.edited_in_a_test"


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file of a module of ours."""
    monkeypatch.setattr(provender, "__path__", [*provender.__path__, str(tmp_path)])
    yield tmp_path / f"{NAME.removeprefix('provender.')}.py"
    sys.modules.pop(NAME, None)


def test_a_worker_sees_an_edit_at_its_next_task(module: Path) -> None:
    found = []
    run = with_current_code(lambda _in, _out: found.append(importlib.import_module(NAME).VALUE))
    kept = dict(sys.modules)
    for number, text in enumerate(("VALUE = 1", "VALUE = 1", "VALUE = 2222")):
        if number != 1:
            module.write_text(text)
            os.utime(module, ns=(number, number + 1))
        run(io.BytesIO(), io.BytesIO())
    sys.modules.update({name: was for name, was in kept.items() if name.startswith("provender.")})
    assert found == [1, 1, 2222]


def test_sessions_share_their_python_workers(engine_url: str) -> None:
    def parents() -> set[int]:
        session = SparkSession.builder.remote(engine_url).create()
        try:
            rows = session.range(1).mapInArrow(_parent, "parent long").collect()
        finally:
            session.stop()
        return {row["parent"] for row in rows}

    def _parent(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for _ in batches:
            yield pa.RecordBatch.from_pydict({"parent": [os.getppid()]})

    assert parents() == parents()

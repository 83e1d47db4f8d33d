"""What becomes of every raw file of the corpus: no row vanishes in silence, whichever way the file comes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from provender.errors import ProvenderError, TerminalError
from provender.ingestion.checked_rows import checked_batches, staged_files
from provender.intervals import Partition
from provender.specs.source import Source
from provender.staging import stage
from tests.engine import Project, make_project
from tests.raw_files.corpus import CASES, RawCase
from tests.raw_files.table import documented_table

KEY = "2026-11-20"
DOCUMENT = Path(__file__).parents[2] / "docs" / "raw-files.md"


def _ways() -> Iterator[Any]:
    for group, cases in CASES.items():
        for case in cases:
            for way in ("file", "location") if case.cut else ("file",):
                yield pytest.param(case, way, id=f"{group}: {case.what}: {way}")


def _source(project: Project, case: RawCase, way: str) -> Source:
    folder = "raw" if way == "location" else f"raw/{KEY}"
    (project.folder / folder).mkdir(parents=True)
    (project.folder / folder / case.name).write_bytes(case.read())
    where = {"uri": "../raw", "time_column": "at"} if way == "location" else {"uri": "../raw/{partition}"}
    return project.write_source(
        {
            "name": "comes",
            "owner": "tests",
            "cadence": "daily",
            "start": "2026-11-01",
            "lateness": "1d",
            "raw": where | case.raw,
            "event_timestamp": {"column": "at"},
            "violations": {"max_share": 1.0},
            "columns": [
                {"name": "k", "type": "STRING", "required": True},
                {"name": "v", "type": "INT64"},
                {"name": "at", "type": "TIMESTAMP"},
            ],
            "tables": [{"name": "comes", "keys": ["k"]}],
        }
        | case.spec
    )


def _becomes(project: Project, source: Source, shows_time: bool) -> str:
    manifest = stage(project.settings, source, [Partition.parse(source.cadence, KEY)], "a")
    accepted, reasons, times = [], Counter[str](), set()
    for file in staged_files(project.storage, source, manifest.partitions, {}):
        for batch in checked_batches(project.storage, source, file):
            for row in batch.to_pylist():
                reasons.update(row["_reasons"])
                if not row["_reasons"]:
                    key = row["k"].replace("\n", "\\n").replace("\0", "\\0")
                    key = f"_{key.strip()}_" if key != key.strip() else key
                    accepted.append(f"{key}={row['v']}")
                    times.add(f"@{row['_event']:%H:%M}")
    rows = " ".join([*sorted(accepted), *(sorted(times) if shows_time else [])])
    broken = ", ".join(f"{reason} {number}" for reason, number in sorted(reasons.items(), reverse=True))
    return f"{rows}; {broken}" if broken else rows


@pytest.mark.parametrize(("case", "way"), _ways())
def test_a_raw_file_becomes_what_the_table_says(tmp_path: Path, case: RawCase, way: str) -> None:
    project = make_project(tmp_path, spark={})
    source = _source(project, case, way)
    if not case.becomes.startswith("refused:"):
        assert _becomes(project, source, "@" in case.becomes) == case.becomes
        return
    with pytest.raises(ProvenderError) as refused:
        _becomes(project, source, shows_time=False)
    assert isinstance(refused.value, TerminalError), refused.value
    assert case.becomes.removeprefix("refused:").strip() in str(refused.value)
    assert refused.value.where and refused.value.not_affected and refused.value.remedy, refused.value


def test_the_table_in_the_docs_is_the_corpus() -> None:
    assert documented_table() in DOCUMENT.read_text(encoding="utf-8")

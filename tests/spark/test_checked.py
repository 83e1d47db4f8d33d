"""Little and much take two ways into Spark: the rows are the same."""

from __future__ import annotations

from typing import Any

import pytest

from provender.errors import ContractError
from provender.ingestion import checked_rows
from provender.intervals import Partition
from provender.staging import stage
from tests.engine import Project
from tests.spark.readings import key_of, make_readings

pytestmark = pytest.mark.spark


def staged(project: Project, *numbers: int) -> dict[str, dict[str, Any]]:
    source = project.source("readings")
    keys = [Partition.parse(source.cadence, key_of(n)) for n in numbers]
    return stage(project.settings, source, keys, "s").partitions


def lines(number: int, count: int) -> str:
    rows = [f'"k\n{n % 7}",{n - 5},{key_of(number)}T{n % 24:02}:00:00Z' for n in range(count)]
    rows[3] = "few"
    rows[5] = f"k,many,{key_of(number)}"
    return "\n".join(["key,value,at", *rows, ""])


def test_parts_read_by_workers_give_the_rows_that_this_process_reads(
    project: Project, spark: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_readings(project)
    for number in (1, 2):
        project.drop("readings", key_of(number), lines(number, 3_000))
    work = project.storage, project.source("readings"), staged(project, 1, 2)
    waived = {key_of(2): ("below_min",)}
    monkeypatch.setattr(checked_rows, "_PART_BYTES", 20_000)
    here = checked_rows.checked_rows(spark, *work, waived)
    parted = checked_rows.checked_rows(spark, *work, waived, held_bytes=0)
    assert here.schema == parted.schema
    found = [sorted(map(str, frame.toArrow().to_pylist())) for frame in (here, parted)]
    assert len(found[0]) == 6_000
    assert found[0] == found[1]
    assert sum('{"_record":4,"_line":"few"}' in row for row in found[0]) == 2


def test_a_file_that_workers_cannot_read_is_our_error(project: Project, spark: Any) -> None:
    make_readings(project)
    project.drop("readings", key_of(1), lines(1, 10))
    entries = staged(project, 1)
    [file] = entries[key_of(1)].files
    path = project.storage.uri(f"{entries[key_of(1)].folder}/{file.name}").removeprefix("file://")
    with open(path, "wb") as damaged:
        damaged.write(b"key,value,at\n\xff\xfe,1,2026-01-01\n")
    for held in (1 << 20, 0):
        with pytest.raises(ContractError, match="byte 13 cannot be decoded") as caught:
            checked_rows.checked_rows(spark, project.storage, project.source("readings"), entries, {}, held)
        assert caught.value.where.endswith(file.name)

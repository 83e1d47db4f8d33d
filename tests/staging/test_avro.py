from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import fastavro
import pytest

from provender.specs.source import Raw
from provender.staging.profile import profile

FIELDS: list[dict[str, Any]] = [
    {"name": "key", "type": "string"},
    {"name": "value", "type": ["null", "long"]},
    {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
]


def avro(rows: int = 3, fields: Sequence[dict[str, Any]] = FIELDS, **options: Any) -> bytes:
    file = io.BytesIO()
    schema = {"type": "record", "name": "row", "fields": list(fields)}
    records = [{"key": "k", "value": n, "at": n, "KEY": "k"} for n in range(rows)]
    fastavro.writer(file, schema, records, **options)
    return file.getvalue()


def profiled(data: bytes) -> dict[str, Any]:
    return profile(io.BytesIO(data), "rows.avro", Raw(uri="{partition}.csv"))


@pytest.mark.parametrize("options", [{}, {"codec": "deflate"}, {"sync_interval": 100}], ids=str)
def test_an_avro_file_tells_its_columns(options: dict[str, Any]) -> None:
    data = avro(1000, **options)
    found = profiled(data)
    assert (found["format"], found["bytes"]) == ("avro", len(data))
    assert found["schema"]["key"] == "string"
    assert found["schema"]["value"] == '["null", "long"]'
    assert "unreadable" not in found


def test_a_column_that_is_there_twice_is_told() -> None:
    twice = [*FIELDS, {"name": "KEY", "type": "string"}]
    assert profiled(avro(fields=twice))["twice"] == ["key"]


@pytest.mark.parametrize("cut", [3, 10, 60, 200, -1, -17, -40])
def test_a_file_that_ends_in_the_middle_is_damaged(cut: int) -> None:
    found = profiled(avro(500, sync_interval=300)[:cut])
    assert found["unreadable"].startswith("damaged Avro")


@pytest.mark.parametrize("data", [b"PAR1 or whatever", b"Obj\x01" + b"\xff" * 50, b"Obj\x01\x00" + b"s" * 16])
def test_what_is_no_avro_is_damaged(data: bytes) -> None:
    assert profiled(data)["unreadable"].startswith("damaged Avro")


def test_a_changed_byte_between_blocks_is_damage() -> None:
    data = bytearray(avro(10))
    data[-1] ^= 1
    assert "does not end where it should" in profiled(bytes(data))["unreadable"]


def test_an_empty_file_is_a_partition_without_rows() -> None:
    assert "unreadable" not in profiled(b"")

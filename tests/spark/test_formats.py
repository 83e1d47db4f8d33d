"""The formats in which other systems deliver: each a day, ingested at once."""

from __future__ import annotations

import bz2
import gzip
import io
import json
from datetime import timedelta
from typing import Any

import fastavro
import pytest

from provender.errors import ContractError
from tests.engine import Project
from tests.spark.readings import day, key_of, spec
from tests.staging.test_avro import FIELDS

pytestmark = pytest.mark.spark


def csv(number: int) -> bytes:
    return f"key,value,at\na,{number},{key_of(number)}T01:00:00Z\nb,{number},{key_of(number)}T02:00:00Z\n".encode()


def json_lines(number: int) -> bytes:
    rows = [{"key": key, "value": number, "at": f"{key_of(number)}T01:00:00Z"} for key in "ab"]
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def avro(number: int) -> bytes:
    file = io.BytesIO()
    rows: list[dict[str, Any]] = [
        {"key": k, "value": number, "at": day(number) + timedelta(hours=1)} for k in "ab"
    ]
    fastavro.writer(file, {"type": "record", "name": "row", "fields": FIELDS}, rows, codec="deflate")
    return file.getvalue()


def source_of(project: Project, raw_format: str) -> None:
    raw = {"uri": "../raw/readings/{partition}.*", "format": raw_format}
    sql = "SELECT key, sum(value) AS total, count(*) AS readings FROM readings GROUP BY key"
    project.write_source(spec(raw=raw), daily=sql)


def drop(project: Project, number: int, extension: str, data: bytes) -> None:
    path = project.drop("readings", key_of(number), data)
    path.rename(path.with_name(f"{key_of(number)}.{extension}"))


def test_compressed_text_and_avro_are_read_as_what_they_are(project: Project) -> None:
    source_of(project, "csv")
    two_members = bz2.compress(csv(2)[: csv(2).index(b"b,")]) + bz2.compress(csv(2)[csv(2).index(b"b,") :])
    drop(project, 1, "csv.gz", gzip.compress(csv(1)))
    drop(project, 2, "csv.bz2", two_members)
    drop(project, 3, "avro", avro(3))
    manifest = project.run("readings", *map(key_of, (1, 2, 3)))
    assert (manifest.counts["accepted"], manifest.counts["quarantined"]) == (6, 0)


def test_compressed_json_lines_are_read(project: Project) -> None:
    source_of(project, "json")
    drop(project, 1, "json.gz", gzip.compress(json_lines(1)))
    drop(project, 2, "json.bz2", bz2.compress(json_lines(2)))
    drop(project, 3, "avro", avro(3))
    manifest = project.run("readings", *map(key_of, (1, 2, 3)))
    assert (manifest.counts["accepted"], manifest.counts["quarantined"]) == (6, 0)


@pytest.mark.parametrize(
    ("extension", "data"),
    [("csv.bz2", bz2.compress(csv(1))[:-9]), ("csv.bz2", b"no bzip"), ("avro", avro(1)[:-9])],
)
def test_a_damaged_file_is_refused(project: Project, extension: str, data: bytes) -> None:
    source_of(project, "csv")
    drop(project, 1, extension, data)
    with pytest.raises(ContractError, match="damaged"):
        project.run("readings", key_of(1))

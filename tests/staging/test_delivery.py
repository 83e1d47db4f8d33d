"""What is no delivery is refused before it is staged, and takes nothing back."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from provender.errors import ContractError
from provender.intervals import Partition
from provender.ledger import Job, Manifest
from provender.staging import stage
from tests.engine import Project, make_project
from tests.spark.readings import day, key_of, spec

XML = b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>AccessDenied</Code></Error>'
HTML = b"<!DOCTYPE html>\n<html><head><title>502 Bad Gateway</title></head>\n<body>oops</body></html>\n"
ERROR = b'{"error": {"code": 403, "message": "quota"}}\n'
GARBAGE = {
    "an XML error": XML,
    "Access Denied": b"Access Denied",
    "a page of HTML": HTML,
    "NULs": b"\0" * 4096,
    "an error as JSON": ERROR,
    "other columns": b"id,message,severity\n1,boom,high\n",
    "other columns and no row": b"id,message,severity\n",
    "one column of three": b"key,message,severity\n",
}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make_project(tmp_path, spark={})


def parquet(table: pa.Table) -> bytes:
    file = io.BytesIO()
    pq.write_table(table, file)
    return file.getvalue()


def avro(fields: list[str]) -> bytes:
    file = io.BytesIO()
    schema = {
        "type": "record",
        "name": "row",
        "fields": [{"name": name, "type": "string"} for name in fields],
    }
    fastavro.writer(file, schema, [])
    return file.getvalue()


def make(project: Project, extension: str = "csv", time_column: str | None = None, **changes: Any) -> None:
    name = "all" if time_column else "{partition}"
    kind = extension.removesuffix(".gz")
    raw = {"uri": f"../raw/readings/{name}.{extension}", "format": kind, **changes.pop("raw", {})}
    raw |= {"time_column": time_column} if time_column else {}
    sql = "SELECT key, 1 AS total, 1 AS readings FROM readings"
    project.write_source(spec(raw=raw, **changes), daily=sql)


def drop(project: Project, name: str, data: bytes) -> None:
    path = project.folder / "raw" / "readings" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def run(project: Project, attempt: str = "a") -> Manifest:
    source = project.source("readings")
    return stage(project.settings, source, [Partition.parse(source.cadence, key_of(1))], attempt)


def refused(project: Project) -> ContractError:
    before = len(project.ledger("readings").manifests(Job.STAGE))
    with pytest.raises(ContractError) as caught:
        run(project, "refused")
    assert len(project.ledger("readings").manifests(Job.STAGE)) == before
    assert "deliver the file again" in caught.value.remedy
    return caught.value


@pytest.mark.parametrize("data", GARBAGE.values(), ids=GARBAGE)
@pytest.mark.parametrize("time_column", [None, "at"], ids=["a file of a partition", "a location that is cut"])
def test_what_is_no_csv_of_the_source_is_refused_and_quoted(
    project: Project, data: bytes, time_column: str | None
) -> None:
    make(project, time_column=time_column)
    drop(project, "all.csv" if time_column else f"{key_of(1)}.csv", data)
    error = refused(project)
    assert "is no delivery" in error.what
    assert repr(data[:80]) in error.what
    assert "key, value, at" in error.remedy


@pytest.mark.parametrize("data", [XML, HTML, ERROR, b"\0" * 4096, b"null\n", b'[{"id": 1}]'])
@pytest.mark.parametrize("time_column", [None, "at"])
def test_json_without_a_declared_key_is_refused(
    project: Project, data: bytes, time_column: str | None
) -> None:
    make(project, "json", time_column)
    drop(project, "all.json" if time_column else f"{key_of(1)}.json", data)
    assert "is no delivery" in refused(project).what


@pytest.mark.parametrize("extension", ["csv.gz", "parquet", "avro"])
def test_what_begins_as_another_kind_of_file_is_refused_when_it_is_staged(
    project: Project, extension: str
) -> None:
    make(project, extension)
    drop(project, f"{key_of(1)}.{extension}", XML)
    assert "is no delivery: it cannot be read: damaged" in refused(project).what


def test_packed_garbage_is_garbage(project: Project) -> None:
    make(project, "csv.gz")
    drop(project, f"{key_of(1)}.csv.gz", gzip.compress(HTML))
    assert repr(HTML[:80]) in refused(project).what


@pytest.mark.parametrize(
    ("extension", "data"),
    [
        ("parquet", parquet(pa.table({"__index_level_0__": pa.array([], pa.int64())}))),
        ("parquet", parquet(pa.table({"id": [1, 2]}))),
        ("parquet", parquet(pa.table({"key": pa.array([], pa.string()), "value": pa.array([], pa.int64())}))),
        ("avro", avro(["id"])),
    ],
    ids=["no column and no row", "other columns", "no row and no time", "Avro of other columns"],
)
def test_columnar_files_without_the_declared_columns_are_refused(
    project: Project, extension: str, data: bytes
) -> None:
    make(project, extension)
    drop(project, f"{key_of(1)}.{extension}", data)
    assert "is no delivery" in refused(project).what


@pytest.mark.parametrize(
    ("extension", "data"),
    [
        ("csv", b""),
        ("csv", b"\r\n\r\n"),
        ("csv", b"key,value,at"),
        ("csv", b"\xef\xbb\xbfkey,value,at\r\n"),
        ("csv", b"Key, Value ,AT\n"),
        ("csv", b"at,key\n"),
        ("csv.gz", b""),
        ("csv.gz", gzip.compress(b"")),
        ("json", b""),
        ("json", b"\n"),
        ("parquet", b""),
        ("avro", avro(["key", "value", "at"])),
    ],
)
def test_zero_bytes_or_the_right_header_mean_no_rows(project: Project, extension: str, data: bytes) -> None:
    make(project, extension)
    drop(project, f"{key_of(1)}.{extension}", data)
    assert key_of(1) in run(project).partitions


@pytest.mark.parametrize(
    ("extension", "data"),
    [
        ("csv", b"key,at,other\na,2026-01-01,x\n"),
        ("csv", b"value,at\n1,2026-01-01\n"),
        ("json", json.dumps({"at": "2026-01-01", "key": "a"}).encode()),
        ("json", b'broken\n{"key": "a"}{"at": "2026-01-01"}\n'),
        ("parquet", parquet(pa.table({"value": [1], "at": [day(1)]}))),
    ],
)
def test_a_column_that_is_missing_is_the_contracts_matter(
    project: Project, extension: str, data: bytes
) -> None:
    make(project, extension)
    drop(project, f"{key_of(1)}.{extension}", data)
    assert run(project).partitions[key_of(1)].files[0].bytes == len(data)


@pytest.mark.parametrize(
    ("data", "option"),
    [
        (b"key;value;at\na;1;2026-01-01\n", "{sep: ';'}"),
        (b"key\tvalue\tat\na\t1\t2026-01-01\n", r'{sep: "\t"}'),
        (b"a,1,2026-01-01\nb,2,2026-01-01\n", "{header: false}"),
        ("key,value,at\n".encode("utf-16-le"), "{encoding: UTF-16}"),
    ],
)
def test_the_message_names_the_option_that_would_read_the_file(
    project: Project, data: bytes, option: str
) -> None:
    make(project)
    drop(project, f"{key_of(1)}.csv", data)
    assert option in refused(project).remedy


def test_without_a_header_the_number_of_fields_decides(project: Project) -> None:
    make(project, raw={"options": {"header": False}})
    drop(project, f"{key_of(1)}.csv", HTML)
    assert "no line of 3 fields" in refused(project).what
    drop(project, f"{key_of(1)}.csv", b"few\na,1,2026-01-01\n")
    assert run(project).partitions[key_of(1)].files[0].header is None


def test_one_file_of_garbage_among_good_ones_stops_the_partition(project: Project) -> None:
    make(project, raw={"uri": "../raw/readings/{partition}-*.csv"})
    drop(project, f"{key_of(1)}-1.csv", b"key,value,at\na,1,2026-01-01\n")
    run(project)
    drop(project, f"{key_of(1)}-2.csv", XML)
    assert f"{key_of(1)}-2.csv" in refused(project).what


def test_a_header_that_goes_on_for_megabytes_is_no_trouble(project: Project) -> None:
    make(project)
    drop(project, f"{key_of(1)}.csv", b"x" * (3 << 20))
    assert "is no delivery" in refused(project).what

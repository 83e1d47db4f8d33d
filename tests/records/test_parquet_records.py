"""Parquet and Avro: declared columns alone, whatever else a file holds; parts of files."""

from __future__ import annotations

import datetime as dt
import decimal
import io
import uuid
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from provender.errors import ContractError
from provender.records import split
from tests.records.reading import raw, records

MOMENT = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)


def parquet(columns: dict[str, Any], **options: Any) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file, **options)
    return file.getvalue()


def test_undeclared_columns_of_any_type_do_not_stop_a_file() -> None:
    data = parquet(
        {
            "K": ["a"],
            "time": pa.array([1], pa.time64("ns")),
            "half": pa.array([1.5], pa.float16()),
            "huge": pa.array([decimal.Decimal(1)], pa.decimal256(70, 2)),
            "id": pa.array([uuid.uuid4().bytes], pa.uuid()),
            "deep": [{"x": [1]}],
            "v": pa.array(["x"]).dictionary_encode(),
        }
    )
    assert records(data, "a.parquet") == [(1, {"k": "a", "v": "x"})]


def test_times_are_delivered_as_they_are_and_int96_is_a_moment_in_utc() -> None:
    ends = [2**63 - 1, -(2**63) + 1]
    data = parquet({"k": pa.array(ends, pa.timestamp("ms")), "v": pa.array(ends, pa.timestamp("ns", "UTC"))})
    [batch] = read_batches(data)
    assert batch.fields.column("k").cast(pa.int64()).to_pylist() == ends
    assert batch.fields.column("v").cast(pa.int64()).to_pylist() == ends
    data = parquet({"k": pa.array([MOMENT], pa.timestamp("us", "UTC"))}, use_deprecated_int96_timestamps=True)
    [batch] = read_batches(data)
    assert batch.fields.column("k").type == pa.timestamp("us", "UTC")
    assert batch.fields.column("k").to_pylist() == [MOMENT]


def read_batches(data: bytes) -> list[Any]:
    from provender.records import read_records

    return list(read_records(io.BytesIO(data), "a.parquet", raw(), ["k", "v"]))


def test_a_uuid_is_text() -> None:
    one = uuid.uuid4()
    data = parquet({"k": pa.array([one.bytes, None], pa.uuid())})
    assert records(data, "a.parquet") == [(1, {"k": str(one)}), (2, {"k": None})]


def test_a_record_with_text_that_is_not_utf8_is_malformed() -> None:
    wrong = pa.Array.from_buffers(
        pa.string(), 3, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0\3\0\0\0\4\0\0\0"), pa.py_buffer(b"a\xc3\x28b")]
    )
    found = records(parquet({"k": wrong, "v": [1, 2, 3]}), "a.parquet")
    assert found == [
        (1, {"k": "a", "v": 1}),
        (2, r"k is not UTF-8: b'\xc3('"),
        (3, {"k": "b", "v": 3}),
    ]


def test_a_corrupt_page_and_a_column_twice_are_terminal() -> None:
    data = bytearray(parquet({"k": list(range(1000))}))
    data[40:90] = b"\xff" * 50
    with pytest.raises(ContractError, match="damaged Parquet"):
        records(bytes(data), "a.parquet")
    with pytest.raises(ContractError, match="names the column k twice"):
        records(parquet({"k": [1], "K": [2]}), "a.parquet")
    assert records(parquet({"x": [1], "X": [2], "k": [3]}), "a.parquet") == [(1, {"k": 3})]


FIELDS: list[dict[str, Any]] = [
    {"name": "k", "type": "string"},
    {"name": "next", "type": ["null", "row"]},
    {"name": "d", "type": {"type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2}},
    {"name": "at", "type": ["null", {"type": "long", "logicalType": "timestamp-millis"}]},
    {"name": "m", "type": {"type": "map", "values": {"type": "array", "items": "int"}}},
    {"name": "e", "type": {"type": "enum", "name": "word", "symbols": ["A", "B"]}},
    {"name": "x", "type": {"type": "fixed", "name": "two", "size": 2}},
    {"name": "n", "type": ["int", "null", "long"]},
    {"name": "v", "type": "double"},
    {"name": "day", "type": {"type": "int", "logicalType": "date"}},
    {"name": "yes", "type": "boolean"},
    {"name": "either", "type": ["string", "long"]},
]
ROW: dict[str, Any] = {
    "k": "a",
    "next": None,
    "d": decimal.Decimal("-1.50"),
    "at": MOMENT,
    "m": {"a": [1, 2]},
    "e": "B",
    "x": b"\x00\xff",
    "n": 2**40,
    "v": 1.5,
    "day": MOMENT.date(),
    "yes": True,
    "either": 7,
}


def avro(rows: list[dict[str, Any]], **options: Any) -> bytes:
    file = io.BytesIO()
    fastavro.writer(
        file, {"type": "record", "name": "row", "namespace": "n", "fields": FIELDS}, rows, **options
    )
    return file.getvalue()


@pytest.mark.parametrize("codec", ["null", "deflate", "bzip2", "xz"])
def test_avro_types_and_codecs(codec: str) -> None:
    declared = [field["name"] for field in FIELDS if field["name"] not in ("m", "next", "either")]
    rows = [ROW, {**ROW, "at": None, "next": ROW, "n": None}]
    found = records(avro(rows, codec=codec), "a.avro", declared)
    assert found == [(at + 1, {name: row[name] for name in declared}) for at, row in enumerate(rows)]


def test_nested_avro_matters_only_where_it_is_declared_and_is_then_json() -> None:
    data = avro([ROW, {**ROW, "next": ROW}])
    assert records(data, "a.avro", ["k", "V"]) == [(1, {"k": "a", "V": 1.5}), (2, {"k": "a", "V": 1.5})]
    [(_, first), _] = records(data, "a.avro", ["m", "either", "next"])
    assert first == {"next": None, "m": {"json": '{"a": [1, 2]}'}, "either": {"json": "7"}}


def test_any_cut_or_changed_byte_of_avro_ends_in_our_error_or_in_records() -> None:
    data = avro([ROW] * 3)
    for at in range(len(data)):
        changed = bytearray(data)
        changed[at] ^= 0xFF
        for damaged in (data[:at], bytes(changed)):
            try:
                records(damaged, "a.avro", ["k", "next", "m", "d", "at"])
            except ContractError as error:
                assert "Avro" in error.what or "codec" in error.what or "packed" in error.what


def test_parts_hold_the_records_of_the_file_with_their_numbers() -> None:
    long = b"x" * 500
    lines = [b'a,%d\n"open,%s\n' % (n, long) if n % 1000 == 0 else b"a,%s\n" % long for n in range(5000)]
    files = {
        "a.csv": b"\xef\xbb\xbfk,v\n" + b"".join(b'"a\n%s",%d\n\nfew\n' % (long, n) for n in range(5000)),
        "b.csv": b"k,v\n" + b"".join(lines),
        "a.json": b"".join(b'{"k":%d}{"k":1}x\n\n' % n for n in range(5000)),
        "a.parquet": parquet({"k": list(range(10_000))}, row_group_size=100),
        "none.csv.gz": b"",
        "empty.csv": b"",
    }
    for name, data in files.items():
        kind = "json" if name == "a.json" else "csv"
        parts = split(io.BytesIO(data), name, raw(format=kind), 20_000)
        assert len(parts) > 1 or len(data) < 10
        cut = [record for part in parts for record in records(data, name, part=part, format=kind)]
        assert cut == records(data, name, format=kind)

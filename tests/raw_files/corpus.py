"""Raw files as they really come, and what becomes of each: the table of docs/raw-files.md.

Every file is a delivery of 2026-11-20 of one source, whose columns are ``k`` (STRING, the key), ``v`` (INT64) and
``at`` (TIMESTAMP, the event timestamp), unless a case says otherwise.
"""

from __future__ import annotations

import bz2
import datetime as dt
import gzip
import io
import lzma
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import fastavro
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

T = "2026-11-20T10:00:00Z"
MOMENT = dt.datetime(2026, 11, 20, 10, tzinfo=dt.UTC)


@dataclass(frozen=True)
class RawCase:
    """One file. ``becomes``: the accepted rows as ``k=v``, then the reasons of the quarantined ones with their number;
    or ``refused:`` and words of the error."""

    what: str
    name: str
    data: bytes | Callable[[], bytes]
    becomes: str
    raw: dict[str, Any] = field(default_factory=dict)
    spec: dict[str, Any] = field(default_factory=dict)
    cut: bool = True
    """Whether it is also delivered as part of a location that is cut by its time column, with the same outcome."""

    def read(self) -> bytes:
        return self.data() if callable(self.data) else self.data


def _csv(*lines: str, end: str = "\n", encoding: str = "utf-8") -> bytes:
    return "".join(line + end for line in lines).encode(encoding)


def _rows(*pairs: str) -> tuple[str, ...]:
    return tuple(f"{k},{v},{T}" for k, v in (pair.split("=") for pair in pairs))


HEAD = "k,v,at"
GOOD = _csv(HEAD, *_rows("a=1", "b=2"))
BOTH = "a=1 b=2"


def options(**given: Any) -> dict[str, Any]:
    return {"options": given}


def _json(*lines: str, end: str = "\n") -> bytes:
    return "".join(line + end for line in lines).encode()


def _object(k: str, v: int | str) -> str:
    return f'{{"k":"{k}","v":{v},"at":"{T}"}}'


def _parquet(columns: dict[str, Any], **how: Any) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file, **how)
    return file.getvalue()


def _columns(**more: Any) -> dict[str, Any]:
    return {"k": ["a", "b"], "v": [1, 2], "at": pa.array([MOMENT] * 2, pa.timestamp("us", "UTC")), **more}


def _avro(schema: dict[str, Any], rows: list[dict[str, Any]], codec: str = "null") -> bytes:
    file = io.BytesIO()
    fastavro.writer(file, fastavro.parse_schema(schema), rows, codec=codec)
    return file.getvalue()


def _avro_schema(*more: dict[str, Any]) -> dict[str, Any]:
    fields = [{"name": "k", "type": "string"}, {"name": "v", "type": ["null", "long"]}]
    fields += [{"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}}, *more]
    return {"type": "record", "name": "row", "fields": fields}


AVRO_ROWS = [{"k": "a", "v": 1, "at": MOMENT}, {"k": "b", "v": 2, "at": MOMENT}]
NODE = {"type": "record", "name": "node", "fields": [{"name": "next", "type": ["null", "node"]}]}


def _corrupt_page() -> bytes:
    data = bytearray(_parquet(_columns(k=[f"{n:040}" for n in range(2)]), compression="zstd"))
    data[40:60] = bytes(20)
    return bytes(data)


CSV_FILES = [
    RawCase("an ordinary file", "x.csv", GOOD, BOTH),
    RawCase(r"lines end in \r\n", "x.csv", _csv(HEAD, *_rows("a=1", "b=2"), end="\r\n"), BOTH),
    RawCase(r"lines end in \r", "x.csv", _csv(HEAD, *_rows("a=1", "b=2"), end="\r"), BOTH),
    RawCase(
        r"a quoted line break in the header, and lines that end in \r\n",
        "x.csv",
        f'v,at,"Price\n(NOK)",k\r\n1,{T},9,a\r\n2,{T},8,b\r\n'.encode(),
        BOTH,
    ),
    RawCase(
        r"\n, \r and \r\n in one file",
        "x.csv",
        f"k,v,at\na,1,{T}\rb,2,{T}\r\nc,3,{T}".encode(),
        "a=1 b=2 c=3",
    ),
    RawCase("a line break in a quoted key", "x.csv", _csv(HEAD, f'"a\nb",1,{T}', f"c,2,{T}"), "a\\nb=1 c=2"),
    RawCase("a byte order mark", "x.csv", b"\xef\xbb\xbf" + GOOD, BOTH),
    RawCase(
        "UTF-16, little-endian, with its mark",
        "x.csv",
        b"\xff\xfe" + GOOD.decode().encode("utf-16-le"),
        BOTH,
        options(encoding="UTF-16"),
    ),
    RawCase(
        "UTF-16, big-endian, with its mark",
        "x.csv",
        b"\xfe\xff" + GOOD.decode().encode("utf-16-be"),
        BOTH,
        options(encoding="UTF-16"),
    ),
    RawCase("UTF-16 that the spec does not declare", "x.csv", GOOD.decode().encode("utf-16"), "refused: "),
    RawCase(
        "ISO-8859-1, declared",
        "x.csv",
        _csv(HEAD, *_rows("Ås=1"), encoding="latin-1"),
        "Ås=1",
        options(encoding="ISO-8859-1"),
    ),
    RawCase(
        "ISO-8859-1 that the spec does not declare",
        "x.csv",
        _csv(HEAD, *_rows("Ås=1"), encoding="latin-1"),
        "refused: is not UTF-8",
    ),
    RawCase(
        "separators and doubled quotes within quotes", "x.csv", _csv(HEAD, f'"a,""b""",1,{T}'), 'a,"b"=1'
    ),
    RawCase("a quote within a field", "x.csv", _csv(HEAD, f'5" pipe,1,{T}'), '5" pipe=1'),
    RawCase(
        "a quote that is never closed",
        "x.csv",
        _csv(HEAD, *_rows("a=1"), f'"b,2,{T}', *_rows("c=3", "d=4")),
        "a=1 c=3 d=4; malformed 1",
    ),
    RawCase(
        "a line with too few fields, one with too many",
        "x.csv",
        _csv(HEAD, *_rows("a=1"), "b", f"c,3,{T},x"),
        "a=1; malformed 2",
    ),
    RawCase(
        "blank lines, one of them the first",
        "x.csv",
        b"\n" + _csv(HEAD, *_rows("a=1"), "", *_rows("b=2")) + b"\n\n",
        BOTH,
    ),
    RawCase("a comment above the header", "x.csv", b"# exported today\n" + GOOD, BOTH, options(comment="#")),
    RawCase(
        "a column without a name before the others, as pandas writes its index",
        "x.csv",
        _csv(",k,v,at", f"0,a,1,{T}", f"1,b,2,{T}"),
        BOTH,
    ),
    RawCase("a header in other letter case", "x.csv", _csv("K,V,At", *_rows("a=1", "b=2")), BOTH),
    RawCase(
        "columns in another order, and others beside them", "x.csv", _csv("extra,at,v,k", f"x,{T},1,a"), "a=1"
    ),
    RawCase("a column named twice", "x.csv", _csv("k,v,at,v", f"a,1,{T},2"), "refused: twice"),
    RawCase(
        "a separator of two characters", "x.csv", _csv("k||v||at", f"a||1||{T}"), "a=1", options(sep="||")
    ),
    RawCase(r"tabs, written as '\t'", "x.csv", _csv("k\tv\tat", f"a\t1\t{T}"), "a=1", options(sep="\\t")),
    RawCase("no quoting", "x.csv", _csv(HEAD, f'"a,1,{T}'), '"a=1', options(quote="")),
    RawCase(
        "white space around fields, trimmed",
        "x.csv",
        _csv(HEAD, f" a , 1 , {T} "),
        "a=1",
        options(ignoreLeadingWhiteSpace=True, ignoreTrailingWhiteSpace=True),
    ),
    RawCase("white space around fields, kept", "x.csv", _csv(HEAD, f" a , 1 , {T} "), "_a_=1"),
    RawCase("a header and no row", "x.csv", _csv(HEAD), ""),
    RawCase("zero bytes", "x.csv", b"", ""),
    RawCase("white space alone", "x.csv", b" \n\n", ""),
    RawCase("a NUL within a value", "x.csv", _csv(HEAD, f"a\0b,1,{T}"), "a\\0b=1"),
    RawCase("semicolons where the spec says commas", "x.csv", _csv("k;v;at", f"a;1;{T}"), "refused: sep"),
    RawCase(
        "no header where the spec says there is one", "x.csv", _csv(*_rows("a=1", "b=2")), "refused: header"
    ),
]

NO_DELIVERIES = [
    RawCase(
        "an error of a storage, as XML",
        "x.csv",
        b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>",
        "refused: ",
    ),
    RawCase("the two words of an error", "x.csv", b"Access Denied\n", "refused: "),
    RawCase(
        "a page of HTML",
        "x.csv",
        b"<!DOCTYPE html>\n<html><body>502 Bad Gateway</body></html>\n",
        "refused: ",
    ),
    RawCase("4,096 NULs", "x.csv", bytes(4096), "refused: "),
    RawCase("an error of a service, as JSON, for CSV", "x.csv", b'{"error": "not found"}\n', "refused: "),
    RawCase(
        "an error of a service, for JSON",
        "x.json",
        b'{"error": "not found"}\n',
        "refused: ",
        {"format": "json"},
    ),
    RawCase("a header of other columns and no row", "x.csv", b"id,name,price\n", "refused: "),
    RawCase("rows of another table", "x.csv", b"id,name,price\n1,x,2\n", "refused: "),
    RawCase(
        "a Parquet file without rows and without the columns",
        "x.parquet",
        lambda: _parquet({"z": pa.array([], pa.int64())}),
        "refused: ",
        {"format": "parquet"},
    ),
    RawCase("CSV that is called Parquet", "x.parquet", GOOD, "refused: ", {"format": "parquet"}),
]

JSON = {"format": "json"}
JSON_FILES = [
    RawCase("a JSON object a line", "x.json", _json(_object("a", 1), _object("b", 2)), BOTH, JSON),
    RawCase(
        "three objects on a line",
        "x.json",
        _json(_object("a", 1) + _object("b", 2) + _object("c", 3)),
        "a=1 b=2 c=3",
        JSON,
    ),
    RawCase(
        "two files joined without a line break",
        "x.json",
        _json(_object("a", 1), _object("b", 2), end="") + _json(_object("c", 3)),
        "a=1 b=2 c=3",
        JSON,
    ),
    RawCase(
        "text after an object",
        "x.json",
        _json(_object("a", 1) + " and more", _object("b", 2)),
        f"{BOTH}; malformed 1",
        JSON,
    ),
    RawCase(
        "lines that are no objects",
        "x.json",
        _json(_object("a", 1), "5", '"x"', "nonsense"),
        "a=1; malformed 3",
        JSON,
    ),
    RawCase(
        "a line that ends in the middle",
        "x.json",
        _json(_object("a", 1)) + b'{"k":"b","v":2',
        "a=1; malformed 1",
        JSON,
    ),
    RawCase("keys in other letter case", "x.json", _json(f'{{"K":"a","V":1,"AT":"{T}"}}'), "a=1", JSON),
    RawCase("a byte order mark", "x.json", b"\xef\xbb\xbf" + _json(_object("a", 1)), "a=1", JSON),
    RawCase(
        "a number as text, one with a fraction, one that overflows",
        "x.json",
        _json(_object("a", '"1"'), _object("b", 1.5), _object("c", 2**63)),
        "a=1; wrong_type:v 2",
        JSON,
    ),
    RawCase(
        "a nested value for a number",
        "x.json",
        _json(_object("a", "[1]"), _object("b", '{"x":1}')),
        "; wrong_type:v 2",
        JSON,
    ),
    RawCase(
        "a required key that is null, and one that is missing",
        "x.json",
        _json(f'{{"k":null,"v":1,"at":"{T}"}}', f'{{"v":1,"at":"{T}"}}', _object("a", 1)),
        "a=1; null:k 2",
        JSON,
    ),
]


def _times(*values: str) -> bytes:
    return _csv(HEAD, *(f"{chr(97 + n)},{n},{value}" for n, value in enumerate(values)))


TIME_FILES = [
    RawCase(
        "times that name UTC, GMT and a region",
        "x.csv",
        _times("2026-11-20 10:00:00 UTC", "2026-11-20 10:00:00 GMT", "2026-11-20 05:00:00 America/New_York"),
        "a=0 b=1 c=2 @10:00",
        spec={"event_timestamp": {"column": "at", "zone": "Europe/Oslo"}},
    ),
    RawCase(
        "times with offsets",
        "x.csv",
        _times("2026-11-20T10:00:00+00:00", "2026-11-20T11:00:00+0100", "2026-11-20 11:00:00+01"),
        "a=0 b=1 c=2 @10:00",
        spec={"event_timestamp": {"column": "at", "zone": "Europe/Oslo"}},
    ),
    RawCase(
        "times that name no zone, in the spec's zone",
        "x.csv",
        _times("2026-11-20 11:00:00"),
        "a=0 @10:00",
        spec={"event_timestamp": {"column": "at", "zone": "Europe/Oslo"}},
    ),
    RawCase(
        "the day before the month, as the spec's pattern says",
        "x.csv",
        _times("20/11/2026 10:00"),
        "a=0 @10:00",
        spec={"event_timestamp": {"column": "at", "format": "dd/MM/yyyy HH:mm"}},
    ),
    RawCase(
        "a pattern with quoted letters, and a zone",
        "x.csv",
        _times("2026-11-20T11:00"),
        "a=0 @10:00",
        spec={"event_timestamp": {"column": "at", "format": "yyyy-MM-dd'T'HH:mm", "zone": "Europe/Oslo"}},
    ),
    RawCase(
        "a time that cannot be read, one that is empty",
        "x.csv",
        _times("yesterday", "", T),
        "c=2; wrong_type:at 1, null:at 1",
    ),
    RawCase("a time long past", "x.csv", _times("1726-11-20T10:00:00Z", T), "b=1; too_late 1", cut=False),
    RawCase(
        "a time that is still to come",
        "x.csv",
        _times("2062-11-20T10:00:00Z", T),
        "b=1; event_in_future 1, after_partition 1",
        cut=False,
    ),
    RawCase(
        "whole numbers in other forms, and none",
        "x.csv",
        _csv(HEAD, *_rows("a=1.0", "b= 2 ", "c=1d", "d=9223372036854775808", "e=")),
        "a=1 b=2 e=None; wrong_type:v 2",
    ),
]

COMPRESSED_FILES = [
    RawCase("gzip", "x.csv.gz", gzip.compress(GOOD), BOTH),
    RawCase(
        "gzip of several members, padded",
        "x.csv.gz",
        gzip.compress(GOOD[:9]) + gzip.compress(GOOD[9:]) + bytes(512),
        BOTH,
    ),
    RawCase("gzip that ends in the middle", "x.csv.gz", gzip.compress(GOOD * 50)[:-20], "refused: gzip"),
    RawCase("called .gz, and is not", "x.csv.gz", GOOD, "refused: gzip"),
    RawCase("bzip2", "x.csv.bz2", bz2.compress(GOOD), BOTH),
    RawCase("Zstandard", "x.csv.zst", zstandard.compress(GOOD), BOTH),
    RawCase("xz", "x.csv.xz", lzma.compress(GOOD), BOTH),
    RawCase("LZ4", "x.csv.lz4", lambda: bytes(pa.compress(GOOD, "lz4", asbytes=True)), BOTH),
    RawCase("deflate (zlib)", "x.csv.deflate", zlib.compress(GOOD), BOTH),
    RawCase("ZIP", "x.csv.zip", b"PK\x03\x04" + bytes(40), "refused: zip"),
    RawCase(
        "a bomb: more than raw.max_unpacked_bytes",
        "x.csv.gz",
        lambda: gzip.compress(GOOD + b" " * 3_000_000),
        "refused: max_unpacked_bytes",
        {"max_unpacked_bytes": 1_000_000},
    ),
]

PARQUET = {"format": "parquet"}
FAR = pa.array([2**63 - 1, 1_795_860_000_000_000_000], pa.timestamp("ns", "UTC"))
COLUMNAR_FILES = [
    RawCase("Parquet", "x.parquet", lambda: _parquet(_columns()), BOTH, PARQUET),
    RawCase(
        "timestamps as INT96, as Spark and Hive write them",
        "x.parquet",
        lambda: _parquet(_columns(), use_deprecated_int96_timestamps=True),
        BOTH,
        PARQUET,
    ),
    RawCase(
        "timestamps in nanoseconds",
        "x.parquet",
        lambda: _parquet(_columns(at=pa.array([MOMENT] * 2, pa.timestamp("ns", "UTC")))),
        BOTH,
        PARQUET,
    ),
    RawCase(
        "an undeclared column of a type that Spark cannot read",
        "x.parquet",
        lambda: _parquet(
            _columns(
                t=pa.array([1, 2], pa.time64("ns")),
                h=pa.array(np.array([1, 2], np.float16)),
                d=pa.array([None, None], pa.decimal256(60, 2)),
                u=pa.array([bytes(16)] * 2, pa.binary(16)),
            )
        ),
        BOTH,
        PARQUET,
    ),
    RawCase(
        "a timestamp near the end of what an integer holds",
        "x.parquet",
        lambda: _parquet(
            _columns(at=pa.array([2**63 - 1, int(MOMENT.timestamp() * 1e6)], pa.timestamp("us", "UTC")))
        ),
        "b=2; wrong_type:at 1",
        PARQUET,
    ),
    RawCase(
        "no rows, and the right columns",
        "x.parquet",
        lambda: _parquet(
            {
                "k": pa.array([], pa.string()),
                "v": pa.array([], pa.int64()),
                "at": pa.array([], pa.timestamp("us")),
            }
        ),
        "",
        PARQUET,
    ),
    RawCase(
        "Parquet that ends in the middle",
        "x.parquet",
        lambda: _parquet(_columns())[:-30],
        "refused: ",
        PARQUET,
    ),
    RawCase("a page that is damaged", "x.parquet", _corrupt_page, "refused: ", PARQUET),
    RawCase(
        "a fraction where a whole number is declared",
        "x.parquet",
        lambda: _parquet(_columns(v=[1.0, 2.5])),
        "a=1; wrong_type:v 1",
        PARQUET,
    ),
    RawCase(
        "Avro",
        "x.avro",
        lambda: _avro(_avro_schema(), AVRO_ROWS, "deflate"),
        BOTH,
        {"format": "avro"},
        cut=False,
    ),
    RawCase(
        "Avro with a column of a recursive type, undeclared",
        "x.avro",
        lambda: _avro(
            _avro_schema({"name": "tree", "type": NODE}),
            [row | {"tree": {"next": {"next": None}}} for row in AVRO_ROWS],
        ),
        BOTH,
        {"format": "avro"},
        cut=False,
    ),
    RawCase(
        "Avro that ends in the middle",
        "x.avro",
        lambda: _avro(_avro_schema(), AVRO_ROWS)[:-3],
        "refused: ",
        {"format": "avro"},
        cut=False,
    ),
]

CASES: dict[str, list[RawCase]] = {
    "CSV": CSV_FILES,
    "What is no delivery": NO_DELIVERIES,
    "JSON lines": JSON_FILES,
    "Times and numbers": TIME_FILES,
    "Compressed": COMPRESSED_FILES,
    "Parquet and Avro": COLUMNAR_FILES,
}

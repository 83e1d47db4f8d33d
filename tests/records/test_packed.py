"""Compressed files: what is read, what is refused, and how large they may become."""

from __future__ import annotations

import bz2
import gzip
import lzma
import struct
import zlib

import pyarrow as pa
import pytest
import zstandard

from provender.errors import ContractError
from tests.records.reading import records

DATA = b"k,v\na,1\nb,2\n"
EXPECTED = [(1, {"k": "a", "v": "1"}), (2, {"k": "b", "v": "2"})]


def hadoop(codec: str, data: bytes) -> bytes:
    packed = pa.Codec(codec).compress(data, asbytes=True)
    return struct.pack(">II", len(data), len(packed)) + packed


def framed_snappy(data: bytes) -> bytes:
    packed = pa.Codec("snappy").compress(data, asbytes=True)
    return b"\xff\x06\x00\x00sNaPpY\x00" + (len(packed) + 4).to_bytes(3, "little") + b"\0\0\0\0" + packed


PACKED = {
    "a.csv.gz": gzip.compress(DATA[:5]) + gzip.compress(DATA[5:]) + b"\0" * 100,
    "A.CSV.GZ": gzip.compress(DATA),
    "a.csv.bz2": bz2.compress(DATA[:5]) + bz2.compress(DATA[5:]),
    "a.csv.xz": lzma.compress(DATA[:5]) + lzma.compress(DATA[5:]),
    "a.csv.zst": zstandard.compress(DATA[:5]) + zstandard.compress(DATA[5:]),
    "a.csv.deflate": zlib.compress(DATA),
    "a.csv.snappy": hadoop("snappy", DATA[:5]) + hadoop("snappy", DATA[5:]),
    "framed.csv.snappy": framed_snappy(DATA),
    "a.csv.lz4": hadoop("lz4_raw", DATA),
    "framed.csv.lz4": pa.compress(DATA, "lz4", asbytes=True),
}


@pytest.mark.parametrize("name", PACKED)
def test_known_compressions_are_read(name: str) -> None:
    assert records(PACKED[name], name) == EXPECTED


@pytest.mark.parametrize("name", PACKED)
def test_damage_is_one_terminal_error(name: str) -> None:
    data = PACKED[name].rstrip(b"\0")
    for damaged in (data[:-3], b"not packed at all", data[:2]):
        with pytest.raises(ContractError, match=f"{name} cannot be read: damaged"):
            records(damaged, name)


@pytest.mark.parametrize(
    "name", ["a.zip", "a.csv.br", "a.tar.gz", "a.tgz", "a.csv.Z", "a.parquet.gz", "a.avro.zst"]
)
def test_others_are_refused_by_name_with_what_to_do(name: str) -> None:
    with pytest.raises(ContractError, match="not read") as caught:
        records(DATA, name)
    assert "deliver it as it is" in caught.value.remedy


def test_a_file_unpacks_to_no_more_than_the_spec_allows() -> None:
    bomb = gzip.compress(DATA + b"0" * (20 << 20))
    with pytest.raises(ContractError, match="raw.max_unpacked_bytes"):
        records(bomb, "a.csv.gz", max_unpacked_bytes=1 << 20)
    assert len(records(bomb, "a.csv.gz", max_unpacked_bytes=1 << 30)) == 3


@pytest.mark.parametrize(
    ("data", "remedy"),
    [
        (gzip.compress(DATA), "gzip"),
        (bz2.compress(DATA), "bzip2"),
        (DATA.decode().encode("utf-16"), "encoding: UTF-16"),
        (b"PK\x03\x04\xff\xff", "spreadsheet"),
        (b"k,v\n\xff", "raw.options.encoding"),
    ],
)
def test_what_is_no_text_is_told_from_its_beginning(data: bytes, remedy: str) -> None:
    with pytest.raises(ContractError, match="cannot be decoded") as caught:
        records(data)
    assert remedy in caught.value.remedy

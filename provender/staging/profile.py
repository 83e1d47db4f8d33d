"""What can be told of a raw file while its bytes stream by, in constant memory.

The digest names the file's content. The rest is what the reader of records (:mod:`provender.records`) found: the
header, quotes that are never closed, where the encoding breaks, and what keeps the file from being read at all.
"""

from __future__ import annotations

import hashlib
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from provender.records.avro_records import avro_schema
from provender.records.csv_blocks import CsvBlocks
from provender.records.damage import UndecodableError, UnreadableFileError
from provender.records.parquet_records import CUT_BY, MALFORMED
from provender.records.reading import format_of, refuse_packed_whole
from provender.records.text import as_utf8
from provender.records.unpack import CHUNK_BYTES, chunks, unpacked
from provender.specs.dialect import dialect_of
from provender.specs.source import Raw


def profile(file: BinaryIO, name: str, raw: Raw) -> dict[str, Any]:
    """Reads ``file`` to its end.

    Returns ``format``, ``bytes``, ``sha256`` and, where the file is damaged, ``unreadable`` (why); for CSV and
    JSON ``invalid_at`` (offset, unpacked, of the first byte that is not in the declared encoding, or null) and
    ``blank`` (there is nothing but white space); for CSV also ``header`` (column names, or null), ``multiline`` (a
    quoted field holds a line break, and every quote is closed) and ``unclosed_quote`` (the line of the first quote
    that is never closed, or null); for Parquet and Avro ``schema`` (column name to type) and ``twice`` (column names
    that occur twice, upper and lower case alike).
    """
    read = _Hashed(file)
    file_format = format_of(name, raw)
    told: dict[str, Any] = {}
    damage: str | None = None
    try:
        refuse_packed_whole(name)
        if file_format in ("csv", "json"):
            damage = _see_text(read, name, raw, told)
        elif file_format == "avro":
            told = avro_schema(read)
    except UnreadableFileError as error:
        damage = error.why
    read.to_the_end()
    found: dict[str, Any] = {"format": file_format, "bytes": read.size, "sha256": read.sha.hexdigest()}
    if not read.size:
        damage = None  # nothing is no damage: it is a partition without rows
    elif file_format == "parquet" and damage is None:
        file.seek(0)
        try:
            told = _parquet_schema(file)
        except (pa.ArrowException, OSError) as error:
            damage = f"damaged Parquet: {str(error).splitlines()[0]}"
    return found | told | ({"unreadable": damage} if damage else {})


def header_of(file: BinaryIO, name: str, raw: Raw) -> list[str] | None:
    """A CSV file's column names, from its beginning; None if it has none. Raises :class:`UnreadableFileError`."""
    dialect = dialect_of(raw.options)
    blocks = CsvBlocks(dialect, CHUNK_BYTES)
    text = as_utf8(unpacked(file, name, raw.max_unpacked_bytes), dialect.encoding, dialect.encoding)
    for _ in blocks.walk(text):
        if blocks.header is not None or not dialect.header:
            break
    return blocks.header


class _Hashed:
    """A file that counts and digests what is read from it: a file far away is read once."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.sha, self.size = hashlib.sha256(), 0

    def read(self, size: int, /) -> bytes:
        chunk = self._file.read(size)
        self.sha.update(chunk)
        self.size += len(chunk)
        return chunk

    def to_the_end(self) -> None:
        for _ in chunks(self):
            pass


def _see_text(file: _Hashed, name: str, raw: Raw, told: dict[str, Any]) -> str | None:
    """Fills ``told``; returns why the file is damaged, or None."""
    dialect, damage, invalid_at = dialect_of(raw.options), None, None
    blocks = CsvBlocks(dialect)
    is_blank = True
    try:
        text = as_utf8(unpacked(file, name, raw.max_unpacked_bytes), dialect.encoding, dialect.encoding)
        if raw.format == "csv":
            for _ in blocks.walk(text):
                pass
        else:
            for piece in text:
                is_blank = is_blank and not piece.strip()
    except UndecodableError as error:
        invalid_at, is_blank = error.at, False
        blocks.is_blank = False
    except UnreadableFileError as error:
        damage, is_blank = error.why, False
    told.update({"invalid_at": invalid_at, "blank": blocks.is_blank if raw.format == "csv" else is_blank})
    if raw.format == "csv":
        told["multiline"] = blocks.is_multi_line and blocks.unclosed_line is None
        told["unclosed_quote"] = blocks.unclosed_line
        told["header"] = blocks.header
    return damage


def _parquet_schema(file: BinaryIO) -> dict[str, Any]:
    schema = pq.read_schema(file)
    is_ours = (schema.metadata or {}).get(CUT_BY) is not None
    fields = [field for field in schema if not (is_ours and field.name == MALFORMED)]
    names = [field.name.lower() for field in fields]
    return {
        "schema": {field.name: str(field.type) for field in fields},
        "twice": sorted({name for name in names if names.count(name) > 1}),
    }

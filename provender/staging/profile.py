"""What can be told of a raw file while its bytes stream by, in constant memory.

The digest names the file's content. For CSV the profile also says what a reader has to know before it may
believe the rows: the header, whether quoted fields hold line breaks, and where the encoding breaks.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
import zlib
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from provender.specs.model import Raw
from provender.staging.avro import DamagedAvroError, avro_schema
from provender.staging.quotes import scan_quotes
from provender.staging.unpack import chunks, compression_of, unpacked

_MAX_HEADER_BYTES = 1 << 20
_BOM = codecs.BOM_UTF8


def profile(file: BinaryIO, name: str, raw: Raw) -> dict[str, Any]:
    """Reads ``file`` to its end.

    Returns ``format``, ``bytes``, ``sha256`` and, where the file is damaged, ``unreadable`` (why); for CSV and
    JSON ``invalid_at`` (offset, unpacked, of the first byte that is not in the declared encoding, or null); for
    CSV also ``header`` (column names, or null), ``blank`` (there is nothing but white space), ``multiline`` (a
    quoted field holds a line break) and ``unclosed_quote`` (the line of a quote that is never closed, or null;
    then no field is taken to hold a line break); for Parquet and Avro ``schema`` (column name to type) and ``twice``
    (column names that occur twice, upper and lower case alike).
    """
    read = _Hashed(file)
    file_format = _format_of(name, raw)
    text = _TextProfile(raw) if file_format in ("csv", "json") else None
    told: dict[str, Any] = {}
    damage: str | None = None
    try:
        if text:
            for piece in unpacked(read, name):
                text.see(piece)
        elif file_format == "avro":
            told = avro_schema(read)
    except (zlib.error, EOFError, OSError) as error:
        damage = f"damaged {compression_of(name)}: {error}"
    except DamagedAvroError as error:
        damage = f"damaged Avro: {error}"
    read.to_the_end()
    found: dict[str, Any] = {"format": file_format, "bytes": read.size, "sha256": read.sha.hexdigest()}
    if not read.size:
        damage = None  # nothing is no damage: it is a partition without rows
    if text:
        found.update(text.result())
        if found.get("multiline") and not damage:
            file.seek(0)
            found.update(scan_quotes(unpacked(file, name), raw))
    elif read.size and file_format == "parquet":
        file.seek(0)
        try:
            told = _parquet_schema(file)
        except (pa.ArrowException, OSError) as error:
            damage = f"damaged Parquet: {str(error).splitlines()[0]}"
    return found | told | ({"unreadable": damage} if damage else {})


def _format_of(name: str, raw: Raw) -> str:
    """What the file is, whatever the source's format: exports of other systems come beside the usual files."""
    return next((kind for kind in ("parquet", "avro") if name.endswith(f".{kind}")), raw.format)


def header_of(file: BinaryIO, name: str, raw: Raw) -> list[str] | None:
    """A CSV file's column names, from its beginning; None if it has none."""
    text = _TextProfile(raw)
    for piece in unpacked(file, name):
        text.see(piece)
        if text.has_header:
            break
    header: list[str] | None = text.result()["header"]
    return header


class _Hashed:
    """A file that counts and digests what is read from it: a file far away is read once."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.sha, self.size = hashlib.sha256(), 0

    def read(self, size: int) -> bytes:
        chunk = self._file.read(size)
        self.sha.update(chunk)
        self.size += len(chunk)
        return chunk

    def to_the_end(self) -> None:
        for _ in chunks(self):
            pass


def _parquet_schema(file: BinaryIO) -> dict[str, Any]:
    fields = list(pq.read_schema(file))
    names = [field.name.lower() for field in fields]
    return {
        "schema": {field.name: str(field.type) for field in fields},
        "twice": sorted({name for name in names if names.count(name) > 1}),
    }


class _TextProfile:
    def __init__(self, raw: Raw) -> None:
        self._is_csv = raw.format == "csv"
        self._has_header = str(raw.options.get("header", True)).lower() == "true"
        self._separator = str(raw.options.get("sep", ","))
        self._quote = str(raw.options.get("quote", '"'))
        self._encoding = str(raw.options.get("encoding", "UTF-8"))
        self._decoder = codecs.getincrementaldecoder(self._encoding)("strict")
        self._head = bytearray()
        self._seen = 0
        self._blank = True
        self._inside_quotes = False
        self._multiline = False
        self._invalid_at: int | None = None

    def see(self, chunk: bytes) -> None:
        if len(self._head) < _MAX_HEADER_BYTES:
            self._head += chunk[: _MAX_HEADER_BYTES - len(self._head)]
        if self._invalid_at is None:
            self._check_encoding(chunk)
        if self._is_csv and not self._multiline:
            self._look_for_quoted_newlines(chunk)
        self._blank = self._blank and not chunk.removeprefix(_BOM).strip()
        self._seen += len(chunk)

    @property
    def has_header(self) -> bool:
        """Whether the header has passed by, as far as one looks for it."""
        return len(self._head) >= _MAX_HEADER_BYTES

    def result(self) -> dict[str, Any]:
        found: dict[str, Any] = {"invalid_at": self._end_of_encoding(), "blank": self._blank}
        if self._is_csv:
            found["multiline"] = self._multiline
            found["unclosed_quote"] = None
            found["header"] = self._header() if self._has_header else None
        return found

    def _check_encoding(self, chunk: bytes) -> None:
        pending = len(self._decoder.getstate()[0])
        try:
            self._decoder.decode(chunk)
        except UnicodeDecodeError as error:
            self._invalid_at = self._seen - pending + error.start

    def _end_of_encoding(self) -> int | None:
        if self._invalid_at is None and self._decoder.getstate()[0]:
            return self._seen - len(self._decoder.getstate()[0])
        return self._invalid_at

    def _look_for_quoted_newlines(self, chunk: bytes) -> None:
        """By counting quotes alone, which is quick and errs on the side of line breaks."""
        quote = self._quote.encode(self._encoding)
        if len(quote) != 1 or (not self._inside_quotes and quote not in chunk):
            return
        octets = np.frombuffer(chunk, dtype=np.uint8)
        quotes = np.flatnonzero(octets == quote[0])
        newlines = np.flatnonzero((octets == ord("\n")) | (octets == ord("\r")))
        odd = (np.searchsorted(quotes, newlines) + int(self._inside_quotes)) % 2
        self._multiline = bool(odd.any())
        self._inside_quotes = bool((len(quotes) + int(self._inside_quotes)) % 2)

    def _header(self) -> list[str] | None:
        """The names in the first line that is not blank."""
        text = bytes(self._head).removeprefix(_BOM).decode(self._encoding, errors="replace")
        lines = text.lstrip().splitlines(keepends=True)
        if not lines:
            return None
        if len(self._separator) != 1 or len(lines[0]) > csv.field_size_limit():
            return [name.strip().strip(self._quote or None) for name in lines[0].split(self._separator)]
        quoting = {"quotechar": self._quote} if self._quote else {"quoting": csv.QUOTE_NONE}
        rows = csv.reader(io.StringIO("".join(lines)), delimiter=self._separator, **quoting)
        try:
            return [name.strip() for name in next(rows)]
        except csv.Error:  # a quote is never closed, so the header has no end
            return [name.strip() for name in lines[0].split(self._separator)]

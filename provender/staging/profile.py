"""What can be told of a raw file while its bytes stream by, once, in constant memory.

The digest names the file's content. For CSV the profile also says what a reader has to know before it may
believe the rows: the header, whether quoted fields hold line breaks, and where the encoding breaks.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
import pyarrow.parquet as pq

from provender.specs.model import Raw

CHUNK_BYTES = 1 << 20
_MAX_HEADER_BYTES = 1 << 20
_BOM = codecs.BOM_UTF8



def profile(file: BinaryIO, name: str, raw: Raw) -> dict[str, Any]:
    """Reads ``file`` to its end.

    Returns ``format``, ``bytes``, ``sha256`` and, for CSV and JSON, ``invalid_at`` (offset of the first byte that is not in
    the declared encoding, or null); for CSV also ``header`` (column names, or null for an empty file) and
    ``multiline`` (a quoted field holds a line break); for Parquet ``schema`` (column name to Arrow type).
    """
    sha, size = hashlib.sha256(), 0
    file_format = "parquet" if name.endswith(".parquet") else raw.format
    text = None if file_format == "parquet" else _TextProfile(raw)
    unpacker = _Gunzip() if name.endswith(".gz") and text else None
    for chunk in _chunks(file):
        sha.update(chunk)
        size += len(chunk)
        if text:
            for piece in unpacker.feed(chunk) if unpacker else (chunk,):
                text.see(piece)
    found: dict[str, Any] = {"format": file_format, "bytes": size, "sha256": sha.hexdigest()}
    if text:
        found.update(text.result())
    elif size:
        file.seek(0)
        found["schema"] = {field.name: str(field.type) for field in pq.read_schema(file)}
    return found


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(CHUNK_BYTES):
        yield chunk


class _Gunzip:
    """Inflates a gzip stream piece by piece; a damaged one raises ``OSError`` or ``zlib.error``."""

    def __init__(self) -> None:
        import zlib

        self._inflate = zlib.decompressobj(wbits=31)

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        pending = chunk
        while pending:
            yield self._inflate.decompress(pending, CHUNK_BYTES)
            pending = self._inflate.unconsumed_tail


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
        self._seen += len(chunk)

    def result(self) -> dict[str, Any]:
        found: dict[str, Any] = {"invalid_at": self._end_of_encoding()}
        if self._is_csv:
            found["multiline"] = self._multiline
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
        quote = self._quote.encode(self._encoding)
        if len(quote) != 1 or (not self._inside_quotes and quote not in chunk):
            return
        octets = np.frombuffer(chunk, dtype=np.uint8)
        quotes = np.flatnonzero(octets == quote[0])
        newlines = np.flatnonzero(octets == ord("\n"))
        odd = (np.searchsorted(quotes, newlines) + int(self._inside_quotes)) % 2
        self._multiline = bool(odd.any())
        self._inside_quotes = bool((len(quotes) + int(self._inside_quotes)) % 2)

    def _header(self) -> list[str] | None:
        head = bytes(self._head).removeprefix(_BOM)
        text = head.decode(self._encoding, errors="replace")
        if not text.strip():
            return None
        rows = csv.reader(io.StringIO(text), delimiter=self._separator, quotechar=self._quote or None)
        return [name.strip() for name in next(rows)]



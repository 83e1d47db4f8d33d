"""A file's bytes in pieces, inflated where its name says that it is compressed."""

from __future__ import annotations

import bz2
import zlib
from collections.abc import Iterator
from typing import Any, Protocol

CHUNK_BYTES = 1 << 20
COMPRESSIONS = {".gz": "gzip", ".bz2": "bz2"}
"""By the end of a file's name; Spark goes by the same."""


class Readable(Protocol):
    """What is read from its beginning to its end."""

    def read(self, size: int, /) -> bytes: ...


def compression_of(name: str) -> str | None:
    """``gzip``, ``bz2`` or None."""
    return next((kind for end, kind in COMPRESSIONS.items() if name.endswith(end)), None)


def unpacked(file: Readable, name: str) -> Iterator[bytes]:
    """The pieces. A damaged file raises ``EOFError``, ``OSError`` or ``zlib.error``."""
    compression = compression_of(name)
    if compression == "gzip":
        return _gzip(file)
    return _bz2(file) if compression == "bz2" else chunks(file)


def chunks(file: Readable) -> Iterator[bytes]:
    """The bytes as they are."""
    while chunk := file.read(CHUNK_BYTES):
        yield chunk


def _gzip(file: Readable) -> Iterator[bytes]:
    """A gzip file may be several one after the other."""
    inflate = zlib.decompressobj(wbits=31)
    for chunk in chunks(file):
        pending = chunk
        while pending:
            if inflate.eof:
                inflate = zlib.decompressobj(wbits=31)
            yield inflate.decompress(pending, CHUNK_BYTES)
            pending = inflate.unused_data if inflate.eof else inflate.unconsumed_tail
            if inflate.eof and not pending.strip(b"\0"):
                pending = b""  # padding, which gzip itself passes over
    yield inflate.flush()
    _require_end(inflate)


def _bz2(file: Readable) -> Iterator[bytes]:
    """So may a bzip2 file."""
    inflate = bz2.BZ2Decompressor()
    for chunk in chunks(file):
        pending = chunk
        while pending or not (inflate.eof or inflate.needs_input):
            if inflate.eof:
                inflate = bz2.BZ2Decompressor()
            yield inflate.decompress(pending, CHUNK_BYTES)
            pending = inflate.unused_data if inflate.eof else b""
    _require_end(inflate)


def _require_end(inflate: Any) -> None:
    if not inflate.eof:
        raise EOFError("it ends in the middle")

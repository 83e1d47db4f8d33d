"""A file's bytes in pieces, unpacked where its name says that it is compressed, and never more than is allowed."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import pyarrow as pa

from provender.records.damage import UnreadableFileError
from provender.records.snappy_blocks import is_hadoop_lz4, lz4_blocks, snappy_blocks

CHUNK_BYTES = 1 << 20
COMPRESSIONS = {
    ".gz": "gzip",
    ".gzip": "gzip",
    ".bz2": "bzip2",
    ".xz": "xz",
    ".lzma": "xz",
    ".zst": "zstd",
    ".zstd": "zstd",
    ".deflate": "deflate",
    ".snappy": "snappy",
    ".lz4": "lz4",
}
"""By the end of a file's name, in any letter case."""
UNREAD = (".zip", ".7z", ".rar", ".tar", ".tgz", ".tbz2", ".txz", ".br", ".lzo", ".z", ".sz")
"""Compressions and archives that are not read."""
LEAST_LIMIT_BYTES = 1 << 30
MOST_TIMES = 100
"""Unless the spec says otherwise, a file may unpack to a hundred times its size, and to a gigabyte in any case."""


class Readable(Protocol):
    """What is read from its beginning to its end."""

    def read(self, size: int, /) -> bytes: ...


def compression_of(name: str) -> str | None:
    """``gzip``, ``bzip2``, ``xz``, ``zstd``, ``deflate``, ``snappy``, ``lz4`` or None."""
    return next((kind for end, kind in COMPRESSIONS.items() if name.lower().endswith(end)), None)


def without_compression(name: str) -> str:
    """``name`` in small letters, without the ending of a compression."""
    small = name.lower()
    end = next((end for end in COMPRESSIONS if small.endswith(end)), "")
    return small.removesuffix(end)


def unpacked(file: Readable, name: str, most_bytes: int | None = None) -> Iterator[bytes]:
    """Gives the file's bytes unpacked, in pieces. Raises :class:`UnreadableFileError` for a damaged file, a compression
    that is not read, and a file that unpacks to more than ``most_bytes`` (by default: see :data:`MOST_TIMES`)."""
    plain = without_compression(name)
    if unread := next((end for end in UNREAD if plain.endswith(end)), None):
        raise UnreadableFileError(
            f"{unread} is not read",
            f"deliver it as it is, or compressed as one of {' '.join(COMPRESSIONS)}",
        )
    compression = compression_of(name)
    if compression is None:
        return chunks(file)
    counted = _Counted(file)
    return _bounded(_translated(_UNPACK[compression](counted), compression), counted, most_bytes)


def chunks(file: Readable) -> Iterator[bytes]:
    """Gives the bytes as they are."""
    while chunk := file.read(CHUNK_BYTES):
        yield chunk


class _Counted:
    """A file that counts what was read. Closed by whoever opened it."""

    closed = False

    def __init__(self, file: Readable) -> None:
        self._file, self.size = file, 0

    def read(self, size: int = -1, /) -> bytes:
        data = self._file.read(size)
        self.size += len(data)
        return data

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        """Arrow closes what it reads."""


def _translated(pieces: Iterator[bytes], compression: str) -> Iterator[bytes]:
    try:
        yield from pieces
    except (zlib.error, lzma.LZMAError, EOFError, OSError, pa.ArrowException) as error:
        why = str(error).splitlines()[0] if str(error) else "it cannot be unpacked"
        raise UnreadableFileError(f"damaged {compression}: {why}") from error


def _bounded(pieces: Iterator[bytes], read: _Counted, most_bytes: int | None) -> Iterator[bytes]:
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > (most_bytes if most_bytes is not None else max(LEAST_LIMIT_BYTES, MOST_TIMES * read.size)):
            raise UnreadableFileError(
                f"it unpacks to more than {size - len(piece)} bytes (raw.max_unpacked_bytes)",
                "if that is what it should hold, set raw.max_unpacked_bytes in the spec; else deliver it again",
            )
        yield piece


def _members(new: Callable[[], Any], file: Readable) -> Iterator[bytes]:
    """A compressed file may be several one after the other, and have zeros after the last."""
    inflate: Any = None
    for chunk in chunks(file):
        pending = chunk
        while pending or (inflate is not None and not inflate.eof and not inflate.needs_input):
            if inflate is None or inflate.eof:
                pending = pending.lstrip(b"\0") if inflate is not None else pending
                if not pending:
                    break
                inflate = new()
            yield inflate.decompress(pending, CHUNK_BYTES)
            pending = inflate.unused_data if inflate.eof else b""
    if inflate is not None and not inflate.eof:
        raise EOFError("it ends in the middle")


class _Inflate:
    """zlib's decompressor with the attributes of the others."""

    def __init__(self, wbits: int) -> None:
        self._inflate = zlib.decompressobj(wbits=wbits)

    def decompress(self, data: bytes, most: int) -> bytes:
        return self._inflate.decompress(self._inflate.unconsumed_tail + data, most)

    @property
    def eof(self) -> bool:
        return self._inflate.eof

    @property
    def unused_data(self) -> bytes:
        return self._inflate.unused_data

    @property
    def needs_input(self) -> bool:
        return not self._inflate.unconsumed_tail


def _arrow(compression: str) -> Callable[[Readable], Iterator[bytes]]:
    def unpack(file: Readable) -> Iterator[bytes]:
        with pa.CompressedInputStream(pa.PythonFile(file, mode="r"), compression) as stream:
            yield from chunks(stream)

    return unpack


def _lz4(file: Readable) -> Iterator[bytes]:
    begun = _Begun(file, file.read(4))
    return lz4_blocks(begun) if is_hadoop_lz4(begun.first) else _arrow("lz4")(begun)


class _Begun(_Counted):
    """A file of which the first bytes were looked at."""

    def __init__(self, file: Readable, first: bytes) -> None:
        super().__init__(file)
        self.first = self._held = first

    def read(self, size: int = -1, /) -> bytes:
        if not self._held:
            return super().read(size)
        held, self._held = self._held, b""
        if size < 0 or size >= len(held):
            return held + super().read(size - len(held) if size >= 0 else size)
        self._held = held[size:]
        return held[:size]


def _xz(file: Readable) -> Iterator[bytes]:
    return _members(lzma.LZMADecompressor, file)


_UNPACK: dict[str, Callable[[Any], Iterator[bytes]]] = {
    "gzip": lambda file: _members(lambda: _Inflate(31), file),
    "deflate": lambda file: _members(lambda: _Inflate(15), file),
    "bzip2": lambda file: _members(bz2.BZ2Decompressor, file),
    "xz": _xz,
    "zstd": _arrow("zstd"),
    "lz4": _lz4,
    "snappy": snappy_blocks,
}

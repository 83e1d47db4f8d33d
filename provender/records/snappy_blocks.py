"""The block formats in which Hadoop and Spark write ``.snappy`` and ``.lz4``, and Snappy's own framing.

Hadoop's (``BlockCompressorStream``): blocks of a length unpacked (4 bytes, big-endian) and, until that many bytes have
come, chunks of a length packed (4 bytes, big-endian) and the chunk. Snappy's framing format
(https://github.com/google/snappy/blob/main/framing_format.txt): chunks of a type (1 byte), a length (3 bytes,
little-endian) and that many bytes; the checksum in a chunk is not compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import pyarrow as pa

_FRAMED = b"\xff\x06\x00\x00sNaPpY"
_LZ4_MAGICS = (b"\x04\x22\x4d\x18", *(bytes([0x50 + n, 0x2A, 0x4D, 0x18]) for n in range(16)))
_MOST_BLOCK_BYTES = 64 << 20
_COMPRESSED, _PLAIN, _PADDING, _IDENTIFIER = 0x00, 0x01, 0xFE, 0xFF


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def is_hadoop_lz4(first: bytes) -> bool:
    """Whether a file that begins so is Hadoop's blocks, and not LZ4's own frames."""
    return bool(first) and first not in _LZ4_MAGICS


def snappy_blocks(file: _Readable) -> Iterator[bytes]:
    """Unpacks either kind. Raises ``EOFError``, ``OSError`` or ``pyarrow.ArrowException`` for what is neither."""
    first = file.read(4)
    if first == _FRAMED[:4]:
        if file.read(6) != _FRAMED[4:]:
            raise OSError("it does not begin as Snappy does")
        yield from _framed(file)
    elif first:
        yield from _blocks(file, first, pa.Codec("snappy"))


def lz4_blocks(file: _Readable) -> Iterator[bytes]:
    """Unpacks Hadoop's blocks of LZ4; raises as :func:`snappy_blocks` does."""
    yield from _blocks(file, file.read(4), pa.Codec("lz4_raw"))


def _blocks(file: _Readable, first: bytes, codec: pa.Codec) -> Iterator[bytes]:
    head = first
    while head:
        left = _size(head)
        while left:
            chunk = _take(file, _size(_take(file, 4)))
            size = _snappy_size(chunk) if codec.name == "snappy" else None
            piece = _decompress(codec, chunk, left if size is None else size)
            if not 0 < len(piece) <= left:
                raise OSError("a block is of another size than it says")
            yield piece
            left -= len(piece)
        head = file.read(4)


def _decompress(codec: pa.Codec, chunk: bytes, most: int) -> bytes:
    if most > _MOST_BLOCK_BYTES:
        raise OSError("a block is larger than any is")
    return bytes(codec.decompress(chunk, decompressed_size=most, asbytes=True))


def _framed(file: _Readable) -> Iterator[bytes]:
    while kind := file.read(1):
        data = _take(file, int.from_bytes(_take(file, 3), "little"))
        if kind[0] == _COMPRESSED:
            yield _decompress(pa.Codec("snappy"), data[4:], _snappy_size(data[4:]))
        elif kind[0] == _PLAIN:
            yield data[4:]
        elif kind[0] < 0x80:
            raise OSError("it has a chunk of an unknown kind")


def _snappy_size(chunk: bytes) -> int:
    """The length unpacked, which Snappy puts first: 7 bits a byte, the lowest first."""
    size = 0
    for at, octet in enumerate(chunk[:5]):
        size |= (octet & 0x7F) << (7 * at)
        if octet < 0x80:
            return size
    raise OSError("a block does not say its size")


def _size(four: bytes) -> int:
    if len(four) != 4:
        raise EOFError("it ends in the middle")
    size = int.from_bytes(four, "big")
    if size > _MOST_BLOCK_BYTES:
        raise OSError("it does not begin as its ending says, or a block is larger than any is")
    return size


def _take(file: _Readable, size: int) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise EOFError("it ends in the middle")
    return data

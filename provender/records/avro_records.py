"""Records of Avro object container files, in one pass.

The format (https://avro.apache.org/docs/current/specification/#object-container-files): ``Obj`` and a 1, a map of
metadata with the schema as JSON, a sync marker of 16 bytes, then blocks: count of rows, bytes, that many bytes, the
sync marker again. Only declared columns are decoded; others are passed over, whatever their type.
"""

from __future__ import annotations

import bz2
import json
import lzma
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from provender.records.avro_types import AvroTypes, Decoder, whole
from provender.records.batch import RecordBatch
from provender.records.build import BATCH_ROWS, batch_of
from provender.records.damage import UnreadableFileError
from provender.records.names import placed
from provender.records.unpack import CHUNK_BYTES, Readable

_MAGIC = b"Obj\x01"
_SYNC_BYTES = 16
_MOST_METADATA_BYTES = 16 << 20
_MOST_BLOCK_BYTES = 1 << 30
_MOST_ROWS = 1 << 26


@dataclass
class AvroHead:
    """What stands before the first block."""

    record: dict[str, Any]
    codec: str
    sync: bytes

    @property
    def fields(self) -> list[dict[str, Any]]:
        return list(self.record["fields"])

    @property
    def names(self) -> list[str]:
        return [str(field["name"]) for field in self.fields]


def avro_batches(
    file: Readable, declared: Sequence[str], *, most_bytes: int | None = None
) -> Iterator[RecordBatch]:
    """The records, in batches of at most :data:`BATCH_ROWS` or a block. Columns of a type that has no counterpart
    (records, arrays, maps, unions of several kinds) are given as their JSON text, in a field ``json``.

    Raises :class:`UnreadableFileError` for what is no Avro, ends in the middle, is packed by a codec that is not read,
    unpacks to more than ``most_bytes``, or has a declared column twice.
    """
    head = avro_head(file)
    names = placed(head.names, declared)
    wanted = {name for name in names if name in set(declared)}
    decoders = _decoders(head, [name in wanted for name in names])
    columns = [(name, decoder) for name, decoder in zip(names, decoders, strict=True) if name in wanted]
    rows: list[list[Any]] = []
    first = 1
    for count, data in _blocks(file, head, most_bytes):
        rows += _decoded(data, count, decoders)
        while len(rows) >= BATCH_ROWS:
            yield _batch(columns, rows[:BATCH_ROWS], first)
            rows, first = rows[BATCH_ROWS:], first + BATCH_ROWS
    if rows:
        yield _batch(columns, rows, first)


def _decoders(head: AvroHead, kept: Sequence[bool]) -> list[Decoder]:
    types = AvroTypes()
    try:
        types.learn({"type": "record", **head.record}, "")
        return [
            types.decoder(field["type"], keep=keep) for field, keep in zip(head.fields, kept, strict=True)
        ]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UnreadableFileError("damaged Avro: its schema cannot be read") from error


def avro_schema(file: Readable) -> dict[str, Any]:
    """Reads ``file`` to its end. ``schema``: column name to Avro type (as JSON where it is not one word); ``twice``:
    column names that occur twice, upper and lower case alike. Raises :class:`UnreadableFileError`."""
    head = avro_head(file)
    for _ in _raw_blocks(file, head):
        pass
    names = [name.lower() for name in head.names]
    return {
        "schema": {str(field["name"]): _type_name(field["type"]) for field in head.fields},
        "twice": sorted({name for name in names if names.count(name) > 1}),
    }


def avro_head(file: Readable) -> AvroHead:
    """Reads what stands before the first block."""
    if _take(file, 4) != _MAGIC:
        raise UnreadableFileError("damaged Avro: it does not begin as Avro does")
    metadata = _metadata(file)
    sync = _take(file, _SYNC_BYTES)
    try:
        record = json.loads(metadata.get("avro.schema", b"null"))
        if not all({"name", "type"} <= field.keys() for field in record["fields"]):
            raise TypeError
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UnreadableFileError("damaged Avro: its rows are no records") from error
    return AvroHead(record, metadata.get("avro.codec", b"null").decode(errors="replace"), sync)


def _type_name(kind: Any) -> str:
    return kind if isinstance(kind, str) else json.dumps(kind, sort_keys=True)


def _batch(columns: Sequence[tuple[str | None, Decoder]], rows: list[list[Any]], first: int) -> RecordBatch:
    values = list(zip(*rows, strict=True)) if columns else []
    arrays = [decoder.array(column) for (_, decoder), column in zip(columns, values, strict=True)]
    return batch_of([str(name) for name, _ in columns], arrays, len(rows), first)


def _decoded(data: bytes, count: int, decoders: Sequence[Decoder]) -> list[list[Any]]:
    rows, at = [], 0
    try:
        for _ in range(count):
            row = []
            for decoder in decoders:
                value, at = decoder.read(data, at)
                if decoder.keep:
                    row.append(value)
            rows.append(row)
    except (IndexError, ValueError, OverflowError, RecursionError) as error:
        raise UnreadableFileError("damaged Avro: a row does not fit the schema") from error
    if at != len(data):
        raise UnreadableFileError("damaged Avro: a block holds more than its rows")
    return rows


def _blocks(file: Readable, head: AvroHead, most_bytes: int | None) -> Iterator[tuple[int, bytes]]:
    size = 0
    for count, packed in _raw_blocks(file, head):
        data = _unpacked(packed, head.codec, _MOST_BLOCK_BYTES)
        size += len(data)
        if most_bytes is not None and size > most_bytes:
            raise UnreadableFileError(
                f"it unpacks to more than {most_bytes} bytes (raw.max_unpacked_bytes)",
                "if that is what it should hold, set raw.max_unpacked_bytes in the spec; else deliver it again",
            )
        yield count, data


def _raw_blocks(file: Readable, head: AvroHead) -> Iterator[tuple[int, bytes]]:
    while (first := file.read(1)) != b"":
        count, size = _whole(file, first), _whole(file)
        if not 0 <= count <= _MOST_ROWS or not 0 <= size <= _MOST_BLOCK_BYTES:
            raise UnreadableFileError("damaged Avro: a block has no size")
        data = _take(file, size)
        if _take(file, _SYNC_BYTES) != head.sync:
            raise UnreadableFileError("damaged Avro: a block does not end where it should")
        yield count, data


def _unpacked(data: bytes, codec: str, most: int) -> bytes:
    try:
        if codec == "null":
            return data
        if codec == "deflate":
            return _bounded(zlib.decompressobj(-15), data, most)
        if codec == "bzip2":
            return _bounded(bz2.BZ2Decompressor(), data, most)
        if codec == "xz":
            return _bounded(lzma.LZMADecompressor(), data, most)
        if codec == "snappy":
            size, _ = whole_unsigned(data)
            return bytes(
                pa.Codec("snappy").decompress(data[:-4], decompressed_size=min(size, most), asbytes=True)
            )
        if codec == "zstandard":
            with pa.CompressedInputStream(pa.BufferReader(data), "zstd") as stream:
                return bytes(stream.read(most))
    except (zlib.error, lzma.LZMAError, EOFError, OSError, ValueError, pa.ArrowException) as error:
        raise UnreadableFileError(f"damaged Avro: a block cannot be unpacked ({codec})") from error
    raise UnreadableFileError(
        f"its blocks are packed by {codec}, which is not read",
        "write it with the codec null, deflate, snappy, bzip2, xz or zstandard",
    )


def _bounded(inflate: Any, data: bytes, most: int) -> bytes:
    found: bytes = inflate.decompress(data, most)
    if not inflate.eof:
        raise EOFError
    return found


def whole_unsigned(data: bytes) -> tuple[int, int]:
    """A number in 7 bits a byte, the lowest first, and where it ends."""
    value, shift = 0, 0
    for at, octet in enumerate(data[:10]):
        value |= (octet & 0x7F) << shift
        if octet < 0x80:
            return value, at + 1
        shift += 7
    raise ValueError


def _metadata(file: Readable) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    while count := _whole(file):
        if count < 0:
            _whole(file)  # the size of the part in bytes, which nobody needs
        for _ in range(abs(count)):
            name = _octets(file).decode(errors="replace")
            found[name] = _octets(file)
    return found


def _octets(file: Readable) -> bytes:
    size = _whole(file)
    if not 0 <= size <= _MOST_METADATA_BYTES:
        raise UnreadableFileError("damaged Avro: its metadata have no end")
    return _take(file, size)


def _whole(file: Readable, first: bytes = b"") -> int:
    octets = first or _take(file, 1)
    while octets[-1] >= 0x80:
        octets += _take(file, 1)
        if len(octets) > 10:
            raise UnreadableFileError("damaged Avro: a number in it has no end")
    return whole(octets, 0)[0]


def _take(file: Readable, size: int) -> bytes:
    """Exactly ``size`` bytes, read in pieces, so that a size that is not true takes no memory."""
    pieces = []
    while size:
        piece = file.read(min(size, CHUNK_BYTES))
        if not piece:
            raise UnreadableFileError("damaged Avro: it ends in the middle")
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)

"""What an Avro object container file says of itself, read in one pass and constant memory.

The format (https://avro.apache.org/docs/current/specification/#object-container-files): ``Obj`` and a 1, a map of
metadata with the schema as JSON, a sync marker of 16 bytes, then blocks: count of rows, bytes, that many bytes, the
sync marker again. Whole numbers are zigzag-encoded.
"""

from __future__ import annotations

import json
from typing import Any

from provender.staging.unpack import CHUNK_BYTES, Readable

_MAGIC = b"Obj\x01"
_SYNC_BYTES = 16
_MOST_METADATA_BYTES = 16 << 20


class DamagedAvroError(ValueError):
    """The file is no Avro, or it ends in the middle."""


def avro_schema(file: Readable) -> dict[str, Any]:
    """Reads ``file`` to its end. ``schema``: column name to Avro type (as JSON where it is not one word); ``twice``:
    column names that occur twice, upper and lower case alike. Raises :class:`DamagedAvroError`."""
    if _take(file, 4) != _MAGIC:
        raise DamagedAvroError("it does not begin as Avro does")
    metadata = _metadata(file)
    sync = _take(file, _SYNC_BYTES)
    while (first := file.read(1)) != b"":
        _whole(file, first)
        _skip(file, _whole(file))
        if _take(file, _SYNC_BYTES) != sync:
            raise DamagedAvroError("a block does not end where it should")
    return _columns(metadata.get("avro.schema", b"null"))


def _columns(schema: bytes) -> dict[str, Any]:
    try:
        record = json.loads(schema)
        fields = {str(field["name"]): _type_name(field["type"]) for field in record["fields"]}
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedAvroError("its rows are no records") from error
    names = [str(field["name"]).lower() for field in record["fields"]]
    return {"schema": fields, "twice": sorted({name for name in names if names.count(name) > 1})}


def _type_name(kind: Any) -> str:
    return kind if isinstance(kind, str) else json.dumps(kind, sort_keys=True)


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
        raise DamagedAvroError("its metadata have no end")
    return _take(file, size)


def _whole(file: Readable, first: bytes = b"") -> int:
    value, shift = 0, 0
    while True:
        (octet,) = first or _take(file, 1)
        first = b""
        value |= (octet & 0x7F) << shift
        if octet < 0x80:
            return (value >> 1) ^ -(value & 1)
        shift += 7
        if shift > 63:
            raise DamagedAvroError("a number in it has no end")


def _take(file: Readable, size: int) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise DamagedAvroError("it ends in the middle")
    return data


def _skip(file: Readable, size: int) -> None:
    if size < 0:
        raise DamagedAvroError("a block has no size")
    while size:
        size -= len(_take(file, min(size, CHUNK_BYTES)))

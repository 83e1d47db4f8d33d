"""What is online of a view now: for each key the version, as the newest-wins script compares it."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from provender.errors import OnlineStoreError
from provender.online.cluster import servers_of
from provender.online.connection import address, connect, translated
from provender.online.decode import decode_created, decode_timestamp
from provender.online.layout import ARROW_TYPES, ViewLayout
from provender.online.writer import OnlineWriter
from provender.specs.source import ColumnType

_BEFORE_EVERYTHING = -(1 << 62)
_MOST_KEYS = 5_000_000
_WIDTHS = {ColumnType.INT32: "<i", ColumnType.INT64: "<q", ColumnType.TIMESTAMP: "<q"}


@dataclass(frozen=True, slots=True)
class Version:
    """One value's, in microseconds since the epoch."""

    event: int
    created: int
    """Before everything where Feast itself wrote the value, which does not keep it."""
    is_there: bool = True
    """Whether anything of the view is online for the key."""

    @property
    def pair(self) -> tuple[int, int]:
        return self.event, self.created


_NOTHING = Version(_BEFORE_EVERYTHING, _BEFORE_EVERYTHING, is_there=False)


def read_versions(writer: OnlineWriter, view: ViewLayout, keys: Sequence[bytes]) -> dict[bytes, Version]:
    """What is online of each of the Redis ``keys``. Raises :class:`OnlineStoreError`."""
    with translated(writer.connection_string, f"reading view {view.view}"):
        client = connect(writer.connection_string)
        found = {key: _version(client.hmget(key, _fields(view))) for key in keys}  # type: ignore[arg-type]
        client.close()
    return found


def versions_after(writer: OnlineWriter, view: ViewLayout, event: int) -> dict[bytes, Version]:
    """Redis key to version, of every value whose event timestamp is later than ``event`` (microseconds).

    Raises :class:`OnlineStoreError`, also if there are more than five million.
    """
    found: dict[bytes, Version] = {}
    with translated(writer.connection_string, f"reading view {view.view}"):
        client = connect(writer.connection_string)
        for server in servers_of(client):
            for keys in writer.keys(server, view.key_prefix):
                with server.pipeline(transaction=False) as pipeline:
                    for key in keys:
                        pipeline.hmget(key, _fields(view))  # type: ignore[arg-type]
                    versions = map(_version, pipeline.execute())
                new = {k: v for k, v in zip(keys, versions, strict=True) if v.is_there and v.event > event}
                found |= new
                if len(found) > _MOST_KEYS:
                    raise OnlineStoreError(
                        f"more than {_MOST_KEYS} values of view {view.view} are newer than that",
                        where=address(writer.connection_string),
                        not_affected="the online store: nothing was written",
                        remedy="correct the raw rows, ingest them, then: provender materialize SOURCE --full",
                    )
        client.close()
    return found


def key_values(view: ViewLayout, keys: Sequence[bytes]) -> dict[str, pa.Array]:
    """Columns of the join keys' values in serialized entity keys of the view, with the view's types."""
    kinds = view.sorted_keys
    columns: dict[str, list[Any]] = {name: [] for name, _ in kinds}
    for key in keys:
        at = len(view.key_prefix)
        for name, kind in kinds:
            (length,) = struct.unpack_from("<I", key, at + 4)
            columns[name].append(_value(kind, key[at + 8 : at + 8 + length]))
            at += 8 + length
    return {name: _column(kind, columns[name]) for name, kind in kinds}


def _value(kind: ColumnType, data: bytes) -> Any:
    if kind in _WIDTHS:
        return struct.unpack(_WIDTHS[kind], data)[0]
    return data


def _column(kind: ColumnType, values: list[Any]) -> pa.Array:
    if kind is ColumnType.TIMESTAMP:
        return pa.array([value * 1_000_000 for value in values], pa.int64()).cast(ARROW_TYPES[kind])
    if kind in _WIDTHS:
        return pa.array(values, ARROW_TYPES[kind])
    return pa.array(values, pa.large_binary()).cast(ARROW_TYPES[kind])


def _fields(view: ViewLayout) -> list[bytes]:
    return [view.timestamp_field, view.created_field]


def _version(stored: Sequence[bytes | None]) -> Version:
    event = decode_timestamp(stored[0])
    if event is None:
        return _NOTHING
    created = decode_created(stored[1], event)
    return Version(event, _BEFORE_EVERYTHING if created is None else created)

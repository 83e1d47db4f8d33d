"""Writes the rows of a feature view to Redis: newest wins, atomically, in Feast's own layout.

The data's way:

    record batch                  one row per entity
    -> columns of bytes           the keys, and each row's script arguments, packed a column at a time
    -> calls                      EVALSHA of up to ``rows_per_call`` rows, as raw RESP
    -> windows                    about 1,000 rows per socket write, two of them in flight
       (in a cluster: one row per call, a window's calls to the servers that hold their keys' slots)
    -> Counts                     added up from the scripts' answers

Memory is bounded by one record batch. Repeating, reordering and interleaving writes ends in the same values, so
a job that broke off is simply run again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import redis
from redis.cluster import RedisCluster

from provender.online import layout as pack
from provender.online.byte_columns import Runs, bulk, decimals, joined, replaced
from provender.online.cluster import servers_of
from provender.online.connection import connect, is_cluster, translated
from provender.online.layout import ViewLayout
from provender.online.pipeline import Call, ClusterPipeline, Counts, Pace, Pipeline
from provender.online.script import NEWEST_WINS, REMOVE, SWEEP, digest

EVENT = "event_timestamp"
CREATED = "created_timestamp"
GUARD_EVENT = "guard_event"
GUARD_CREATED = "guard_created"

_WINDOW_ROWS = 1000
_SCAN_COUNT = 1000
_DIGEST = digest(NEWEST_WINS).encode()
_GLOB_SPECIAL = b"\\*?[]"


@dataclass(frozen=True)
class OnlineWriter:
    """Writes feature views of one project. Holds no connection: safe to send to a Spark executor."""

    connection_string: str
    """Feast's ``online_store.connection_string``: ``host:port,db=0,...``."""
    project: str
    key_ttl_seconds: int | None = None
    """Feast's ``online_store.key_ttl_seconds``: the whole entity key expires this long after its last write."""
    rows_per_call: int = 50
    """Rows in one script call. More is a little faster and delays other clients; in a cluster it is always 1,
    since the keys of one call must share a slot."""
    rows_per_second: float | None = None
    """A limit, for the sake of other clients; None: none."""

    def write(
        self,
        view: ViewLayout,
        batches: Iterable[pa.RecordBatch],
        *,
        force: bool = False,
        generation: str | None = None,
        online_ttl_seconds: float | None = None,
    ) -> Counts:
        """Writes ``batches`` and says what became of their rows.

        Columns of a batch, one row per entity (a second row for the same key is decided after the first):

        =====================  ==================  =======================================================
        join keys, features    the layout's types  a row with a null join key is skipped
        event_timestamp        timestamp           when the values were true; null: nothing is left
        created_timestamp      timestamp           when they could be known; null where event_timestamp is
        guard_event            timestamp, no null  the newest version this write knows about: what is online
        guard_created          timestamp, no null  stays if it is greater, by (event, created)
        =====================  ==================  =======================================================

        For a plain row the guard is the row's own (event, created). For a retraction it is that of the version
        withdrawn, while event_timestamp and created_timestamp are those of the older version online falls back
        to: so it replaces the withdrawn version, and cannot replace a newer one.

        ``force`` replaces whatever is online. ``generation`` stamps each row written, and each row kept because
        it is newer, for :meth:`sweep`. ``online_ttl_seconds`` treats values older than that as nothing left.

        Raises :class:`OnlineStoreError` with the address; what was written before it stays and is right.
        """
        rows = 0

        def counted() -> Iterator[pa.RecordBatch]:
            nonlocal rows
            for batch in batches:
                rows += batch.num_rows
                yield batch

        windows = self.packed(
            view, counted(), force=force, generation=generation, online_ttl_seconds=online_ttl_seconds
        )
        counts = self.send(windows, f"writing view {view.view}")
        return counts + Counts(skipped=rows - counts.rows)

    def packed(
        self,
        view: ViewLayout,
        batches: Iterable[pa.RecordBatch],
        *,
        force: bool = False,
        generation: str | None = None,
        online_ttl_seconds: float | None = None,
    ) -> Iterator[list[Call]]:
        """What :meth:`write` sends: windows of calls, without the rows that have a null join key."""
        calls = _CallBuilder(view, self, force, generation)
        oldest = None if online_ttl_seconds is None else int((time.time() - online_ttl_seconds) * 1_000_000)
        for batch in batches:
            rows = _without_null_keys(view, batch)
            for start in range(0, rows.num_rows, _WINDOW_ROWS * 10):
                yield from calls.windows(rows.slice(start, _WINDOW_ROWS * 10), oldest)

    def send(self, windows: Iterable[list[Call]], doing: str) -> Counts:
        """Sends packed windows, two in flight; ``doing`` is for the error. Raises :class:`OnlineStoreError`."""
        pace = Pace(self.rows_per_second)
        with translated(self.connection_string, doing), self._pipeline() as pipeline:
            for window in windows:
                pace.admit(window)
                pipeline.send(window)
            return pipeline.finish()

    def sweep(self, view: ViewLayout, generation: str) -> int:
        """Removes the view's values from every key that ``generation`` neither wrote nor confirmed.

        The last step of a full rebuild. Answers how many keys lost something. Other views' values and other
        projects' keys stay. Raises :class:`OnlineStoreError`.
        """
        arguments = [view.generation_field, generation.encode(), *_fields(view)]
        with translated(self.connection_string, f"sweeping view {view.view}"):
            answers = self._for_all_keys(view.key_prefix, SWEEP, lambda _: arguments)
            return sum(sum(some) for some in answers)

    def expire(self, view: ViewLayout, online_ttl_seconds: float) -> int:
        """Removes values whose event timestamp is more than ``online_ttl_seconds`` ago; answers how many keys.

        Redis can only expire whole keys, which several views share; so each view's own limit is kept by this.
        A value replaced meanwhile by a younger one stays. Raises :class:`OnlineStoreError`.
        """
        limit = pa.array([int((time.time() - online_ttl_seconds) * 1_000_000)], pa.timestamp("us", tz="UTC"))
        fields = [view.timestamp_field, view.created_field, view.generation_field]
        common = [*fields, b"", b"0", b"0", b"%d" % len(view.features), *view.feature_fields]
        guard = [b"%d" % (pack.to_micros(limit)[0] - 1), b"-%d" % (1 << 62)]
        row = [*guard, b"", b"", *[b""] * len(view.features)]
        with translated(self.connection_string, f"expiring view {view.view}"):
            answers = self._for_all_keys(view.key_prefix, NEWEST_WINS, lambda keys: [*common, *row * keys])
            return sum(int(answer[2]) for some in answers for answer in some)

    def remove_fields(self, key_prefix: bytes, fields: list[bytes]) -> list[int]:
        """Removes hash fields from every entity key of this project that starts with ``key_prefix``.

        Answers for each field how many keys lost it, and last how many keys lost any. Other fields and other
        projects' keys stay. Raises :class:`OnlineStoreError`.
        """
        sums = [0] * (len(fields) + 1)
        with translated(self.connection_string, "removing what is not defined any more"):
            for some in self._for_all_keys(key_prefix, REMOVE, lambda _: fields):
                for answer in some:
                    sums = [total + int(number) for total, number in zip(sums, answer, strict=True)]
        return sums

    def _pipeline(self) -> Pipeline | ClusterPipeline:
        client = connect(self.connection_string)
        return ClusterPipeline(client) if isinstance(client, RedisCluster) else Pipeline(client)

    def _for_all_keys(
        self, prefix: bytes, script: str, arguments: Callable[[int], list[bytes]]
    ) -> Iterator[list[Any]]:
        """Runs ``script`` on every entity key of this project that starts with ``prefix``, server by server.

        ``arguments``: the script's, for so many keys. Yields the answers of about a thousand keys at a time.
        """
        client = connect(self.connection_string)
        per_call = self.rows_per_call_here
        try:
            for server in servers_of(client):
                sha = server.script_load(script)
                for keys in self.keys(server, prefix):
                    with server.pipeline(transaction=False) as pipeline:
                        for start in range(0, len(keys), per_call):
                            some = keys[start : start + per_call]
                            pipeline.evalsha(str(sha), len(some), *some, *arguments(len(some)))
                        yield pipeline.execute()
        finally:
            client.close()

    @property
    def rows_per_call_here(self) -> int:
        """``rows_per_call``, where the keys of a call need not share a slot."""
        return 1 if is_cluster(self.connection_string) else self.rows_per_call

    def keys(self, server: redis.Redis, prefix: bytes) -> Iterator[list[bytes]]:
        """The server's entity keys of this project that start with ``prefix``, about a thousand at a time."""
        pattern = _escape_glob(prefix) + b"*" + _escape_glob(self.project.encode())
        ours = self.project.encode()
        found: list[bytes] = []
        for key in server.scan_iter(pattern, count=_SCAN_COUNT):
            if pack.key_project(key) == ours:
                found.append(key)
            if len(found) == _WINDOW_ROWS:
                yield found
                found = []
        if found:
            yield found


class _CallBuilder:
    """Turns record batches into windows of raw EVALSHA calls for one view."""

    def __init__(self, view: ViewLayout, writer: OnlineWriter, force: bool, generation: str | None) -> None:
        self._view = view
        self._project = writer.project
        self._rows_per_call = writer.rows_per_call_here
        ttl = writer.key_ttl_seconds or 0
        fields = [view.timestamp_field, view.created_field, view.generation_field]
        common = [*fields, (generation or "").encode(), b"1" if force else b"0", b"%d" % ttl]
        common += [b"%d" % len(view.features), *view.feature_fields]
        self._common = b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in common)
        self._common_count = len(common)
        self._row_count = 4 + len(view.features)

    def windows(self, batch: pa.RecordBatch, oldest: int | None) -> Iterator[list[Call]]:
        """Lists of calls, about 1,000 rows in each."""
        plain = pack.key_column(self._view, self._project, batch)
        keys, rows = Runs(bulk(plain)), Runs(joined(*self._row_arguments(batch, oldest)))
        starts = range(0, len(plain), self._rows_per_call)
        calls_per_window = max(1, _WINDOW_ROWS // self._rows_per_call)
        for first in range(0, len(starts), calls_per_window):
            some = starts[first : first + calls_per_window]
            ends = [min(start + self._rows_per_call, len(plain)) for start in some]
            yield [
                Call(plain[start].as_py(), self._call(keys, rows, start, end), end - start)
                for start, end in zip(some, ends, strict=True)
            ]

    def _call(self, keys: Runs, rows: Runs, start: int, end: int) -> bytes:
        count = end - start
        arguments = 3 + count + self._common_count + count * self._row_count
        head = b"*%d\r\n$7\r\nEVALSHA\r\n$40\r\n%b\r\n" % (arguments, _DIGEST)
        number = b"$%d\r\n%d\r\n" % (len(str(count)), count)
        return b"".join((head, number, keys.between(start, end), self._common, rows.between(start, end)))

    def _row_arguments(self, batch: pa.RecordBatch, oldest: int | None) -> list[pa.Array]:
        """Columns of framed arguments, in the script's order."""
        event = batch.column(EVENT)
        events, createds = pack.to_micros(event), pack.to_micros(batch.column(CREATED))
        gone = event.is_null().to_numpy(zero_copy_only=False)
        if oldest is not None:
            gone = gone | (events < oldest)
        texts = replaced(pack.created_column(createds, events), gone, b"")
        guards = [decimals(pack.to_micros(batch.column(name))) for name in (GUARD_EVENT, GUARD_CREATED)]
        values = [pack.value_column(kind, batch.column(name)) for name, kind in self._view.features]
        return [bulk(column) for column in (*guards, pack.timestamp_column(events), texts, *values)]


def _fields(view: ViewLayout) -> list[bytes]:
    """Every hash field that belongs to the view."""
    return [view.timestamp_field, view.created_field, view.generation_field, *view.feature_fields]


def _without_null_keys(view: ViewLayout, batch: pa.RecordBatch) -> pa.RecordBatch:
    keys = [batch.column(name) for name, _ in view.join_keys]
    if not any(column.null_count for column in keys):
        return batch
    mask = keys[0].is_valid()
    for column in keys[1:]:
        mask = pc.and_(mask, column.is_valid())
    return batch.filter(mask)


def _escape_glob(text: bytes) -> bytes:
    """``text`` as a SCAN pattern that matches nothing else. (Feast does not escape: a length byte may be ``*``.)"""
    return b"".join(b"\\" + bytes([c]) if c in _GLOB_SPECIAL else bytes([c]) for c in text)

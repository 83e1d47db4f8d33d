"""The script in Redis decides as the rule decides, on generated writes."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import strategies as st

from provender.online import layout as pack
from provender.online.layout import ViewLayout
from provender.online.writer import OnlineWriter
from provender.specs.source import ColumnType
from tests.correctness.cases import differing, examples, smallest, without_parts
from tests.correctness.oracle import Online, Write, after
from tests.point_in_time.logs import STAMP, at
from tests.servers import RedisServer

pytestmark = pytest.mark.redis

VIEW = ViewLayout("view", (("key", ColumnType.STRING),), (("value", ColumnType.INT64),))
PROJECT = "shop"
CASES = 200

Push = Online
"""A row that Feast itself writes: it has no created timestamp, and Feast skips it unless its event timestamp is newer
in whole seconds."""
Case = tuple[Write | Push, ...]
"""Writes to one key, in order."""

times = st.builds(
    lambda m, gap: at(m) + gap, st.integers(0, 3), st.sampled_from([timedelta(0), timedelta(microseconds=1)])
)
states = st.integers(0, 9).map(lambda n: (n,)) | st.just((None,))
rows = st.builds(Online, times, times, states)
own = rows.map(lambda row: Write(row, (row.event, row.created)))
retractions = st.builds(
    lambda row, guard: Write(row and (row if row.event <= guard[0] else None), guard),
    st.none() | rows,
    st.tuples(times, times),
)
pushes = st.builds(Online, times, st.none(), states)
cases = st.lists(own | own | retractions | pushes, max_size=8).map(tuple)


def expected(case: Case) -> Online | None:
    online: Online | None = None
    for write in case:
        if isinstance(write, Write):
            online = after(online, write)
        elif is_newer(write, online):
            online = write
    return online


def is_newer(push: Push, online: Online | None) -> bool:
    return online is None or push.event.replace(microsecond=0) > online.event.replace(microsecond=0)


def batch(writes: list[tuple[str, Write]]) -> pa.RecordBatch:
    columns: dict[str, list[Any]] = {
        "key": [key for key, _ in writes],
        "value": [w.row.state[0] if w.row and w.row.state else None for _, w in writes],
        "event_timestamp": [w.row and w.row.event for _, w in writes],
        "created_timestamp": [w.row and w.row.created for _, w in writes],
        "guard_event": [w.guard[0] for _, w in writes],
        "guard_created": [w.guard[1] for _, w in writes],
    }
    kinds = {"key": pa.string(), "value": pa.int64()}
    arrays = {name: pa.array(values, kinds.get(name, STAMP)) for name, values in columns.items()}
    return pa.RecordBatch.from_pydict(arrays)


def found(server: RedisServer, of_cases: list[Case]) -> dict[str, Online | None]:
    """What is online after every case's writes, in rounds: one write of each key at a time."""
    client, writer = server.client(), OnlineWriter(server.address, PROJECT, rows_per_call=7)
    client.flushall()
    for turn in range(max(map(len, of_cases), default=0)):
        due = [(f"{n}:a", case[turn]) for n, case in enumerate(of_cases) if turn < len(case)]
        random.Random(turn).shuffle(due)
        for key, push in due:
            if isinstance(push, Online) and is_newer(push, read(client, key)):
                client.hset(redis_key(key), mapping=pushed(push))
        writer.write(VIEW, [batch([(key, write) for key, write in due if isinstance(write, Write)])])
    online = {f"{n}:a": read(client, f"{n}:a") for n in range(len(of_cases))}
    client.close()
    return online


def redis_key(key: str) -> bytes:
    return pack.pack_keys(VIEW, PROJECT, pa.RecordBatch.from_pydict({"key": [key]}))[0]


def pushed(push: Push) -> dict[bytes, bytes]:
    assert push.state is not None
    stamp = pack.pack_timestamps(pack.to_micros(pa.array([push.event], STAMP)))[0]
    value = pack.pack_values(ColumnType.INT64, pa.array([push.state[0]], pa.int64()))[0]
    return {VIEW.timestamp_field: stamp, VIEW.feature_fields[0]: value}


def read(client: Any, key: str) -> Online | None:
    stamp, created, value = client.hmget(
        redis_key(key), [VIEW.timestamp_field, VIEW.created_field, *VIEW.feature_fields]
    )
    if stamp is None:
        assert value is None, "a value without the time it was true"
        return None
    event = _moment(Timestamp.FromString(stamp).ToMicroseconds())
    state = (value[1] if value else None,)
    known = pack.parse_created(created) if created else None
    if known is None or _moment(known[1]) != event:
        return Online(event, None, state)
    return Online(event, _moment(known[0]), state)


def _moment(micros: int) -> datetime:
    return at(0) + (timedelta(microseconds=micros) - timedelta(seconds=at(0).timestamp()))


def compare(server: RedisServer, of_cases: list[Case]) -> dict[Any, Any]:
    return differing({f"{n}:a": expected(case) for n, case in enumerate(of_cases)}, found(server, of_cases))


def test_redis_decides_as_the_rule_decides(redis_server: RedisServer) -> None:
    of_cases = examples(cases, CASES)
    wrong = compare(redis_server, of_cases)
    if wrong:
        numbers = [int(key.split(":")[0]) for key in wrong]
        least = smallest(
            min((of_cases[n] for n in numbers), key=len),
            without_parts,
            lambda candidates: sorted(int(k.split(":")[0]) for k in compare(redis_server, candidates)),
        )
        lines = [f"  {write}" for write in least]
        pytest.fail(
            "\n".join(
                ["the smallest writes:", *lines, f"(expected, found): {compare(redis_server, [least])}"]
            ),
            pytrace=False,
        )

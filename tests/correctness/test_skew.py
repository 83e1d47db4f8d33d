"""Training and serving agree: what is online is what a training row of now would get, type for type."""

from __future__ import annotations

import json
import random
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from provender.ledger import Job
from provender.ledger.manifest import Manifest
from provender.online.reader import Reader
from provender.online.views import AppliedView, save_applied_views
from provender.online.writer import OnlineWriter
from provender.point_in_time.duckdb_join import Lookup, join
from provender.specs.source import ColumnType
from provender.tables.feature_log import FeatureLog
from tests.correctness.world import HOUR, STAMP, day
from tests.engine import Project
from tests.servers import RedisServer

pytestmark = [pytest.mark.spark, pytest.mark.redis]

KEYS = [f"k{n}" for n in range(40)]
EXPIRED = day(1) + 12 * HOUR
"""What was true before is not online any more."""
VALUES: dict[ColumnType, list[Any]] = {
    ColumnType.INT32: [0, -1, 2**31 - 1, -(2**31), None],
    ColumnType.INT64: [0, -1, 2**63 - 1, -(2**63), None],
    ColumnType.FLOAT: [0.0, -0.5, 0.1, 3.4e38, None],
    ColumnType.DOUBLE: [0.0, -0.5, 0.1, 1e308, None],
    ColumnType.STRING: ["x", "ü€", " ", "0", None],
    ColumnType.BOOL: [True, False, None],
    ColumnType.BYTES: [b"\x00", b"\xff\xfe", b"x", None],
    ColumnType.TIMESTAMP: [
        day(1),
        datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC),
        datetime(2200, 1, 1, tzinfo=UTC),
        None,
    ],
}
FEATURES = {f"v_{kind.lower()}": kind for kind in VALUES}


def row_of(rng: random.Random, number: int) -> dict[str, Any]:
    """A raw row of a day, as JSON has it; often a null."""
    row: dict[str, Any] = {"key": rng.choice(KEYS)}
    row["at"] = (day(number) + timedelta(minutes=rng.randrange(24 * 60))).isoformat()
    for name, kind in FEATURES.items():
        value = rng.choice(VALUES[kind])
        row[name] = _as_json(value)
    return row


def _as_json(value: Any) -> Any:
    if isinstance(value, bytes):
        return b64encode(value).decode()
    return value.isoformat() if isinstance(value, datetime) else value


@pytest.fixture(params=["duckdb", "spark"])
def typed(request: pytest.FixtureRequest, project: Project, redis_server: RedisServer) -> Project:
    """A source with a column of each type, two days of it ingested, one of them twice."""
    project.materialize_with(request.param)
    online_ttl = int((datetime.now(UTC) - EXPIRED).total_seconds())
    columns = [{"name": "key", "type": "STRING", "required": True}, {"name": "at", "type": "TIMESTAMP"}]
    columns += [{"name": name, "type": str(kind)} for name, kind in FEATURES.items()]
    spec = {
        "name": "typed",
        "owner": "tests",
        "cadence": "daily",
        "start": day(1).date(),
        "raw": {"uri": "../raw/typed/{partition}.json", "format": "json"},
        "event_timestamp": {"column": "at"},
        "columns": columns,
        "tables": [{"name": "typed", "keys": ["key"], "online_ttl": f"{online_ttl}s"}],
    }
    project.write_source(spec)
    save_applied_views(project.storage, project.settings.project, [view()])
    return project


def view() -> AppliedView:
    return AppliedView(
        "typed", "typed", "typed", {"key": "STRING"}, {n: str(k) for n, k in FEATURES.items()}, {}
    )


def deliver(project: Project, number: int, rows: list[dict[str, Any]], attempt: str) -> None:
    file = project.folder / "raw" / "typed" / f"{day(number):%Y-%m-%d}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    manifest = project.run("typed", f"{day(number):%Y-%m-%d}", attempt=attempt)
    assert not manifest.counts["quarantined"]


def run_materialize(project: Project, attempt: str) -> Manifest:
    from provender.materialization.run import materialize

    return materialize(project.settings, "typed", attempt)


def late_writers(project: Project) -> Iterator[pa.RecordBatch]:
    """What earlier writers may still have under way: live versions of the log, repeated, in any order."""
    log = DeltaTable(project.storage.uri("tables/typed/typed")).to_pyarrow_table()
    table = pa.Table.from_pylist([row for row in log.to_pylist() if not row["deleted"]], log.schema)
    guards = {"guard_event": "event_timestamp", "guard_created": "created_timestamp"}
    for name, column in guards.items():
        table = table.append_column(name, table.column(column))
    for seed in range(6):
        order = random.Random(seed).choices(range(len(table)), k=len(table))
        yield table.take(order).combine_chunks().to_batches()[0]


def offline(project: Project, recorded_up_to: datetime) -> dict[str, dict[str, Any]]:
    """A training row of now for every key, from the version that was materialized; with the time it was true."""
    log = FeatureLog(project.storage.uri("tables/typed/typed"))
    entities = pa.table({"key": KEYS, "t": pa.array([datetime.now(UTC)] * len(KEYS), STAMP)})
    features = {name: name for name in (*FEATURES, "event_timestamp")}
    found = join(entities, "t", [Lookup(log, {"key": "key"}, features, recorded_up_to=recorded_up_to)])
    return {row.pop("key"): row for row in found.drop_columns("t").to_pylist()}


def test_after_all_writers_every_online_value_is_the_offline_one(
    typed: Project, redis_server: RedisServer
) -> None:
    rng = random.Random(7)
    days = {number: [row_of(rng, number) for _ in range(60)] for number in (1, 2)}
    deliver(typed, 1, days[1], "one")
    run_materialize(typed, "online one")
    deliver(typed, 2, days[2], "two")
    writer = OnlineWriter(redis_server.address, typed.settings.project)
    expiry = (datetime.now(UTC) - EXPIRED).total_seconds()
    with ThreadPoolExecutor(7) as pool:
        manifest = pool.submit(run_materialize, typed, "online two")
        late = [
            pool.submit(writer.write, view().layout, [batch], online_ttl_seconds=expiry)
            for batch in late_writers(typed)
        ]
        written, *_ = [future.result() for future in (manifest, *late)]
    assert isinstance(written, Manifest) and written.recorded_up_to is not None
    assert written == typed.ledger("typed").last(Job.MATERIALIZE)
    expected = offline(typed, written.recorded_up_to)
    with Reader(redis_server.address, typed.settings.project, [view().layout]) as reader:
        got = reader.read({"key": KEYS}, [f"typed:{name}" for name in FEATURES])
    wrong = {}
    alive = 0
    for at, key in enumerate(KEYS):
        event = expected[key].pop("event_timestamp")
        is_alive = event is not None and event >= EXPIRED
        alive += is_alive
        wanted = {n: (type(v), v) if is_alive else (type(None), None) for n, v in expected[key].items()}
        values = {name: got.values[f"typed:{name}"][at] for name in FEATURES}
        found = {n: (type(v), v) for n, v in values.items()}
        if wanted != found:
            wrong[key] = {n: (wanted[n], found[n]) for n in FEATURES if wanted[n] != found[n]}
    assert not wrong, f"(offline, online) by key and feature: {wrong}"
    assert 0 < alive < len(KEYS), "some are online, some have expired"

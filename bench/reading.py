"""Reading online: the reader against raw HMGETs of the same keys and fields, and against Feast's own path.

Raw: redis-py's pipeline, one HMGET per distinct entity key, keys and fields made beforehand, nothing decoded. Feast:
``FeatureStore.get_online_features`` on the same definitions, with its registry cached. The three take turns, so that
a noisy moment hits all of them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import redis
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig
from feast.types import Float64
from feast.value_type import ValueType

from bench.results import Result, median, seconds
from bench.servers import redis_process
from provender.online import layout as pack
from provender.online.layout import ViewLayout
from provender.online.reader import Reader
from provender.online.writer import OnlineWriter
from provender.specs.source import ColumnType

PROJECT = "bench"
LIMIT = 1.3
ENTITIES = 1000
_ROUNDS = 600
_BLOCK = 40


def _view(name: str, keys: tuple[str, ...], features: int) -> ViewLayout:
    named = tuple((f"{name}_{number}", ColumnType.DOUBLE) for number in range(features))
    return ViewLayout(name, tuple((key, ColumnType.STRING) for key in keys), named)


VIEWS = (
    _view("carrier_day", ("carrier",), 5),
    _view("route_day", ("origin", "dest"), 5),
    _view("airport_weather", ("origin",), 7),
)
FEATURES = [f"{view.view}:{name}" for view in VIEWS for name, _ in view.features]


def run(folder: Path) -> list[Result]:
    """For 1 and for 100 entities: medians in milliseconds."""
    with redis_process(folder) as address:
        fill(address)
        reader, store = Reader(address, PROJECT, VIEWS), _feast(folder, address)
        return [found for count in (1, 100) for found in _compare(address, reader, store, count)]


def fill(address: str) -> None:
    """Writes every view for :data:`ENTITIES` entities."""
    chance = random.Random(7)
    now = datetime.now(UTC)
    for view in VIEWS:
        columns: dict[str, list[Any]] = {
            name: [f"{name[:1]}{n}" for n in range(ENTITIES)] for name, _ in view.join_keys
        }
        columns |= {name: [chance.gauss(0, 10) for _ in range(ENTITIES)] for name, _ in view.features}
        moments = [now] * ENTITIES
        for name in ("event_timestamp", "created_timestamp", "guard_event", "guard_created"):
            columns[name] = moments
        OnlineWriter(address, PROJECT).write(view, [pa.record_batch(columns)])


def entity_rows(count: int, seed: int) -> list[dict[str, str]]:
    """Rows of join keys; every entity is known."""
    chance = random.Random(seed)
    rows = []
    for _ in range(count):
        carrier, route = chance.randrange(ENTITIES), chance.randrange(ENTITIES)
        rows.append({"carrier": f"c{carrier}", "origin": f"o{route}", "dest": f"d{route}"})
    return rows


def _compare(address: str, reader: Reader, store: FeatureStore, count: int) -> list[Result]:
    client = redis.Redis.from_url(f"redis://{address}")
    # Prepared beforehand, and in blocks whose order turns: whoever comes first after a pause wakes Redis up.
    blocks = [
        [entity_rows(count, seed) for seed in range(at, at + _BLOCK)] for at in range(0, _ROUNDS, _BLOCK)
    ]
    times: dict[str, list[float]] = {"ours": [], "raw": [], "feast": []}
    for number, block in enumerate(blocks):
        prepared = [_commands(rows) for rows in block]
        work: list[tuple[str, Callable[[Any], object], Sequence[Any]]] = [
            ("ours", lambda rows: reader.read(rows, FEATURES), block),
            ("raw", lambda commands: _raw(client, commands), prepared),
            ("feast", lambda rows: store.get_online_features(FEATURES, rows), block[: _BLOCK // 4]),
        ]
        for name, call, inputs in work[number % 3 :] + work[: number % 3]:
            times[name] += [seconds(partial(call, one)) * 1000 for one in inputs]
    client.close()
    ours, raw, feast = (median(times[name]) for name in ("ours", "raw", "feast"))
    name = f"read 17 features of 3 views, {count} rows"
    return [
        Result(
            name, "ms", ours, raw, "raw HMGET", ours / raw, f"at most {LIMIT:g}", ours <= LIMIT * raw, _ROUNDS
        ),
        Result(name, "ms", ours, feast, "Feast", ours / feast, "less than Feast", ours < feast, _ROUNDS // 4),
    ]


def _commands(rows: Sequence[Mapping[str, str]]) -> list[tuple[bytes, list[bytes]]]:
    """Key and fields of every HMGET that the rows need, each distinct entity once."""
    found: dict[bytes, list[bytes]] = {}
    for view in VIEWS:
        batch = pa.record_batch({name: [row[name] for row in rows] for name, _ in view.join_keys})
        fields = [view.timestamp_field, view.created_field, *view.feature_fields]
        found |= dict.fromkeys(pack.pack_keys(view, PROJECT, batch), fields)
    return list(found.items())


def _raw(client: redis.Redis, commands: Sequence[tuple[bytes, list[bytes]]]) -> list[Any]:
    pipeline = client.pipeline(transaction=False)
    for key, fields in commands:
        pipeline.execute_command("HMGET", key, *fields)  # type: ignore[no-untyped-call]
    return list(pipeline.execute())


def _feast(folder: Path, address: str) -> FeatureStore:
    config = RepoConfig(
        project=PROJECT,
        provider="local",
        registry={"registry_type": "file", "path": str(folder / "registry.db"), "cache_ttl_seconds": 0},
        online_store={"type": "redis", "connection_string": address},
        offline_store={"type": "dask"},
        entity_key_serialization_version=3,
    )
    store = FeatureStore(config=config)
    names = sorted({name for view in VIEWS for name, _ in view.join_keys})
    entities = {name: Entity(name=name, value_type=ValueType.STRING) for name in names}
    source = FileSource(path=str(folder / "none.parquet"), timestamp_field="event_timestamp")
    views = [
        FeatureView(
            name=view.view,
            entities=[entities[name] for name, _ in view.join_keys],
            schema=[Field(name=name, dtype=Float64) for name, _ in view.features],
            source=source,
        )
        for view in VIEWS
    ]
    store.apply([*entities.values(), *views])
    return store

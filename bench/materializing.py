"""Materialization: from the log to Redis, beside the ceiling and Feast's own engine.

Ours: :func:`provender.materialization.run.materialize`, wall time of the whole run (lock, ledger, plan, reading,
writes, marker, manifest), rows that are all changed; by the process itself, which is what that size chooses, and on a
warm Spark engine. Ceiling: the same script and the same calls, packed beforehand, sent by one process. Feast:
``FeatureStore.materialize`` with its local engine from Parquet to the same Redis, at the largest size that ends in
about a minute. Its ``spark_application`` engine submits to Kubernetes and cannot run on one machine.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import redis
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig
from feast.types import Float64
from feast.value_type import ValueType

from bench.logs import SOURCE, VIEW, Log, guarded, log_repo, materialize_with
from bench.reading_meanwhile import readers_curve
from bench.results import Result, median, seconds
from bench.servers import redis_process
from provender.engine_settings import Engine
from provender.materialization.run import materialize
from provender.online.writer import OnlineWriter
from provender.settings import Settings
from provender.spark.session import spark_session

SIZES = ((200_000, 3, 3), (200_000, 20, 2), (2_000_000, 3, 1), (2_000_000, 20, 1))
"""Keys, features, and how often each is measured."""
FEAST_ROWS = {3: 200_000, 20: 100_000}
FEAST_TIMES, OF_CEILING = 10.0, 0.8
_TIMES = ("event_timestamp", "created_timestamp")


def run(folder: Path) -> list[Result]:
    """Needs about 4 GB for the two million rows of 20 features."""
    results: list[Result] = []
    rates: dict[int, float] = {}
    for keys, features, runs in SIZES:
        name = folder / f"materializing-{keys}-{features}"
        name.mkdir()
        with redis_process(name) as address:
            if features not in rates:
                rates[features] = feast_rate(name, address, features)
            results += compare(name, address, keys, features, runs, rates[features])
    with redis_process(folder) as address:
        results += readers_curve(address, log_repo(folder / "reading-meanwhile", 3, address))
    return results


def compare(folder: Path, address: str, keys: int, features: int, runs: int, feast: float) -> list[Result]:
    """One size: both engines by Feast and by the ceiling, and a run with nothing to do. Rates in rows a second."""
    log = log_repo(folder / "log", features, address)
    log.append(keys, 1)
    materialize_with(log.settings, Engine.DUCKDB)
    _materialize(log.settings)  # the rows are there
    versions = iter(range(2, 100))
    ours, ceiling = [], []
    for version in (next(versions) for _ in range(runs)):
        log.append(keys, version)
        ours.append(keys / seconds(lambda: _materialize(log.settings)))
        ceiling.append(keys / _send_packed(log, address, keys, version))
    writes = _writes(address, log.settings)
    spark = _spark_rates(log, keys, [next(versions) for _ in range(runs + 1)])
    name = f"materialize {keys:,} rows of {features}"
    peer = f"Feast's local engine, {FEAST_ROWS[features]:,} rows"
    results = []
    for rate, how in ((median(ours), ""), (median(spark), ", Spark")):
        times = f"at least {FEAST_TIMES:g} times"
        results.append(_result(name + how, rate, feast, peer, times, FEAST_TIMES, runs))
        share = f"at least {OF_CEILING:g}"
        results.append(
            _result(name + how, rate, median(ceiling), "packed beforehand", share, OF_CEILING, runs)
        )
    return [*results, Result(f"{name}, again", "writes", writes, None, "", None, "none", writes == 0, 1)]


def _spark_rates(log: Log, keys: int, versions: list[int]) -> list[float]:
    """On an engine that has done the same before."""
    materialize_with(log.settings, Engine.SPARK)
    rates = []
    with spark_session(log.settings, "bench-warm"):
        for version in versions:
            log.append(keys, version)
            rates.append(keys / seconds(lambda: _materialize(log.settings)))
    return rates[1:]


def _result(
    name: str, ours: float, peer: float, peer_name: str, target: str, least: float, runs: int
) -> Result:
    return Result(name, "rows/s", ours, peer, peer_name, ours / peer, target, ours / peer >= least, runs)


def _materialize(settings: Settings) -> None:
    materialize(settings, SOURCE, f"bench-{secrets.token_hex(8)}")


def _writes(address: str, settings: Settings) -> int:
    """How many scripts and hash writes a run without changes sends."""
    with _client(address) as client:
        before = _calls(client)
        _materialize(settings)
        return _calls(client) - before


def _calls(client: redis.Redis) -> int:
    stats: Any = client.info("commandstats")
    names = ("cmdstat_evalsha", "cmdstat_hset", "cmdstat_hdel", "cmdstat_set")
    return sum(int(stats.get(name, {"calls": 0})["calls"]) for name in names)


def _send_packed(log: Log, address: str, keys: int, version: int) -> float:
    """Seconds to send what ours sent, packed; under a project of its own, filled by the version before."""
    writer, view = OnlineWriter(address, "ceiling"), log.view.layout
    if version == 2:
        writer.write(view, guarded(log.batches(keys, 1)))
    windows = list(writer.packed(view, guarded(log.batches(keys, version))))
    return seconds(lambda: writer.send(windows, "sending"))


def feast_rate(folder: Path, address: str, features: int) -> float:
    """Rows a second of Feast's local engine, on Parquet of the same rows, with an empty project."""
    rows = FEAST_ROWS[features]
    log = log_repo(folder / "feast", features, address)
    path = folder / "feast.parquet"
    table = pa.Table.from_batches(log.batches(rows, 1)).select(["driver", *log.names, *_TIMES])
    pq.write_table(table, path)
    store = _feast(folder, address, path, log)
    start, end = datetime(2025, 12, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
    return rows / seconds(lambda: store.materialize(start, end))


def _feast(folder: Path, address: str, path: Path, log: Log) -> FeatureStore:
    config = RepoConfig(
        project="feast",
        provider="local",
        registry={"registry_type": "file", "path": str(folder / "registry.db")},
        online_store={"type": "redis", "connection_string": address},
        offline_store={"type": "dask"},
        batch_engine={"type": "local"},
        entity_key_serialization_version=3,
    )
    store = FeatureStore(config=config)
    driver = Entity(name="driver", join_keys=["driver"], value_type=ValueType.INT64)
    source = FileSource(
        path=str(path), timestamp_field="event_timestamp", created_timestamp_column="created_timestamp"
    )
    schema = [Field(name=name, dtype=Float64) for name in log.names]
    store.apply([driver, FeatureView(name=VIEW, entities=[driver], schema=schema, source=source)])
    return store


@contextmanager
def _client(address: str) -> Iterator[redis.Redis]:
    client = redis.Redis.from_url(f"redis://{address}")
    try:
        yield client
    finally:
        client.close()

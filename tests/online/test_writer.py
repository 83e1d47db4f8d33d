"""Newest wins, atomically, whatever the order, against a real Redis and Feast's own reader and writer."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from typing import Any

import pyarrow as pa
import pytest
from feast import Entity, FeatureView, Field, RepoConfig
from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import SparkSource
from feast.infra.online_stores.redis import RedisOnlineStore
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.table_format import DeltaFormat
from feast.types import Int64, String
from feast.value_type import ValueType

from provender.errors import OnlineStoreError, SettingsError
from provender.online import layout as pack
from provender.online.layout import ViewLayout
from provender.online.pipeline import Counts
from provender.online.script import NEWEST_WINS, digest
from provender.online.writer import OnlineWriter
from provender.specs.source import ColumnType
from tests.servers import RedisServer, free_port

pytestmark = pytest.mark.redis

VIEW = ViewLayout(
    "stats", (("driver", ColumnType.INT64),), (("trips", ColumnType.INT64), ("name", ColumnType.STRING))
)
OTHER = ViewLayout("ratings", (("driver", ColumnType.INT64),), (("stars", ColumnType.INT64),))
T0 = datetime(2026, 11, 22, tzinfo=UTC)
STAMP = pa.timestamp("us", tz="UTC")


def at(minutes: float) -> datetime:
    return T0 + timedelta(minutes=minutes)


def row(
    driver: int | None,
    trips: int | None,
    event: float | None,
    created: float | None = None,
    guard: tuple[float, float] | None = None,
) -> dict[str, Any]:
    """A row whose times are minutes after T0; the guard is its own version unless given."""
    created = event if created is None else created
    g = guard or (event, created)
    return {
        "driver": driver,
        "trips": trips,
        "name": None if trips is None else f"n{trips}",
        "event_timestamp": None if event is None else at(event),
        "created_timestamp": None if created is None else at(created),
        "guard_event": at(g[0] or 0),
        "guard_created": at(g[1] or 0),
    }


def batch(rows: list[dict[str, Any]]) -> pa.RecordBatch:
    types = {"driver": pa.int64(), "trips": pa.int64(), "name": pa.string()}
    types |= dict.fromkeys(("event_timestamp", "created_timestamp", "guard_event", "guard_created"), STAMP)
    return pa.RecordBatch.from_pylist(rows, schema=pa.schema(types.items()))


class Store:
    """Feast's stock Redis store on the same server, for project ``shop``."""

    def __init__(self, address: str) -> None:
        self.config = RepoConfig(
            project="shop",
            provider="local",
            registry={"registry_type": "file", "path": "unused.db"},
            online_store={"type": "redis", "connection_string": address},
            offline_store={"type": "dask"},
            entity_key_serialization_version=3,
        )
        driver = Entity(name="driver", join_keys=["driver"], value_type=ValueType.INT64)
        source = SparkSource(
            name="s", path="/nowhere", table_format=DeltaFormat(), timestamp_field="event_timestamp"
        )
        fields = [
            Field(name="driver", dtype=Int64),
            Field(name="trips", dtype=Int64),
            Field(name="name", dtype=String),
        ]
        self.view = FeatureView(name="stats", entities=[driver], schema=fields, source=source)
        self.online = RedisOnlineStore()

    @staticmethod
    def _key(driver: int) -> EntityKey:
        return EntityKey(join_keys=["driver"], entity_values=[Value(int64_val=driver)])

    def push(self, driver: int, trips: int, event: float) -> None:
        values = {"trips": Value(int64_val=trips), "name": Value(string_val=f"n{trips}")}
        self.online.online_write_batch(
            self.config, self.view, [(self._key(driver), values, at(event), None)], None
        )

    def read(self, *drivers: int) -> list[tuple[int, str, float] | None]:
        """(trips, name, event minutes) as Feast reads them; None where there are no values."""
        rows = self.online.online_read(
            self.config, self.view, [self._key(d) for d in drivers], ["trips", "name"]
        )
        return [
            (v["trips"].int64_val, v["name"].string_val, (ts - T0) / timedelta(minutes=1))
            if v["trips"].WhichOneof("val")
            else None
            for ts, v in rows
        ]


@pytest.fixture
def store(redis_server: RedisServer) -> Store:
    return Store(redis_server.address)


@pytest.fixture
def write(redis_server: RedisServer) -> Callable[..., Counts]:
    def _write(*rows: dict[str, Any], **options: Any) -> Counts:
        return OnlineWriter(redis_server.address, "shop").write(VIEW, [batch(list(rows))], **options)

    return _write


def test_feasts_stock_reader_reads_what_was_written(store: Store, write: Callable[..., Counts]) -> None:
    assert write(row(1, 10, 5), row(-2, 20, 6.25)) == Counts(written=2)
    assert store.read(1, -2, 3) == [(10, "n10", 5), (20, "n20", 6.25), None]


def test_an_older_event_is_skipped_and_a_newer_one_wins(store: Store, write: Callable[..., Counts]) -> None:
    write(row(1, 10, 5))
    assert write(row(1, 9, 4, created=99)) == Counts(skipped=1)
    assert store.read(1) == [(10, "n10", 5)]
    assert write(row(1, 11, 6, created=0)) == Counts(written=1)
    assert store.read(1) == [(11, "n11", 6)]


def test_a_correction_with_an_equal_event_and_a_newer_created_timestamp_wins(
    store: Store, write: Callable[..., Counts]
) -> None:
    write(row(1, 10, 5, created=6))
    assert write(row(1, 12, 5, created=7)) == Counts(written=1)
    assert write(row(1, 11, 5, created=6.5)) == Counts(skipped=1)
    assert store.read(1) == [(12, "n12", 5)]


def test_one_microsecond_is_enough(store: Store, write: Callable[..., Counts]) -> None:
    micro = 1 / 60_000_000
    write(row(1, 10, 5, created=6))
    assert write(row(1, 9, 5, created=6 - micro)) == Counts(skipped=1)
    assert write(row(1, 12, 5, created=6 + micro)) == Counts(written=1)
    assert write(row(1, 13, 5 + micro, created=0)) == Counts(written=1)


def test_of_equals_the_later_write_wins(store: Store, write: Callable[..., Counts]) -> None:
    assert write(row(1, 10, 5), row(1, 11, 5)) == Counts(written=2)
    assert store.read(1) == [(11, "n11", 5)]


def test_a_null_replaces_a_value(store: Store, write: Callable[..., Counts]) -> None:
    write(row(1, 10, 5))
    write(row(1, None, 6))
    assert store.read(1) == [None]


@pytest.mark.parametrize("year", [1684, 1969, 1970, 2254])
def test_times_before_the_epoch_and_far_ahead_keep_their_order(
    store: Store, write: Callable[..., Counts], year: int
) -> None:
    early = (datetime(year, 3, 1, tzinfo=UTC) - T0) / timedelta(minutes=1)
    assert write(row(1, 10, early)) == Counts(written=1)
    assert write(row(1, 9, early - 1)) == Counts(skipped=1)
    assert write(row(1, 11, early + 1)) == Counts(written=1)


def test_the_epoch_itself_is_a_time_and_not_an_absence(store: Store, write: Callable[..., Counts]) -> None:
    epoch = (datetime(1970, 1, 1, tzinfo=UTC) - T0) / timedelta(minutes=1)
    write(row(1, 10, epoch))
    assert write(row(1, 9, epoch - 1)) == Counts(skipped=1)
    assert store.read(1) == [(10, "n10", epoch)]


def test_a_retraction_falls_back_to_the_older_version(store: Store, write: Callable[..., Counts]) -> None:
    write(row(1, 10, 5))
    assert write(row(1, 8, 3, guard=(5, 5))) == Counts(written=1)
    assert store.read(1) == [(8, "n8", 3)]
    assert write(row(1, 9, 4)) == Counts(written=1)


def test_a_retraction_of_the_last_version_removes_the_views_values_only(
    redis_server: RedisServer, store: Store, write: Callable[..., Counts]
) -> None:
    write(row(1, 10, 5))
    stars = batch([row(1, 10, 5)]).append_column("stars", pa.array([4], pa.int64()))
    OnlineWriter(redis_server.address, "shop").write(OTHER, [stars])
    assert write(row(1, None, None, guard=(5, 5))) == Counts(deleted=1)
    assert store.read(1) == [None]
    (key,) = redis_server.client().keys("*")
    assert set(redis_server.client().hkeys(key)) == {
        OTHER.timestamp_field,
        OTHER.created_field,
        *OTHER.feature_fields,
    }


def test_a_retraction_cannot_undo_a_newer_write(store: Store, write: Callable[..., Counts]) -> None:
    write(row(1, 10, 5))
    write(row(1, 12, 5, created=7))
    assert write(row(1, 8, 3, guard=(5, 5))) == Counts(skipped=1)
    assert write(row(1, None, None, guard=(5, 6.9))) == Counts(skipped=1)
    assert store.read(1) == [(12, "n12", 5)]


def test_a_retraction_of_what_is_not_online_changes_nothing(redis_server: RedisServer, write: Any) -> None:
    assert write(row(1, None, None, guard=(5, 5))) == Counts(skipped=1)
    assert redis_server.client().keys("*") == []


def test_the_worked_example_of_the_docs(store: Store, write: Callable[..., Counts]) -> None:
    steps = [
        (row(1, 10, 5, 6), Counts(written=1), 10),
        (row(1, 9, 4, 99), Counts(skipped=1), 10),
        (row(1, 12, 5, 7), Counts(written=1), 12),
        (row(1, 10, 5, 6), Counts(skipped=1), 12),
        (row(1, 8, 3, 3, guard=(5, 6)), Counts(skipped=1), 12),
        (row(1, 8, 3, 3, guard=(5, 7)), Counts(written=1), 8),
        (row(1, None, None, guard=(3, 3)), Counts(deleted=1), None),
    ]
    for step, counts, online in steps:
        assert write(step) == counts
        (found,) = store.read(1)
        assert (found and found[0]) == online


def test_a_row_with_a_null_key_is_skipped(store: Store, write: Callable[..., Counts]) -> None:
    assert write(row(None, 10, 5), row(1, 11, 5)) == Counts(written=1, skipped=1)


def test_force_replaces_what_is_newer(store: Store, write: Callable[..., Counts]) -> None:
    write(row(1, 10, 5))
    assert write(row(1, 9, 4), force=True) == Counts(written=1)
    assert store.read(1) == [(9, "n9", 4)]


def test_a_push_by_feast_itself_takes_part_in_the_order(store: Store, write: Callable[..., Counts]) -> None:
    write(row(1, 10, 5, created=50))
    store.push(1, 20, 6)
    assert write(row(1, 11, 5.5)) == Counts(skipped=1)
    assert store.read(1) == [(20, "n20", 6)]
    store.push(1, 21, 4)
    assert store.read(1) == [(20, "n20", 6)]


def test_a_row_feast_pushed_counts_as_created_before_everything(
    store: Store, write: Callable[..., Counts]
) -> None:
    write(row(1, 10, 5, created=50))  # leaves a _c of 50 behind, which must be void for Feast's newer row
    store.push(1, 20, 6)
    assert write(row(1, 30, 6, created=7)) == Counts(written=1)
    assert store.read(1) == [(30, "n30", 6)]


def _versions(seed: int) -> list[dict[str, Any]]:
    rng = random.Random(seed)
    drivers, times = range(40), range(6)
    versions = [row(d, d * 100 + e * 10 + c, e, created=c) for d in drivers for e in times for c in times]
    chosen = rng.choices(versions, k=3000)
    rng.shuffle(chosen)
    return chosen


def _winners(rows: list[dict[str, Any]]) -> dict[int, int]:
    best: dict[int, dict[str, Any]] = {}
    for r in rows:
        old = best.get(r["driver"])
        if old is None or (r["event_timestamp"], r["created_timestamp"]) >= (
            old["event_timestamp"],
            old["created_timestamp"],
        ):
            best[r["driver"]] = r
    return {driver: r["trips"] for driver, r in best.items()}


def _write_in_process(address: str, seed: int) -> tuple[int, int]:
    rows = _versions(seed)
    counts = OnlineWriter(address, "shop", rows_per_call=7).write(
        VIEW, [batch(rows[:1700]), batch(rows[1700:])]
    )
    return counts.written + counts.skipped, len(rows)


@pytest.mark.parametrize("rows_per_call", [1, 50])
def test_shuffled_and_duplicated_rows_end_like_the_rule(
    redis_server: RedisServer, store: Store, rows_per_call: int
) -> None:
    rows = _versions(1)
    OnlineWriter(redis_server.address, "shop", rows_per_call=rows_per_call).write(VIEW, [batch(rows)])
    expected = _winners(rows)
    assert [r and r[0] for r in store.read(*expected)] == list(expected.values())


def test_concurrent_writers_with_feast_pushing_in_between_end_like_the_rule(
    redis_server: RedisServer, store: Store
) -> None:
    seeds = [1, 2, 3, 4, 5, 6]
    context = get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context) as processes, ThreadPoolExecutor(4) as threads:
        jobs = [processes.submit(_write_in_process, redis_server.address, seed) for seed in seeds[:2]]
        jobs += [threads.submit(_write_in_process, redis_server.address, seed) for seed in seeds[2:]]
        for driver in range(40):
            store.push(1000 + driver, driver, 2)
        assert all(done == sent for done, sent in (job.result() for job in jobs))
    expected = _winners([r for seed in seeds for r in _versions(seed)])
    assert [r and r[0] for r in store.read(*expected)] == list(expected.values())


def test_a_sweep_removes_what_the_rebuild_did_not_confirm(
    redis_server: RedisServer, store: Store, write: Callable[..., Counts]
) -> None:
    write(*[row(d, d, 5) for d in range(1, 120)])
    store.push(500, 1, 9)
    store.push(2, 77, 9)  # newer than the log: kept, since the log has the key
    other_project = OnlineWriter(redis_server.address, "workshop")  # its keys end like those of "shop"
    other_project.write(VIEW, [batch([row(3, 3, 5)])])
    assert write(row(1, 1, 5), row(2, 2, 5), generation="r7") == Counts(written=1, skipped=1)
    assert OnlineWriter(redis_server.address, "shop").sweep(VIEW, "r7") == 118
    assert store.read(1, 2, 3, 500) == [(1, "n1", 5), (77, "n77", 9), None, None]
    assert len(redis_server.client().keys("*workshop")) == 1


def test_a_key_whose_bytes_look_like_a_pattern_is_swept_too(redis_server: RedisServer) -> None:
    name = "k" * 42  # the length byte 42 is '*'; 91 would be '['
    for length in (42, 63, 91):
        layout = ViewLayout("v", ((name[:1] * length, ColumnType.INT64),), (("trips", ColumnType.INT64),))
        renamed = batch([row(1, 10, 5)]).rename_columns([name[:1] * length, *batch([]).schema.names[1:]])
        writer = OnlineWriter(redis_server.address, "sh*p")
        writer.write(layout, [renamed])
        assert writer.sweep(layout, "none") == 1


def test_values_older_than_the_online_ttl_are_not_written_and_expire(
    redis_server: RedisServer, store: Store, write: Callable[..., Counts]
) -> None:
    now = (datetime.now(UTC) - T0) / timedelta(minutes=1)
    young, old = now - 1, now - 100
    assert write(row(1, 1, young), row(2, 2, old), online_ttl_seconds=600) == Counts(written=1, skipped=1)
    write(row(3, 3, old))
    assert OnlineWriter(redis_server.address, "shop").expire(VIEW, 600) == 1
    assert [r and r[0] for r in store.read(1, 2, 3)] == [1, None, None]


def test_the_key_ttl_is_set_as_feast_sets_it(redis_server: RedisServer) -> None:
    OnlineWriter(redis_server.address, "shop", key_ttl_seconds=500).write(VIEW, [batch([row(1, 10, 5)])])
    (key,) = redis_server.client().keys("*")
    assert 490 < redis_server.client().ttl(key) <= 500


def test_a_script_the_server_forgot_is_loaded_and_the_rows_sent_again(
    redis_server: RedisServer, store: Store, write: Callable[..., Counts]
) -> None:
    redis_server.client().script_flush()
    rows = [row(d, d, 5) for d in range(5000)]
    assert write(*rows) == Counts(written=5000)
    redis_server.client().script_flush()
    assert write(*rows) == Counts(written=5000)
    assert store.read(4999) == [(4999, "n4999", 5)]


def test_a_script_flushed_in_the_middle_loses_and_repeats_no_count(
    redis_server: RedisServer, store: Store
) -> None:
    def batches() -> Any:
        for start in range(0, 20_000, 4000):
            redis_server.client().script_flush()
            yield batch([row(d, d, 5) for d in range(start, start + 4000)])

    assert OnlineWriter(redis_server.address, "shop").write(VIEW, batches()) == Counts(written=20_000)
    assert len(redis_server.client().keys("*")) == 20_000


def test_redis_away_is_one_error_with_the_address() -> None:
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(OnlineStoreError, match=address):
        OnlineWriter(f"{address},password=secret", "shop").write(VIEW, [batch([row(1, 1, 1)])])


def test_redis_dying_in_the_middle_is_an_error_and_a_rerun_completes(tmp_path: Any) -> None:
    server = RedisServer(tmp_path)
    server.start()

    def dying() -> Any:
        yield batch([row(d, d, 5) for d in range(3000)])
        server.stop()
        yield batch([row(d, d, 5) for d in range(3000, 6000)])

    try:
        with pytest.raises(OnlineStoreError, match=server.address):
            OnlineWriter(server.address, "shop").write(VIEW, dying())
        server.start()
        again = [batch([row(d, d, 5) for d in range(6000)])]
        assert OnlineWriter(server.address, "shop").write(VIEW, again) == Counts(written=6000)
    finally:
        server.stop()


def test_an_error_never_shows_the_password() -> None:
    with pytest.raises(OnlineStoreError) as caught:
        OnlineWriter(f"127.0.0.1:{free_port()},password=hunter2", "shop").write(VIEW, [batch([row(1, 1, 1)])])
    assert "hunter2" not in str(caught.value)


def test_a_refused_command_is_an_error_that_names_what_was_refused(redis_server: RedisServer) -> None:
    key = pack.pack_keys(VIEW, "shop", batch([row(1, 1, 1)]))[0]
    redis_server.client().set(key, "not a hash")
    with pytest.raises(OnlineStoreError, match="WRONGTYPE"):
        OnlineWriter(redis_server.address, "shop").write(VIEW, [batch([row(1, 1, 1)])])


@pytest.mark.parametrize("text", ["", "db=0", "a:1,b:2", "localhost", "localhost:port"])
def test_a_connection_string_without_exactly_one_server_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="does not name one server"):
        OnlineWriter(text, "shop").write(VIEW, [])


def test_the_writer_can_be_sent_to_another_process(redis_server: RedisServer) -> None:
    import pickle

    writer = pickle.loads(pickle.dumps(OnlineWriter(redis_server.address, "shop")))
    assert writer.write(pickle.loads(pickle.dumps(VIEW)), [batch([row(1, 1, 1)])]) == Counts(written=1)


def test_no_rows_is_no_rows(write: Callable[..., Counts]) -> None:
    assert write() == Counts()


def test_the_digest_is_the_servers_own(redis_server: RedisServer) -> None:
    loaded = redis_server.client().script_load(NEWEST_WINS)
    assert (loaded.encode() if isinstance(loaded, str) else loaded) == digest(NEWEST_WINS).encode()


def test_a_limit_holds_rows_back_and_none_does_not(redis_server: RedisServer) -> None:
    rows = [batch([row(number, 1, 1) for number in range(4000)])]
    writer = OnlineWriter(redis_server.address, "shop", rows_per_second=10_000)
    started = time.monotonic()
    assert writer.write(VIEW, rows) == Counts(written=4000)
    # Four windows: the first one goes at once.
    assert time.monotonic() - started >= 0.3

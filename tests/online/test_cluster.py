"""The online store on a real cluster of three servers, and behind a password and TLS."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from provender.errors import OnlineStoreError, SettingsError
from provender.online import layout as pack
from provender.online.connection import connect, parse_connection_string
from provender.online.marker import Marker, read_markers, write_marker
from provender.online.pipeline import Counts
from provender.online.reader import Reader
from provender.online.writer import OnlineWriter
from tests.clusters import Cluster, redis_cluster, tls_front
from tests.online.test_writer import VIEW, batch, row
from tests.servers import RedisServer

pytestmark = pytest.mark.redis
DRIVERS = range(300)


@pytest.fixture(scope="module")
def _cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with redis_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture
def cluster(_cluster: Cluster) -> Cluster:
    _cluster.client().flushall(target_nodes="primaries")
    return _cluster


def address(cluster: Cluster) -> str:
    return f"{cluster.address},cluster=true"


def trips(where: str) -> list[int | None]:
    with Reader(where, "shop", [VIEW]) as reader:
        found = reader.read([{"driver": driver} for driver in DRIVERS], ["stats:trips"])
    values: list[int | None] = found.values["stats:trips"]
    return values


def test_rows_go_to_the_servers_of_their_slots_and_the_newest_wins_in_any_order(cluster: Cluster) -> None:
    writer = OnlineWriter(address(cluster), "shop")
    rows = [row(driver, driver * 10 + n, n) for driver in DRIVERS for n in range(3)]
    random.Random(7).shuffle(rows)
    counts = writer.write(VIEW, [batch(rows[:500]), batch(rows[500:])])
    assert counts.written + counts.skipped == len(rows)
    assert trips(address(cluster)) == [driver * 10 + 2 for driver in DRIVERS]
    assert all(server.client().dbsize() > 50 for server in cluster.servers)


def test_a_slot_that_moves_while_rows_are_written_is_followed(cluster: Cluster) -> None:
    first, *rest = [row(driver, driver, 1) for driver in DRIVERS]
    key = pack.pack_keys(VIEW, "shop", batch(rest))[5]
    slot = cluster.client().keyslot(key)

    def batches() -> Iterator[object]:
        yield batch([first])
        cluster.move_slot(slot)  # the writer has asked where the slots are by now
        yield batch(rest)

    counts = OnlineWriter(address(cluster), "shop").write(VIEW, batches())  # type: ignore[arg-type]
    assert counts == Counts(written=len(DRIVERS))
    assert trips(address(cluster)) == list(DRIVERS)


def test_a_rebuild_sweeps_and_expiry_removes_on_every_server(cluster: Cluster) -> None:
    writer = OnlineWriter(address(cluster), "shop")
    writer.write(VIEW, [batch([row(driver, 1, 1) for driver in DRIVERS])])
    kept = [row(driver, 2, 2) for driver in DRIVERS if driver % 2]
    writer.write(VIEW, [batch(kept)], force=True, generation="g")
    assert writer.sweep(VIEW, "g") == len(DRIVERS) - len(kept)
    assert trips(address(cluster)) == [2 if driver % 2 else None for driver in DRIVERS]
    assert writer.expire(VIEW, 1) == len(kept)
    assert trips(address(cluster)) == [None] * len(DRIVERS)


def test_markers_are_kept_in_a_cluster_too(cluster: Cluster) -> None:
    marker = Marker("file:///t", "id", "2026-01-01T00:00:00Z", 1)
    write_marker(address(cluster), "shop", "stats", marker)
    assert read_markers(address(cluster), "shop") == {"stats": marker}


def test_a_password_and_tls_are_what_the_connection_string_says(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    server.options = ("--requirepass", "12345")
    server.start()
    try:
        with tls_front(tmp_path, server) as (where, certificate):
            trusted = f"{where},ssl=true,ssl_ca_certs={certificate},password=12345"
            writer = OnlineWriter(trusted, "shop")
            assert writer.write(VIEW, [batch([row(1, 7, 1)])]) == Counts(written=1)
            with Reader(trusted, "shop", [VIEW]) as reader:
                assert reader.read([{"driver": 1}], ["stats:trips"]).values["stats:trips"] == [7]
            for refused in (f"{where},ssl=true,password=12345", trusted.replace("12345", "wrong")):
                with pytest.raises(OnlineStoreError) as caught:
                    OnlineWriter(refused, "shop").write(VIEW, [batch([row(1, 8, 2)])])
                assert "wrong" not in str(caught.value)
    finally:
        server.stop()


def test_a_variable_that_is_not_set_is_named() -> None:
    with pytest.raises(SettingsError, match="REDIS_PASSWORD"):
        parse_connection_string("redis:6379,password=${REDIS_PASSWORD}")


def test_several_servers_without_a_cluster_are_refused() -> None:
    with pytest.raises(SettingsError, match="one server"):
        connect("a:1,b:2")

"""The online store is lost at any point of a materialization: the next one ends with what the log says."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from provender.errors import OnlineStoreError
from provender.ledger import Job
from provender.online.loss import Basis, begin, confirm, read_held
from provender.online.marker import Marker, marker_key, read_markers
from tests.clusters import redis_cluster
from tests.online.world import World, make_people, online, view
from tests.points import PointProxy
from tests.servers import RedisServer

pytestmark = pytest.mark.redis


@dataclass
class Walk:
    """A world whose Redis is reached through a proxy, and another server to fail over to."""

    world: World
    proxy: PointProxy
    servers: list[RedisServer]
    hour: int = 0
    older: dict[bytes, bytes] = field(default_factory=dict)
    """Redis as it was some materializations ago."""

    @property
    def server(self) -> RedisServer:
        return next(server for server in self.servers if server.port == self.proxy.target)

    def change(self) -> None:
        """Another ingest: one key changes, one stays, one comes or is withdrawn."""
        self.hour += 1
        third = (f"c{self.hour}@example.com", self.hour) if self.hour % 2 else None
        self.world.record({"a": (f"a{self.hour}@example.com", self.hour), "c": third}, self.hour)

    def assert_right(self) -> None:
        client = self.server.client()
        assert online(client, view()) == self.world.expected(view())
        client.close()

    def flush(self) -> None:
        self.server.client().flushall()

    def restore_in_place(self) -> None:
        """The same process with the values of before."""
        self.server.client().flushall()
        for key, value in self.older.items():
            self.server.client().restore(key, 0, value)

    def restart_empty(self) -> None:
        self.server.stop()
        self.server.start()

    def restart_from_older_file(self) -> None:
        self.server.stop()
        shutil.copy(self.server.folder / "older.rdb", self.server.folder / "dump.rdb")
        self.server.start()
        (self.server.folder / "dump.rdb").unlink()

    def fail_over_to_an_empty_replica(self) -> None:
        before = self.server
        other = next(server for server in self.servers if server is not before)
        other.client().flushall()
        self.proxy.target = other.port
        before.client().client_kill_filter(_type="normal", skipme=True)

    def keep_older(self) -> None:
        client = self.server.client()
        self.older = {key: client.dump(key) for key in client.keys("*")}
        client.save()
        shutil.move(self.server.folder / "dump.rdb", self.server.folder / "older.rdb")


@pytest.fixture
def walk(tmp_path: Path) -> Iterator[Walk]:
    servers = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        servers.append(RedisServer(tmp_path / name))
        servers[-1].start()
    proxy = PointProxy(servers[0].port)
    world = make_people(tmp_path / "home", proxy.address)
    world.record({"b": ("b@example.com", 7)}, 0)
    world.materialize()
    yield Walk(world, proxy, servers)
    proxy.close()
    for server in servers:
        server.stop()


ACCIDENTS = [
    Walk.flush,
    Walk.restore_in_place,
    Walk.restart_empty,
    Walk.restart_from_older_file,
    Walk.fail_over_to_an_empty_replica,
]
CASES = [(accident, False) for accident in ACCIDENTS] + [(Walk.flush, True)]


@pytest.mark.parametrize(
    ("accident", "full"), CASES, ids=[f"{accident.__name__}-{full}" for accident, full in CASES]
)
def test_at_whatever_command_the_store_is_lost_the_next_run_ends_with_what_the_log_says(
    walk: Walk, accident: Callable[[Walk], None], full: bool
) -> None:
    walk.keep_older()
    walk.change()
    walk.world.materialize(full=full)
    walk.proxy.reset()
    walk.change()
    walk.world.materialize(full=full)
    # What a client says of itself when it connects neither reads nor writes: the point before it is the one after it.
    points = [n for n, command in enumerate(walk.proxy.commands) if command != "CLIENT"]
    assert "EVALSHA" in walk.proxy.commands and walk.proxy.commands.count("EVAL") == 3
    ended = []
    for point in [*points, len(walk.proxy.commands)]:
        walk.change()
        walk.proxy.reset(point, lambda: accident(walk))
        try:
            walk.world.materialize(full=full)
            ended.append(point)
        except OnlineStoreError as error:
            assert "run it again" in error.remedy
        walk.proxy.reset()
        walk.world.materialize()
        walk.assert_right()
    assert not walk.world.materialize().wrote
    assert points[0] in ended, "lost before it was looked at, the store is rebuilt at once"


def test_a_loss_between_confirmation_and_manifest_is_seen_though_the_marker_is_as_new_as_the_ledger(
    walk: Walk,
) -> None:
    walk.change()
    walk.world.materialize()
    walk.keep_older()
    walk.world.apply(view("person", "email", "v", columns={"v": "v"}))  # another layout, nothing new recorded
    rebuilt = walk.world.materialize()
    assert "keys or features changed" in rebuilt.wrote[0].rebuilt
    walk.restore_in_place()
    assert "has lost what was written last" in walk.world.materialize().wrote[0].rebuilt
    walk.assert_right()


def test_a_run_that_died_before_its_manifest_is_continued_without_a_rebuild(walk: Walk) -> None:
    walk.change()
    session = walk.world.project.ledger("people").last(Job.MATERIALIZE).wrote[0].session
    stored = walk.server.client().hget(marker_key("test"), "person").decode()
    begun = begin(walk.server.address, "test", "person", Basis(session, stored))
    marker = read_markers(walk.server.address, "test")["person"]
    confirm(
        walk.server.address,
        "test",
        "person",
        begun,
        replace(marker, recorded_up_to="2026-11-24T05:00:00.000000Z"),
    )
    assert walk.world.materialize().wrote[0].rebuilt is None
    walk.assert_right()


def test_in_a_cluster_each_server_that_is_lost_is_seen(tmp_path: Path) -> None:
    marker = Marker("file:///tables/s/t", "id-1", "2026-11-22T00:00:00.000000Z", 7)
    with redis_cluster(tmp_path) as cluster:
        address = f"{cluster.address},cluster=true"
        session = confirm(address, "shop", "v", begin(address, "shop", "v"), marker)
        stored = cluster.client().hget(marker_key("shop"), "v").decode()
        assert read_held(address, "shop").is_whole("v", session)
        for server in cluster.servers:
            server.client().flushall()
            assert not read_held(address, "shop").is_whole("v", session)
            with pytest.raises(OnlineStoreError, match="before the first row"):
                begin(address, "shop", "v", Basis(session, stored))
            begun = begin(address, "shop", "v")
            server.client().flushall()
            with pytest.raises(OnlineStoreError, match="may be missing"):
                confirm(address, "shop", "v", begun, marker)
            session = confirm(address, "shop", "v", begin(address, "shop", "v"), marker)
            assert read_held(address, "shop").is_whole("v", session)
        world = make_people(tmp_path / "home", address)
        world.record({f"k{n}": (f"{n}@example.com", n) for n in range(60)}, 0)
        world.materialize()
        for hour, server in enumerate(cluster.servers, start=1):
            server.client().flushall()
            world.record({"k0": ("new@example.com", hour)}, hour)
            assert "has lost" in world.materialize().wrote[0].rebuilt
            assert online(cluster.client(), view()) == world.expected(view())
        world.record({"k1": ("new@example.com", 9)}, 9)
        assert world.materialize().wrote[0].rebuilt is None

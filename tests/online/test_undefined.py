"""What is taken out of the definitions is taken out of the online store, byte by byte, and nothing else is."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from provender.materialization.undefined import WHOLE_VIEW, still_online
from provender.online.marker import read_markers
from provender.online.views import AppliedView, load_former_views
from provender.online.writer import OnlineWriter
from tests.clusters import redis_cluster
from tests.online import test_writer
from tests.online.world import DAY, World, holding, make_people, online, view
from tests.point_in_time.logs import STAMP
from tests.servers import RedisServer

pytestmark = pytest.mark.redis
EMAIL = b"@example.com"
PEOPLE = {key: (f"{key}@example.com", number) for number, key in enumerate("abc")}


@pytest.fixture
def world(tmp_path: Path, redis_server: RedisServer) -> World:
    """Three people online, beside others' values under the same keys."""
    made = make_people(tmp_path, redis_server.address)
    made.record(PEOPLE, 0)
    made.materialize()
    assert len(holding(redis_server.client(), EMAIL)) == 3
    return made


def listed(world: World) -> dict[str, dict[str, list[str]]]:
    return still_online(world.project.settings, world.project.storage)


def test_a_feature_taken_out_of_a_view_leaves_every_key_with_the_next_materialization(
    world: World, redis_server: RedisServer
) -> None:
    world.record({"a": None}, 1, event=world.rows[0]["event_timestamp"])  # a is withdrawn before
    world.materialize()
    assert listed(world) == {}
    smaller = view("person", "v")
    world.apply(smaller)
    assert listed(world) == {"people": {"person": ["email"]}}
    manifest = world.materialize()
    assert holding(redis_server.client(), EMAIL) == []
    assert online(redis_server.client(), smaller) == world.expected(smaller)
    assert manifest.wrote[0].undefined == {"email": 2}
    assert manifest.counts["undefined"] == 2
    assert "person: email is not defined any more, removed from 2 keys" in world.said
    assert listed(world) == {}


def test_full_removes_what_was_taken_out_before_anyone_kept_a_record_of_it(
    world: World, redis_server: RedisServer
) -> None:
    world.apply(view("person", "v"))
    world.materialize()
    # As an older version leaves it: the values are there, and no former definition is kept.
    (world.project.folder / "storage/applied/test.json").unlink()
    world.apply(view("person", "v"))
    OnlineWriter(redis_server.address, "test").write(view().layout, [_one("a")], force=True)
    assert holding(redis_server.client(), EMAIL)
    assert world.materialize(full=True).wrote[0].undefined == {"email": 1}
    assert holding(redis_server.client(), EMAIL) == []


@pytest.mark.parametrize(
    "after",
    [
        [],
        [view("individual")],
        [view(online=False)],
        [view("person", "v", online=False)],
    ],
    ids=["deleted", "renamed", "offline", "offline and smaller"],
)
def test_a_view_that_is_not_online_any_more_leaves_with_all_features_it_ever_had(
    world: World, redis_server: RedisServer, after: list[AppliedView]
) -> None:
    world.apply(view("person", "v"))  # not materialized: the e-mail addresses are still there
    world.apply(*after)
    assert listed(world) == {"people": {"person": [WHOLE_VIEW]}}
    manifest = world.materialize()
    kept = [applied for applied in after if applied.online]
    assert set(read_markers(redis_server.address, "test")) == {applied.view for applied in kept}
    assert len(holding(redis_server.client(), EMAIL)) == 3 * len(kept)
    assert holding(redis_server.client(), b":person") == []
    assert "person is not online any more: removed from 3 entities" in manifest.notes
    assert manifest.counts["undefined"] == 3
    assert listed(world) == {}
    assert "undefined" not in world.materialize().counts


def test_a_view_with_other_join_keys_leaves_its_former_keys(world: World, redis_server: RedisServer) -> None:
    rekeyed = AppliedView("person", "people", "people", {"who": "STRING"}, {"v": "INT64"}, {"who": "k"})
    world.apply(rekeyed)
    assert listed(world) == {"people": {"person": ["email", "v"]}}
    assert world.materialize().wrote[0].undefined == {"email": 3, "v": 3}
    assert holding(redis_server.client(), EMAIL) == []
    assert online(redis_server.client(), view("person", "v")) == {}
    assert online(redis_server.client(), rekeyed) == world.expected(rekeyed)


def test_other_views_on_the_same_keys_and_other_projects_keep_their_values(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    world = make_people(tmp_path / "ours", redis_server.address)
    other = make_people(tmp_path / "theirs", redis_server.address, name="bigtest")  # its name ends as ours
    feasts = view("feasts_own")  # never applied by us, as what `feast apply` and a push leave
    for made in (world, other):
        made.apply(view(), view("second"))
        made.record(PEOPLE, 0)
        made.materialize()
    OnlineWriter(redis_server.address, "test").write(feasts.layout, [_one("a")])
    before = online(redis_server.client(), feasts)
    world.apply(view("second"))
    world.materialize()
    client = redis_server.client()
    assert online(client, view()) == {}
    assert online(client, view("second")) == world.expected(view())
    assert online(client, feasts) == before
    for name in ("person", "second"):
        assert online(client, view(name), "bigtest") == other.expected(view())


def test_a_store_restored_to_before_the_removal_is_cleaned_again(
    world: World, redis_server: RedisServer
) -> None:
    client = redis_server.client()
    before = {key: client.dump(key) for key in client.keys("*")}
    world.apply()
    world.materialize()
    assert client.keys("*") == []
    for key, value in before.items():
        client.restore(key, 0, value)
    assert listed(world) == {"people": {"person": [WHOLE_VIEW]}}
    world.materialize()
    assert client.keys("*") == []


def test_a_definition_that_comes_back_is_online_again(world: World, redis_server: RedisServer) -> None:
    for applied in (view("person", "v"), view(), view("person", "email"), view()):
        world.apply(applied)
        world.materialize()
        assert online(redis_server.client(), applied) == world.expected(applied)
        assert len(holding(redis_server.client(), EMAIL)) == (3 if "email" in applied.features else 0)
    former = load_former_views(world.project.storage, "test")
    assert sorted(sorted(one.features) for one in former) == [["email"], ["v"]]


def test_in_a_cluster_every_server_loses_the_fields(tmp_path: Path) -> None:
    with redis_cluster(tmp_path) as cluster:
        writer = OnlineWriter(f"{cluster.address},cluster=true", "shop")
        layout = test_writer.VIEW
        writer.write(layout, [test_writer.batch([test_writer.row(n, n, 1) for n in range(300)])])
        counts = writer.remove_fields(layout.key_prefix, [layout.feature_fields[0], b"nobody's"])
        assert counts == [300, 0, 300]
        for server in cluster.servers:
            client = server.client()
            keys = list(client.scan_iter())
            assert len(keys) > 50
            assert not any(client.hexists(key, layout.feature_fields[0]) for key in keys)
            assert all(client.hexists(key, layout.timestamp_field) for key in keys)


def _one(key: str) -> pa.RecordBatch:
    times = ("event_timestamp", "created_timestamp", "guard_event", "guard_created")
    columns = {"k": pa.array([key]), "email": pa.array([f"{key}@example.com"]), "v": pa.array([1])}
    return pa.RecordBatch.from_pydict(columns | {name: pa.array([DAY], STAMP) for name in times})

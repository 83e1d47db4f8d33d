"""A Redis that may drop values is refused when a load begins, and one that has is rebuilt."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from provender.cli.main import main
from provender.errors import OnlineStoreError, SettingsError
from provender.ledger.records import MissingTable
from provender.materialization.run import materialize
from provender.online.eviction import check_eviction, read_memory
from provender.online.marker import marker_key
from provender.settings import load_settings
from provender.upkeep.run import check_online_memory
from tests.logged import logged
from tests.online.world import World, make_people, online, view
from tests.servers import RedisServer

pytestmark = pytest.mark.redis
PEOPLE = {key: (f"{key}@example.com", number) for number, key in enumerate("abc")}
LIMIT = 64 << 20


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    own = RedisServer(tmp_path)
    own.start()
    yield own
    own.stop()


@pytest.fixture
def world(tmp_path: Path, server: RedisServer) -> World:
    made = make_people(tmp_path / "home", server.address)
    made.record(PEOPLE, 0)
    return made


def limited(server: RedisServer, policy: str, limit: int = LIMIT) -> None:
    server.client().config_set("maxmemory-policy", policy)
    server.client().config_set("maxmemory", limit)


def evict_everything(server: RedisServer) -> None:
    limited(server, "allkeys-random", 1)
    with pytest.raises(redis.exceptions.OutOfMemoryError):
        server.client().set("x", "y")
    limited(server, "noeviction", 0)


@pytest.mark.parametrize(
    ("policy", "limit", "ttl", "refused", "warned"),
    [
        ("noeviction", 0, None, False, False),
        ("noeviction", LIMIT, 60, False, False),
        ("allkeys-lru", LIMIT, None, True, False),
        ("allkeys-random", LIMIT, None, True, False),
        ("allkeys-lru", 0, None, False, True),
        ("volatile-lru", LIMIT, 60, True, False),
        ("volatile-ttl", LIMIT, None, False, True),
        ("volatile-lru", 0, None, False, False),
    ],
)
def test_a_policy_is_refused_where_it_can_drop_our_values_and_named_where_it_could(
    server: RedisServer, policy: str, limit: int, ttl: int | None, refused: bool, warned: bool
) -> None:
    limited(server, policy, limit)
    if refused:
        with pytest.raises(SettingsError, match=policy) as caught:
            check_eviction(server.address, ttl)
        assert "maxmemory-policy noeviction" in caught.value.remedy
        warned = True
    warnings = check_eviction(server.address, ttl, is_allowed=True)
    assert bool(warnings) == warned
    assert all("noeviction" in warning for warning in warnings)


def test_a_load_into_an_evicting_redis_writes_nothing_unless_that_is_accepted(
    world: World, server: RedisServer
) -> None:
    limited(server, "allkeys-lfu")
    with pytest.raises(SettingsError, match="evicts values"):
        world.materialize()
    assert server.client().dbsize() == 0
    file = world.project.settings.repo / "feature_store.yaml"
    file.write_text(file.read_text() + "batch_engine: {type: x, allow_eviction: true}\n")
    with logged() as said:
        manifest = materialize(load_settings(file.parent), "people", "m")
    assert "allkeys-lfu" in manifest.notes[0]
    assert manifest.notes[0] in "\n".join(said)


def test_values_that_were_evicted_are_written_again_once_the_policy_is_right(
    world: World, server: RedisServer
) -> None:
    world.materialize()
    client = server.client()
    # Only values are dropped: what is kept beside them is there.
    kept = {key: client.dump(key) for key in client.keys("provender:*")}
    evict_everything(server)
    for key, value in kept.items():
        client.restore(key, 0, value)
    assert read_memory(server.address)[0].evicted > 0
    assert client.hexists(marker_key("test"), "person")
    with logged() as said:
        check_online_memory(world.project.settings, world.project.storage)
    assert "keys since view person was written" in said[0]
    assert "has evicted" in world.materialize().wrote[0].rebuilt
    assert online(client, view()) == world.expected(view())
    assert not world.materialize().wrote


def test_upkeep_fails_where_the_store_may_evict(world: World, server: RedisServer) -> None:
    world.materialize()
    limited(server, "allkeys-lru")
    with pytest.raises(SettingsError, match="allkeys-lru"):
        check_online_memory(world.project.settings, world.project.storage)


def test_a_full_redis_is_an_error_that_says_so(world: World, server: RedisServer) -> None:
    limited(server, "noeviction", 1)
    with pytest.raises(OnlineStoreError, match="has reached its maxmemory") as caught:
        world.materialize()
    assert "raise maxmemory" in caught.value.remedy
    limited(server, "noeviction", 0)
    world.materialize()
    assert online(server.client(), view()) == world.expected(view())


def test_a_user_that_may_not_ask_for_the_configuration_is_enough(world: World, server: RedisServer) -> None:
    server.client().execute_command("ACL", "SETUSER", "feast", "on", ">7", "~*", "+@all", "-config")
    assert check_eviction(f"{server.address},username=feast,password=7", None) == []
    for wrong in ("password=8", "username=feast,password=8", "username=nobody,password=7"):
        with pytest.raises(OnlineStoreError, match="refused the user or the password") as caught:
            check_eviction(f"{server.address},{wrong}", None)
        assert "=8" not in str(caught.value)


def test_status_lists_what_is_online_and_not_defined_any_more(
    world: World, server: RedisServer, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--repo", str(world.project.settings.repo), "status"]
    world.materialize()
    world.apply(view("person", "v"))
    assert main(command) == 0
    shown = capsys.readouterr().out
    assert "still online   person: email (not defined any more)" in shown
    assert "fix with       provender materialize people" in shown
    world.apply()
    assert main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["undefined_online"] == {"person": ["*"]}
    (world.project.settings.repo / "sources/people.yaml").unlink()
    assert main(command) == 0
    shown = capsys.readouterr().out
    assert "still online   person: the whole view (not defined any more)" in shown
    assert "fix with       provender apply" in shown
    server.stop()
    assert main(command) == 0
    assert "was not asked" in capsys.readouterr().err


def test_a_view_whose_table_no_ingest_has_made_is_not_asked_for_again(
    world: World, server: RedisServer
) -> None:
    shutil.rmtree(world.project.folder / "storage/tables/people/people")
    manifest = world.materialize()
    assert manifest.read == (MissingTable(view="person", table="tables/people/people", versions=0),)
    assert "person" in world.project.ledger("people").state().views
    world.record(PEOPLE, 1)
    assert world.materialize().read == ()
    assert online(server.client(), view()) == world.expected(view())

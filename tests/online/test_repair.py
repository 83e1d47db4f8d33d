"""A value that should not be online is taken back: by its corrected row, and directly."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from provender.cli.main import main
from provender.errors import SpecError
from provender.ledger import Job, Kind
from provender.materialization.repair import Wanted, repair
from provender.online.layout import field_name
from provender.online.writer import OnlineWriter
from tests.online.world import DAY, World, make_people, online, view
from tests.point_in_time.logs import STAMP
from tests.servers import RedisServer

pytestmark = pytest.mark.redis
FAR = datetime(2062, 1, 1, tzinfo=UTC)
NOW = DAY + timedelta(days=1)
PEOPLE = {key: (f"{key}@example.com", number) for number, key in enumerate("abc")}


@pytest.fixture
def world(tmp_path: Path, redis_server: RedisServer) -> World:
    made = make_people(tmp_path, redis_server.address)
    made.record(PEOPLE, 0)
    made.materialize()
    return made


def run_repair(world: World, wanted: Wanted):  # type: ignore[no-untyped-def]
    return repair(world.project.settings, "people", "repair", wanted)


def push(world: World, key: str, value: int, event: datetime = FAR) -> None:
    """A value that no log has."""
    times = ("event_timestamp", "created_timestamp", "guard_event", "guard_created")
    columns = {"k": pa.array([key]), "email": pa.array(["x"]), "v": pa.array([value])}
    batch = pa.RecordBatch.from_pydict(columns | {name: pa.array([event], STAMP) for name in times})
    OnlineWriter(world.project.settings.redis, "test").write(view().layout, [batch])


def test_a_row_of_the_far_future_that_is_withdrawn_gives_its_key_back(
    world: World, redis_server: RedisServer
) -> None:
    world.record({"a": ("far@example.com", 9), "new": ("far@example.com", 9)}, 1, event=FAR)
    world.materialize()
    world.record({"a": ("late@example.com", 5)}, 2)
    world.materialize()
    assert online(redis_server.client(), view())["a"]["v"] == 9, "newest wins"
    world.record({"a": None, "new": None}, 3, event=FAR)
    world.materialize()
    assert online(redis_server.client(), view()) == world.expected(view()) | {}
    assert online(redis_server.client(), view())["a"]["v"] == 5


def test_values_newer_than_a_time_fall_back_to_the_log_up_to_then_though_the_log_still_has_them(
    world: World, redis_server: RedisServer
) -> None:
    world.record({"a": ("far@example.com", 9), "new": ("far@example.com", 9)}, 1, event=FAR)
    world.materialize()
    push(world, "b", 99)
    push(world, "stranger", 99)
    before = world.project.ledger("people").last(Job.MATERIALIZE)
    manifest = run_repair(world, Wanted(newer_than=NOW))
    found = online(redis_server.client(), view())
    assert found == {key: {"email": email, "v": v} for key, (email, v) in PEOPLE.items()}
    assert (manifest.kind, manifest.wrote) == (Kind.MANIFEST, ())
    assert manifest.counts == {"written": 2, "skipped": 0, "deleted": 2}
    assert manifest.recorded_up_to == before.recorded_up_to
    assert run_repair(world, Wanted(newer_than=NOW)).kind is Kind.RECEIPT
    world.record({"c": ("c2@example.com", 3)}, 2)
    assert world.materialize().wrote[0].rebuilt is None


def test_chosen_keys_become_what_the_log_says_and_others_stay(
    world: World, redis_server: RedisServer
) -> None:
    for key in ("a", "b", "stranger"):
        push(world, key, 99)
    manifest = run_repair(world, Wanted(keys=({"k": "a"}, {"k": "stranger"}, {"k": "nobody"})))
    found = online(redis_server.client(), view())
    assert found["a"] == {"email": "a@example.com", "v": 0}
    assert found["b"]["v"] == 99
    assert "stranger" not in found
    assert manifest.counts == {"written": 1, "skipped": 1, "deleted": 1}
    assert "stranger" not in str(manifest.to_document()), "keys may be personal data"


def test_other_views_of_the_same_entity_keep_their_values(world: World, redis_server: RedisServer) -> None:
    world.apply(view(), view("second"))
    world.materialize()
    push(world, "stranger", 99)
    client = redis_server.client()
    (key,) = [key for key in client.scan_iter() if b"stranger" in key]
    client.hset(key, b"_ts:feasts_own", b"\x08\x01")
    run_repair(world, Wanted(newer_than=NOW))
    assert client.hgetall(key) == {b"_ts:feasts_own": b"\x08\x01"}
    assert client.hget(key, field_name("person", "v")) is None


def test_the_command_takes_keys_and_times_and_names_what_is_wrong(
    world: World, redis_server: RedisServer, capsys: pytest.CaptureFixture[str]
) -> None:
    push(world, "a", 99)
    command = ["--repo", str(world.project.settings.repo), "online", "repair", "people"]
    assert main([*command, "--newer-than", "2026-12-01T00:00:00Z", "--view", "person"]) == 0
    assert "person: 1 values replaced by the log's, 0 removed" in capsys.readouterr().err
    assert main(command) == 3
    assert "--key NAME=VALUE or --newer-than TIME" in capsys.readouterr().err
    assert main([*command, "--key", "wrong=a"]) == 3
    assert "give a value to each of: k" in capsys.readouterr().err
    with pytest.raises(SpecError, match="did you mean"):
        run_repair(world, Wanted(keys=({"k": "a"},), views=("persom",)))

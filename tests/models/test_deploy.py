"""A deployment ends in the new version or in the old one, wherever it is killed, and says why."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from provender.errors import DeployError, OnlineStoreError, PredictorError, ProvenderError
from provender.model_registry.deployments import Action, DeploymentLog
from provender.rollout.deploy import Rollout
from provender.rollout.rollback import roll_back
from provender.serving_backends.base import Readiness, ReadyState, Served
from provender.specs.models.spec import Serving
from tests.models.shelf import Clock, Killed, Shelf
from tests.models.world import DELAYS, KEY, MIDNIGHT, World, make_world, run
from tests.servers import RedisServer

pytestmark = pytest.mark.redis


@pytest.fixture
def world(tmp_path: Path, redis_server: RedisServer) -> World:
    return make_world(tmp_path, redis_server.address)


@pytest.fixture
def shelf(world: World) -> Shelf:
    return Shelf(world)


@pytest.fixture
def old(world: World, shelf: Shelf) -> str:
    """A version that serves."""
    version = world.write_version(b"old")
    run(world.rollout(shelf, version, attempt="first", key="2026-03-08"))
    return version


def actions(world: World) -> list[tuple[str, str]]:
    return [(each.action.value, each.version) for each in world.store.log.all()]


def fails(world: World, shelf: Shelf, version: str, **more: object) -> ProvenderError:
    """Deploys ``version``, which does not succeed."""
    with pytest.raises(ProvenderError) as raised:
        run(world.rollout(shelf, version, **more))
    return raised.value


def is_still(world: World, shelf: Shelf, old: str) -> bool:
    """Whether ``old`` serves, and nothing is left of any trial."""
    state = world.store.state()
    return shelf.versions == {"late": old} and state.version == old and state.trying is None


def test_the_first_version_serves_after_its_trial(world: World, shelf: Shelf) -> None:
    version = world.write_version(b"old")
    run(world.rollout(shelf, version))
    assert actions(world) == [("canary", version), ("canary", version), ("deploy", version)]
    assert shelf.versions == {"late": version}
    deployed = world.store.state().serving
    assert deployed is not None
    assert (deployed.previous, deployed.key, deployed.percent) == (None, KEY, 100)
    assert deployed.metrics == {"roc_auc": 0.7}


def test_the_document_holds_what_was_asked_and_answered(world: World, shelf: Shelf, old: str) -> None:
    deployed = world.store.state().serving
    assert deployed is not None
    smoke = deployed.smoke
    assert smoke["entities"] == [{"carrier": "UA", "hour": 9}, {"carrier": "AA", "hour": 8}]
    assert smoke["online"] == smoke["offline"] == {"carrier_day__delay": [10.0, 20.0]}
    assert smoke["predictions"] == smoke["predictions_offline"] == pytest.approx([0.109, 0.208])


def test_the_time_of_the_smoke_test_is_when_the_keys_data_had_to_be_there(world: World, shelf: Shelf) -> None:
    run(world.rollout(shelf, world.write_version(b"old")))
    deployed = world.store.state().serving
    assert deployed is not None and deployed.smoke["at"] == "2026-03-10T03:00:00.000000Z"


def test_the_next_version_replaces_the_one_before(world: World, shelf: Shelf, old: str) -> None:
    new = world.write_version(b"new")
    run(world.rollout(shelf, new))
    assert is_still(world, shelf, new)
    deployed = world.store.state().serving
    assert deployed is not None and deployed.previous == old
    assert world.store.previous() == old


def test_the_same_attempt_again_changes_nothing(world: World, shelf: Shelf, old: str) -> None:
    before = actions(world)
    assert world.rollout(shelf, old, attempt="first").start() is None
    assert actions(world) == before


def test_an_older_key_does_not_replace_a_newer_ones_model(world: World, shelf: Shelf, old: str) -> None:
    other = world.write_version(b"other")
    reason = world.rollout(shelf, other, key="2026-03-07").reason_to_skip()
    assert reason is not None and "2026-03-08" in reason
    assert world.rollout(shelf, other, key="2026-03-08").reason_to_skip() is None


def test_a_version_that_does_not_load_leaves_the_old_one(world: World, shelf: Shelf, old: str) -> None:
    new = world.write_version(b"new")

    def loads(served: Served) -> None:
        if served.version == new:
            raise DeployError("ValueError: the file is no model")

    shelf.loads = loads
    error = fails(world, shelf, new)
    assert "the file is no model" in error.what
    assert f"version {old}: it has all the traffic" in error.not_affected
    assert is_still(world, shelf, old)
    assert actions(world)[-1] == ("rolled_back", new)
    assert "no model" in world.store.log.all()[-1].reason


def test_a_version_that_predicts_otherwise_than_in_training_is_rolled_back(
    world: World, shelf: Shelf, old: str
) -> None:
    new = world.write_version(b"new")
    shelf.predicts = lambda version, value: value + (1e-6 if version == new else 0)
    error = fails(world, shelf, new)
    assert "hour=23, carrier_day__delay=None: served 0.023001, when training 0.023" in error.what
    assert is_still(world, shelf, old)


def test_a_version_that_reads_other_features_is_rolled_back_with_both_values(
    world: World, shelf: Shelf, old: str
) -> None:
    new = world.write_version(b"new")
    rollout = world.rollout(shelf, new)
    percent = rollout.start()
    assert percent == 0
    rollout.begin(percent)
    world.write_online({"UA": 11.0}, MIDNIGHT)
    with pytest.raises(DeployError) as raised:
        rollout.finish(percent)
    assert "carrier=UA, hour=9: carrier_day__delay online 11.0, offline 10.0" in raised.value.what
    assert is_still(world, shelf, old)


def test_a_server_that_reads_other_features_than_the_stores_have_is_rolled_back(
    world: World, shelf: Shelf, old: str
) -> None:
    new = world.write_version(b"new")
    shelf.reads = lambda version, value: value + 1 if version == new else value
    error = fails(world, shelf, new)
    assert "carrier=UA, hour=9: carrier_day__delay served 11.0, offline 10.0" in error.what
    assert is_still(world, shelf, old)


def test_a_version_that_does_not_become_ready_is_rolled_back(world: World, shelf: Shelf, old: str) -> None:
    new = world.write_version(b"new")
    shelf.ready = Readiness(ReadyState.WAITING, "PredictorReady: pulling the image")
    error = fails(world, shelf, new, serving=Serving(timeout=timedelta(seconds=0.05)))
    assert "did not become ready within 0:00:00.05" in error.what
    assert "pulling the image" in error.what
    assert is_still(world, shelf, old)


def test_the_first_version_that_fails_leaves_nothing(world: World, shelf: Shelf) -> None:
    shelf.predicts = lambda _, value: value + 1
    error = fails(world, shelf, world.write_version(b"new"))
    assert "nothing served before" in error.not_affected
    assert shelf.versions == {}
    assert world.store.state().version is None


def test_features_that_are_not_online_stop_it_before_anything_is_tried(
    world: World, shelf: Shelf, old: str, redis_server: RedisServer
) -> None:
    before = actions(world)
    redis_server.client().flushall()
    error = fails(world, shelf, world.write_version(b"new"))
    assert (
        "carrier_day__delay is online, and fresh at 2026-03-10T03:00:00.000000Z, for none of 2" in error.what
    )
    assert actions(world) == before
    assert is_still(world, shelf, old)


def test_a_feature_that_is_null_for_everybody_in_both_stores_is_no_obstacle(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    redis_server.client().flushall()
    nulls = make_world(tmp_path / "nulls", redis_server.address, dict.fromkeys(DELAYS))
    shelf = Shelf(nulls)
    version = nulls.write_version(b"new")
    run(nulls.rollout(shelf, version))
    assert nulls.store.state().version == version


def test_one_entity_that_is_missing_online_stops_it(world: World, shelf: Shelf) -> None:
    world.write_online({"AA": None})
    error = fails(world, shelf, world.write_version(b"new"))
    assert "carrier=AA, hour=8: carrier_day__delay online None, offline 20.0" in error.what
    assert shelf.versions == {}


def test_values_older_than_their_age_limit_stop_it(world: World, shelf: Shelf) -> None:
    error = fails(world, shelf, world.write_version(b"new"), key="2026-03-20")
    assert "fresh at 2026-03-21T03:00" in error.what
    assert "the newest there is of 2026-03-10T00:00" in error.what
    assert "make it longer" in error.remedy, "all of it is materialized: that would not help"


def test_a_redis_that_is_down_stops_it_and_is_named(
    world: World, shelf: Shelf, old: str, tmp_path: Path
) -> None:
    down = world.project.settings.model_copy(update={"redis": "127.0.0.1:1"})
    rollout = world.rollout(shelf, world.write_version(b"new"))
    rollout.settings = down
    with pytest.raises(OnlineStoreError) as raised:
        rollout.start()
    assert "127.0.0.1:1" in str(raised.value)
    assert is_still(world, shelf, old)


def test_a_damaged_version_is_not_tried(world: World, shelf: Shelf, old: str) -> None:
    new = world.write_version(b"new")
    (world.project.folder / "storage" / "models" / "late" / "versions" / new / "model.skops").write_bytes(
        b"x"
    )
    assert "model.skops" in fails(world, shelf, new).what
    assert is_still(world, shelf, old)


def test_what_cannot_be_put_back_is_said_and_done_by_the_next_try(
    world: World, shelf: Shelf, old: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = world.write_version(b"new")
    shelf.predicts = lambda version, value: value + (1 if version == new else 0)
    with monkeypatch.context() as patched:
        patched.setattr(shelf, "restore", _unreachable)
        error = fails(world, shelf, new)
    assert isinstance(error, PredictorError)
    assert f"version {old} could not be put back: no route" in error.what
    assert world.store.state().trying is not None
    assert "something else than when it was trained" in fails(world, shelf, new).what
    assert is_still(world, shelf, old)


def _unreachable(*_: object) -> None:
    raise PredictorError("no route")


def killing(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    """Lets ``clock`` kill before and after each document is written, too."""
    append = DeploymentLog.append

    def appending(log: DeploymentLog, deployment: object) -> object:
        clock()
        written = append(log, deployment)  # type: ignore[arg-type]
        clock()
        return written

    monkeypatch.setattr(DeploymentLog, "append", appending)


def points(do: Callable[[Clock], None]) -> range:
    """Every point at which ``do`` can be killed."""
    clock = Clock()
    do(clock)
    return range(1, clock.passed + 1)


def killed_at(point: int, do: Callable[[Clock], object]) -> None:
    with pytest.raises(Killed):
        do(Clock(at=point))


def test_killed_anywhere_and_run_again_the_new_version_serves(
    world: World, shelf: Shelf, old: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for point in range(1, 20):
        new = world.write_version(b"new %d" % point)
        clock = Clock(at=point)
        with monkeypatch.context() as patched:
            killing(patched, clock)
            shelf.clock = clock
            try:
                run(world.rollout(shelf, new, attempt=f"a-{point}"))
            except Killed:
                state = world.store.state()
                assert "late" in shelf.models and state.version is not None
            else:
                assert point > 12
                return
        shelf.clock = lambda: None
        run(world.rollout(shelf, new, attempt=f"a-{point}"))
        assert is_still(world, shelf, new)
        deployed = [
            each for each in world.store.log.all() if each.version == new and each.action is Action.DEPLOY
        ]
        assert len(deployed) == 1
    pytest.fail("it never came to its end")


def test_killed_anywhere_another_version_finds_the_old_one_serving(
    world: World, shelf: Shelf, old: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    serving = old
    for point in range(1, 20):
        new, other = world.write_version(b"new %d" % point), world.write_version(b"other %d" % point)
        with monkeypatch.context() as patched:
            clock = Clock(at=point)
            killing(patched, clock)
            shelf.clock = clock
            try:
                run(world.rollout(shelf, new, attempt=f"a-{point}"))
            except Killed:
                pass
            else:
                return
        shelf.clock = lambda: None
        shelf.predicts = lambda version, value, bad=other: value + (version == bad)
        fails(world, shelf, other, attempt=f"b-{point}")
        # All the deployment's work but its last document can be done: then it is not deployed.
        serving = world.store.state().version or ""
        assert is_still(world, shelf, serving)
    pytest.fail("it never came to its end")


def test_killed_while_it_is_rolled_back_the_next_try_ends_it(
    world: World, shelf: Shelf, old: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for point in range(1, 20):
        bad = world.write_version(b"bad %d" % point)
        shelf.predicts = lambda version, value, bad=bad: value + (version == bad)
        with monkeypatch.context() as patched:
            clock = Clock(at=point)
            killing(patched, clock)
            shelf.clock = clock
            try:
                fails(world, shelf, bad, attempt=f"a-{point}")
            except Killed:
                pass
            else:
                return
        shelf.clock = lambda: None
        fails(world, shelf, bad, attempt=f"a-{point}")
        assert is_still(world, shelf, old)
    pytest.fail("it never came to its end")


def back(world: World, shelf: Shelf, to: str | None = None) -> str:
    done = roll_back(world.project.settings, shelf, "late", Serving(), to=to, attempt="cli")
    assert done.action is Action.ROLLBACK
    return done.version


def test_a_person_rolls_back_one_version_after_the_other(world: World, shelf: Shelf, old: str) -> None:
    names = [old]
    for i in range(2):
        names.append(world.write_version(b"%d" % i))
        run(world.rollout(shelf, names[-1], attempt=f"a{i}"))
    assert back(world, shelf) == names[1]
    assert back(world, shelf) == old
    assert is_still(world, shelf, old)
    with pytest.raises(DeployError, match="no version that served before"):
        back(world, shelf)


def test_a_rollback_asks_no_online_store(
    world: World, shelf: Shelf, old: str, redis_server: RedisServer
) -> None:
    run(world.rollout(shelf, world.write_version(b"new")))
    redis_server.client().flushall()
    assert back(world, shelf) == old
    assert is_still(world, shelf, old)


def test_a_rollback_puts_back_how_it_was_served(world: World, shelf: Shelf, old: str) -> None:
    run(world.rollout(shelf, world.write_version(b"new"), serving=Serving(stale="refuse", smoke_entities=1)))
    back(world, shelf)
    assert shelf.models["late"].pointer["policy"]["stale"] == "as_null"


def test_a_rollback_to_a_version_that_never_served_or_is_not_there(
    world: World, shelf: Shelf, old: str
) -> None:
    trained = world.write_version(b"trained")
    assert back(world, shelf, trained) == trained
    with pytest.raises(DeployError, match="serves already"):
        back(world, shelf, trained)
    with pytest.raises(ProvenderError, match="no version 'nope'"):
        back(world, shelf, "nope")


def test_a_rollback_that_fails_leaves_what_serves(world: World, shelf: Shelf, old: str) -> None:
    new = world.write_version(b"new")
    run(world.rollout(shelf, new))
    shelf.predicts = lambda version, value: value + (version == old)
    with pytest.raises(DeployError, match="something else than when it was trained"):
        back(world, shelf)
    assert is_still(world, shelf, new)


def test_a_rollback_ends_a_deployment_under_way_which_notices(world: World, shelf: Shelf, old: str) -> None:
    run(world.rollout(shelf, world.write_version(b"new")))
    under_way: Rollout = world.rollout(shelf, world.write_version(b"newer"), attempt="attempt-2")
    percent = under_way.start()
    assert percent is not None
    under_way.begin(percent)
    assert back(world, shelf) == old
    with pytest.raises(DeployError, match="no longer under way"):
        under_way.finish(percent)
    assert is_still(world, shelf, old)


def test_a_canary_without_an_address_is_asked_until_it_answers(world: World, shelf: Shelf, old: str) -> None:
    asked = []
    shelf.percentages = (10, 100)
    client = shelf.client

    class SharedAddress:
        def predict(self, instances: object, *, return_features: bool) -> object:
            asked.append(1)
            percent = 10 if len(asked) % 10 == 0 else 100
            return client(shelf.models["late"], percent).predict(instances, return_features=return_features)

    shelf.client = lambda served, percent: SharedAddress() if percent == 10 else client(served, percent)  # type: ignore[method-assign]
    new = world.write_version(b"new")
    run(world.rollout(shelf, new))
    assert len(asked) == 30
    assert is_still(world, shelf, new)

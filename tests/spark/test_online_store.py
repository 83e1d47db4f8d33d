"""An online store that is away, dies, forgets or remembers too much."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from provender.errors import OnlineStoreError, SpecError, StorageError
from provender.ledger import Job, Kind
from provender.online.marker import marker_key, read_markers
from provender.online.views import AppliedView
from tests.engine import Project, make_project
from tests.servers import RedisServer
from tests.spark.online import VIEWS, apply_views, assert_online_is_right, online, run_materialize
from tests.spark.readings import day, deliver, key_of, make_readings

pytestmark = pytest.mark.spark


@pytest.fixture
def server(tmp_path: Path) -> Any:
    """A Redis of the test's own, which it may stop."""
    own = RedisServer(tmp_path)
    own.start()
    yield own
    own.stop()


@pytest.fixture(params=["duckdb", "spark"])
def project(request: Any, tmp_path: Path, engine_url: str, server: RedisServer) -> Project:
    project = make_project(tmp_path / "home", spark={"remote": engine_url}, redis=server.address)
    project.materialize_with(request.param)
    make_readings(project)
    apply_views(project)
    return project


def failure(project: Project, attempt: str) -> OnlineStoreError:
    """The error of a materialization that must leave no trace in the ledger."""
    before = len(project.ledger("readings").manifests(Job.MATERIALIZE))
    with pytest.raises(OnlineStoreError) as caught:
        run_materialize(project, attempt)
    assert len(project.ledger("readings").manifests(Job.MATERIALIZE)) == before
    assert "Traceback" not in str(caught.value)
    return caught.value


def test_an_online_store_that_is_away_is_named_and_nothing_is_recorded(
    project: Project, server: RedisServer
) -> None:
    deliver(project, 1, [("a", day(1), 1), ("b", day(1), 2)])
    run_materialize(project, "first")
    marker = server.client().hgetall(marker_key("test"))
    deliver(project, 2, [("a", day(2), 3)])
    server.stop()
    assert server.address in str(failure(project, "away"))
    server.start()  # without persistence: as empty as after FLUSHALL
    manifest = run_materialize(project, "back")
    assert_online_is_right(project, server)
    assert marker != server.client().hgetall(marker_key("test"))
    assert all("lost its marker" in entry.rebuilt for entry in manifest.wrote)


def test_an_online_store_that_dies_while_rows_are_written_is_named_too(
    project: Project, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from provender.materialization import run

    deliver(project, 1, [("a", day(1), 1)])
    begin = run.begin

    def dying(*args: Any) -> Any:
        # After the markers were looked at, before a row is written.
        begun = begin(*args)
        server.stop()
        return begun

    with monkeypatch.context() as patch:
        patch.setattr(run, "begin", dying)
        error = failure(project, "dying")
    assert server.address in error.where
    assert "broke off or cannot be reached" in error.what
    assert "JVM" not in str(error)
    server.start()
    run_materialize(project, "again")
    assert_online_is_right(project, server)


@pytest.mark.parametrize("step", ["begin", "confirm"])
def test_a_flush_before_the_first_row_or_after_the_last_is_seen_whoever_writes(
    project: Project, server: RedisServer, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    from provender.materialization import run

    deliver(project, 1, [("a", day(1), 1), ("b", day(1), 2)])
    run_materialize(project, "first")
    deliver(project, 2, [("a", day(2), 3)])
    taken = getattr(run, step)

    def flushed_before(*args: Any) -> Any:
        server.client().flushall()
        return taken(*args)

    with monkeypatch.context() as patch:
        patch.setattr(run, step, flushed_before)
        assert "run it again" in failure(project, "flushed").remedy
    manifest = run_materialize(project, "again")
    assert all(entry.rebuilt for entry in manifest.wrote)
    assert_online_is_right(project, server)


def test_a_flushed_or_restored_store_is_rebuilt_and_full_removes_what_should_not_be_there(
    project: Project, server: RedisServer
) -> None:
    client = server.client()
    deliver(project, 1, [("a", day(1), 1), ("b", day(1), 2)])
    run_materialize(project, "first")
    older = client.hgetall(marker_key("test"))
    deliver(project, 1, [("a", day(1), 1)])  # b is taken back
    second = run_materialize(project, "second")
    assert second.counts["deleted"] == 2
    assert_online_is_right(project, server)

    client.flushall()
    flushed = run_materialize(project, "flushed")
    assert "flushed" in "\n".join(flushed.notes)
    assert_online_is_right(project, server)

    # A store restored to an older state has its values and its marker, and b still.
    client.hset(marker_key("test"), mapping=older)
    write_stray(project, server, "b")
    assert_online_is_right_but(project, server, "b")
    again = run_materialize(project, "restored")
    assert "older than the ledger" in "\n".join(again.notes)
    assert_online_is_right(project, server)

    write_stray(project, server, "c")
    full = run_materialize(project, "full", full=True)
    assert all(entry.rebuilt == "asked for with --full" for entry in full.wrote)
    assert_online_is_right(project, server)
    assert run_materialize(project, "nothing to do").kind is Kind.RECEIPT
    client.close()


def write_stray(project: Project, server: RedisServer, key: str) -> None:
    """Values of a key that the log does not have (or has withdrawn)."""
    from datetime import timedelta

    import pyarrow as pa

    from provender.online.writer import OnlineWriter

    view, far = VIEWS[0], day(1) + timedelta(days=1000)
    kind = pa.timestamp("us", "UTC")
    columns = {"key": pa.array([key]), "value": pa.array([99], pa.int64())}
    times = ("event_timestamp", "created_timestamp", "guard_event", "guard_created")
    batch = pa.RecordBatch.from_pydict(columns | {name: pa.array([far], kind) for name in times})
    OnlineWriter(server.address, project.settings.project).write(view.layout, [batch])


def assert_online_is_right_but(project: Project, server: RedisServer, key: str) -> None:
    assert online(project, server, VIEWS[0])[key] == {"value": 99}


def test_a_view_that_was_away_for_a_while_catches_up_and_unchanged_ones_are_left_alone(
    project: Project, server: RedisServer
) -> None:
    away, other = VIEWS
    deliver(project, 1, [("a", day(1), 1)])
    run_materialize(project, "both")
    apply_views(project, [other])
    deliver(project, 2, [("a", day(2), 2), ("b", day(2), 3)])
    run_materialize(project, "one")
    # An ingest that changes nothing, and materializations that find nothing to do.
    project.run("readings", key_of(2), attempt="nothing new")
    for attempt in ("idle", "idle again"):
        manifest = run_materialize(project, attempt)
        assert (manifest.kind, manifest.notes) == (Kind.RECEIPT, ())
    apply_views(project, [away, other])
    manifest = run_materialize(project, "back")
    [entry] = manifest.wrote
    assert entry.view == away.view
    assert "not applied for a while" in entry.rebuilt  # its values were removed meanwhile
    assert_online_is_right(project, server)
    assert set(read_markers(server.address, "test")) == {away.view, other.view}


def test_no_online_view_needs_no_online_store(project: Project, server: RedisServer) -> None:
    deliver(project, 1, [("a", day(1), 1)])
    server.stop()
    apply_views(
        project, [AppliedView("off", "readings", "latest", {"key": "STRING"}, {"value": "INT64"}, {}, False)]
    )
    manifest = run_materialize(project, "none")
    assert manifest.kind is Kind.RECEIPT
    assert "no applied view" in manifest.notes[0]


def test_a_feature_that_the_table_does_not_hold_yet_is_named(project: Project, server: RedisServer) -> None:
    deliver(project, 1, [("a", day(1), 1)])
    ahead = AppliedView("ahead", "readings", "latest", {"key": "STRING"}, {"tip": "INT64"}, {})
    apply_views(project, [ahead])
    with pytest.raises(SpecError, match="does not hold yet: tip"):
        run_materialize(project, "ahead")
    assert project.ledger("readings").manifests(Job.MATERIALIZE) == []


def test_a_table_whose_file_is_gone_is_an_error_of_the_storage(project: Project, server: RedisServer) -> None:
    deliver(project, 1, [("a", day(1), 1)])
    for file in (project.folder / "storage/tables/readings/latest").glob("*.parquet"):
        file.unlink()
    with pytest.raises(StorageError) as caught:
        run_materialize(project, "gone")
    assert "tables/readings/latest" in caught.value.where

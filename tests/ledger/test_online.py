"""What is online follows from one fold, and everybody who asks gets the same answer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from provender.feast.materialization_intervals import online_partitions
from provender.feast.sync_state import is_behind, note_recorded
from provender.ledger import Draft, Job, Kind
from provender.ledger.holes import newest_online
from provender.ledger.status import source_status
from provender.training_sets.keys import SourceProgress
from tests.engine import Project, make_project
from tests.manifests import ingested, view_write
from tests.spark.readings import make_readings

DAYS = ["2026-01-01", "2026-01-02"]
T0 = datetime(2026, 1, 3, tzinfo=UTC)
SPEC = "the spec"


def times(hour: int) -> datetime:
    return T0 + timedelta(hours=hour)


def ingest(project: Project, key: str, hour: int) -> None:
    entries = {key: ingested(spec=SPEC)}
    project.ledger("readings").commit(Draft(Job.INGEST, "i", Kind.MANIFEST, entries, T0, times(hour)))


def materialize(project: Project, hour: int, *views: str) -> None:
    kind = Kind.MANIFEST if views else Kind.RECEIPT
    wrote = [view_write(view, times(hour)) for view in views]
    project.ledger("readings").commit(Draft(Job.MATERIALIZE, "m", kind, {}, T0, times(hour), wrote=wrote))


def test_a_day_that_changed_nothing_is_online_for_everybody_who_asks(tmp_path: Path) -> None:
    project = make_project(tmp_path, spark={})
    make_readings(project)
    source, ledger = project.source("readings"), project.ledger("readings")
    ingest(project, DAYS[0], 0)
    materialize(project, 0, "day")
    ingest(project, DAYS[1], 1)
    materialize(project, 1)  # a receipt: no row of the view changed
    state = ledger.state()
    found = source_status(source, SPEC, state, times(2), ["day"])
    assert found.not_online == []
    assert found.last_complete is not None and found.last_complete.key == DAYS[1]
    newest = newest_online(source, state)
    assert newest is not None and newest.key == DAYS[1]
    assert SourceProgress.of(source, ledger).done == {*DAYS}
    assert [partition.key for partition in online_partitions(source, state)["day"]] == DAYS


def test_feast_is_told_of_a_day_that_changed_nothing_and_of_nothing_twice(tmp_path: Path) -> None:
    project = make_project(tmp_path, spark={})
    make_readings(project)
    storage, ledger = project.storage, project.ledger("readings")
    assert not is_behind(storage, ledger.state())
    ingest(project, DAYS[0], 0)
    materialize(project, 0, "day")
    assert is_behind(storage, ledger.state())
    note_recorded(storage, "readings", {"day": times(0)})
    assert not is_behind(storage, ledger.state())
    ingest(project, DAYS[1], 1)
    assert not is_behind(storage, ledger.state()), "nothing new is online"
    materialize(project, 1)
    assert is_behind(storage, ledger.state())
    note_recorded(storage, "readings", {"day": times(1)})
    materialize(project, 2)
    assert not is_behind(storage, ledger.state()), "no partition came"


def test_a_view_that_is_ahead_of_others_is_online_up_to_its_own_time(tmp_path: Path) -> None:
    project = make_project(tmp_path, spark={})
    make_readings(project)
    ingest(project, DAYS[0], 0)
    materialize(project, 0, "day", "hour")
    ingest(project, DAYS[1], 1)
    bounded = [view_write("day", times(1))]
    project.ledger("readings").commit(
        Draft(Job.MATERIALIZE, "m", Kind.MANIFEST, {}, T0, times(0), wrote=bounded)
    )
    state = project.ledger("readings").state()
    assert [*state.online_keys("day")] == DAYS
    assert [*state.online_keys("hour")] == [*state.online_keys()] == DAYS[:1]

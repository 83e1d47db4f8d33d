"""Feast's own materialize and materialize_incremental on provender's engine."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from provender.feast.sync_state import is_behind
from provender.ledger import Job, Kind
from tests.engine import Project, make_project
from tests.servers import RedisServer
from tests.spark.readings import day, deliver, make_readings

pytestmark = [pytest.mark.spark, pytest.mark.redis]

VIEWS = """
from datetime import timedelta
from feast import Entity, FeatureView, ValueType
import provender

key = Entity(name="key", join_keys=["key"], value_type=ValueType.STRING)
newest_value = FeatureView(
    name="newest_value", entities=[key], ttl=timedelta(days=0),
    schema=provender.schema("readings", "latest"), source=provender.source("readings", "latest"),
)
"""
FAR = datetime(2100, 1, 1, tzinfo=UTC)


@pytest.fixture
def project(tmp_path: Path, engine_url: str, redis_server: RedisServer) -> Project:
    """The readings, applied in a repo whose batch engine is ours."""
    from provender.feast.apply import apply

    project = make_project(tmp_path / "home", spark={"remote": engine_url}, redis=redis_server.address)
    settings = project.settings.repo / "feature_store.yaml"
    document = yaml.safe_load(settings.read_text())
    document["registry"] = {"registry_type": "sql", "path": "sqlite:///../registry.db"}
    document["batch_engine"] = {"type": "provender.feast.engine.ProvenderEngine"}
    settings.write_text(yaml.safe_dump(document))
    make_readings(project)
    (project.settings.repo / "views").mkdir()
    (project.settings.repo / "views" / "readings.py").write_text(VIEWS)
    apply(project.settings.repo)
    return project


def store_of(project: Project) -> Any:
    from feast import FeatureStore

    return FeatureStore(str(project.settings.repo))


def online(project: Project, keys: str = "abc") -> list[int | None]:
    rows = [{"key": key} for key in keys]
    values: list[int | None] = (
        store_of(project).get_online_features(["newest_value:value"], rows).to_dict()["value"]
    )
    return values


def test_no_order_of_incremental_runs_skips_a_hole_and_a_future_end_poisons_nothing(project: Project) -> None:
    deliver(project, 1, [("a", day(1), 1)])
    deliver(project, 3, [("b", day(3), 3)])
    store_of(project).materialize_incremental(FAR)
    assert online(project) == [1, 3, None]
    watermark = store_of(project).get_feature_view("newest_value").most_recent_end_time
    assert watermark <= datetime.now(UTC)

    deliver(project, 2, [("c", day(2), 2)])  # the hole, behind Feast's watermark
    store_of(project).materialize_incremental(FAR)
    assert online(project) == [1, 3, 2]

    store_of(project).materialize_incremental(FAR)
    last = project.ledger("readings").last(Job.MATERIALIZE)
    assert last is not None
    assert (last.kind, last.counts["written"]) == (Kind.RECEIPT, 0)


def test_start_and_end_bound_what_is_written_and_the_rest_stays_due(project: Project) -> None:
    deliver(project, 1, [("a", day(1), 1), ("b", day(1), 1)])
    deliver(project, 2, [("b", day(2), 2)])
    deliver(project, 3, [("b", day(3), 3), ("c", day(3), 3)])
    store_of(project).materialize(day(2), day(2) + timedelta(hours=12))
    assert online(project) == [None, 2, None]
    bounded = project.ledger("readings").last(Job.MATERIALIZE)
    assert bounded is not None
    assert "still due" in bounded.notes[0]
    assert (bounded.wrote, bounded.recorded_up_to) == ((), None)

    store_of(project).materialize_incremental(datetime.now(UTC))
    assert online(project) == [1, 3, 3]


def test_a_retraction_within_bounds_falls_back_to_what_the_log_says_before_them(project: Project) -> None:
    deliver(project, 1, [("a", day(1), 1)])
    deliver(project, 2, [("a", day(2), 2), ("b", day(2), 2)])
    store_of(project).materialize_incremental(datetime.now(UTC))
    deliver(project, 2, [("b", day(2), 2)])
    store_of(project).materialize(day(2), day(3))
    assert online(project) == [1, 2, None]


def test_feast_is_told_once_what_scheduled_runs_have_put_online(project: Project) -> None:
    from provender.feast.materialization_intervals import record
    from provender.materialization.run import materialize

    for number in (1, 2, 4):
        deliver(project, number, [("a", day(number), number)])
    materialize(project.settings, "readings", "scheduled")
    ledger = project.ledger("readings")
    assert is_behind(project.storage, ledger.state())
    assert record(project.settings, "readings") == {"newest_value": [(day(1), day(3)), (day(4), day(5))]}
    assert not is_behind(project.storage, ledger.state())
    assert record(project.settings, "readings") == {"newest_value": []}
    known = store_of(project).get_feature_view("newest_value").materialization_intervals
    assert [tuple(interval) for interval in known] == [(day(1), day(3)), (day(4), day(5))]

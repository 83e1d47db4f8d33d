"""The pool that bounds Spark applications: it is there before a task asks for it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy
from airflow.models.pool import Pool
from sqlalchemy.orm import Session

from provender.settings import load_settings
from provender_airflow.dag_factory import features_dags
from provender_airflow.pool import ensure_pool, on_starting, pool_arguments
from tests.airflow.conftest import WriteSpec

pytestmark = pytest.mark.airflow


@pytest.fixture
def repo_with_pool(repo: Path, write_spec: WriteSpec) -> Path:
    write_spec()
    file = repo / "feature_store.yaml"
    pool = "spark: {pool: provender_spark, pool_slots: 7}, "
    file.write_text(file.read_text().replace("provender: {", f"provender: {{{pool}"))
    return repo


@pytest.fixture
def session() -> Iterator[Session]:
    """A database with the table of pools."""
    engine = sqlalchemy.create_engine("sqlite://")
    Pool.__table__.create(engine)
    with Session(engine) as session:
        yield session


def test_only_tasks_that_submit_applications_are_in_the_pool(repo_with_pool: Path) -> None:
    (dag,) = features_dags(repo_with_pool)
    pools = {task.task_id: task.pool for task in dag.tasks}
    assert pools["ingest"] == pools["materialize"] == "provender_spark"
    assert {pools[name] for name in ("wait_for_data", "stage", "record_in_feast")} == {"default_pool"}


def test_without_the_setting_no_task_asks_for_a_pool(repo: Path, write_spec: WriteSpec) -> None:
    write_spec()
    (dag,) = features_dags(repo)
    assert {task.pool for task in dag.tasks} == {"default_pool"}


def test_settings_that_cannot_be_read_do_not_break_the_dags(repo: Path) -> None:
    (repo / "feature_store.yaml").write_text("project: [")
    assert pool_arguments(repo) == {}
    assert pool_arguments(repo / "nowhere") == {}


def test_the_pool_is_made_and_counts_tasks_that_wait(repo_with_pool: Path, session: Session) -> None:
    ensure_pool(load_settings(repo_with_pool), session)
    made = Pool.get_pool("provender_spark", session=session)
    assert made is not None
    assert (made.slots, made.include_deferred) == (7, True)


def test_a_pool_that_is_there_is_left_as_it_is(
    repo_with_pool: Path, session: Session, caplog: pytest.LogCaptureFixture
) -> None:
    Pool.create_or_update_pool("provender_spark", 3, "ours", include_deferred=False, session=session)
    with caplog.at_level(logging.WARNING):
        ensure_pool(load_settings(repo_with_pool), session)
    made = Pool.get_pool("provender_spark", session=session)
    assert made is not None
    assert (made.slots, made.description) == (3, "ours")
    assert "does not count deferred tasks" in caplog.text


def test_a_tasks_own_process_leaves_the_database_alone() -> None:
    on_starting(object())

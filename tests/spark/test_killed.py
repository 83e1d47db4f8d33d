"""SIGKILL at any step, then run again: the same rows and the same online values as if nothing had happened."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from provender.ingestion.ingest import ingest
from provender.intervals import Partition
from provender.ledger import Job, Kind
from provender.staging import stage
from tests.engine import Project
from tests.servers import RedisServer
from tests.spark.killed import run_killed
from tests.spark.knowledge import Delivery, as_it_is, assert_log_knows, daily_sum, log_at
from tests.spark.online import apply_views, assert_online_is_right, run_materialize
from tests.spark.readings import csv, day, key_of, log_of, make_readings

pytestmark = pytest.mark.spark

Rows = list[tuple[str, datetime, int]]
REPLACE = "provender.tables.tables:DeltaTable.replace"
APPEND = "provender.tables.tables:DeltaTable.append"
COMMIT = "provender.ledger.ledger:Ledger.commit"
INGEST_STEPS = [
    ("before the raw table is replaced", REPLACE, {"before": 1}),
    ("after the raw table was replaced", REPLACE, {"after": 1}),
    ("after the quarantine was replaced", REPLACE, {"after": 2}),
    ("between the feature tables", APPEND, {"after": 1}),
    ("before the manifest", COMMIT, {"before": 1}),
    ("after the manifest", COMMIT, {"after": 1}),
]
MATERIALIZE_STEPS = [
    ("before writing", "provender.materialization.run:_write_view", {"before": 1}),
    ("after writing, before the marker", "provender.materialization.run:confirm", {"before": 1}),
    ("between the views", "provender.materialization.run:confirm", {"after": 1}),
    ("before the manifest", COMMIT, {"before": 1}),
]


class History:
    """Deliveries of a source, staged one by one, and what may be known of them."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.deliveries: list[Delivery] = []

    def stage(self, number: int, rows: Rows, broken: str = "") -> None:
        self.project.drop("readings", key_of(number), csv(rows) + broken)
        partition = Partition.parse(self.project.source("readings").cadence, key_of(number))
        attempt = f"stage-{len(self.deliveries)}"
        staged = stage(self.project.settings, self.project.source("readings"), [partition], attempt)
        delivered = staged.partitions[key_of(number)].delivered
        self.deliveries.append(Delivery(day(number), delivered, tuple(rows)))

    def ingest(self, number: int, attempt: str) -> Any:
        partition = Partition.parse(self.project.source("readings").cadence, key_of(number))
        return ingest(self.project.settings, "readings", [partition], attempt)

    def check(self) -> None:
        """The logs say what an undisturbed platform would: at every time what was known then."""
        assert_log_knows(log_of(self.project, "latest"), self.deliveries, as_it_is, "value")
        assert_log_knows(log_of(self.project, "daily"), self.deliveries, daily_sum, "total")


def visible(project: Project) -> dict[str, dict[tuple[str, datetime], Any]]:
    """What readers see: the logs up to what the last committed ingest recorded."""
    up_to = project.ledger("readings").state().recorded_up_to
    assert up_to is not None
    seen = {}
    for table, value in (("latest", "value"), ("daily", "total")):
        log = [row for row in log_of(project, table) if row["recorded_timestamp"] <= up_to]
        seen[table] = log_at(log, day(1) + timedelta(days=10_000), value)
    return seen


def test_an_ingest_killed_anywhere_is_finished_by_the_next_one_whichever_it_is_for(project: Project) -> None:
    make_readings(project)
    history = History(project)
    history.stage(1, [("a", day(1), 1), ("b", day(1), 2)])
    history.ingest(1, "first")
    history.stage(3, [("a", day(3), 1), ("c", day(2), 3)])
    history.ingest(3, "third")
    for at, (place, step, when) in enumerate(INGEST_STEPS):
        # Now a row for day 1, now one for day 2: what the killed attempt took away it must not forget.
        late = ("a", day(1 + at % 2) + timedelta(hours=1), 10 + at)
        history.stage(3, [("a", day(3), at), late], broken="x,-1,2026-01-03\n")
        before = visible(project)
        run_killed(project, "ingest", [key_of(3)], step, attempt=f"killed {place}", **when)
        if place != "after the manifest":
            assert visible(project) == before, place
            assert project.ledger("readings").find_attempt(Job.INGEST, f"killed {place}") is None
        history.ingest(3 if at % 2 else 1, f"after being killed {place}")
        history.check()
        assert visible(project)["latest"] == as_it_is(history.deliveries, history.deliveries[-1].delivered), (
            place
        )
    assert history.ingest(3, "last").kind is Kind.RECEIPT, "nothing is left to do"


def test_a_materialization_killed_anywhere_is_done_by_the_next_one(
    project: Project, redis_server: RedisServer
) -> None:
    make_readings(project)
    apply_views(project)
    history = History(project)
    for at, (place, step, when) in enumerate(MATERIALIZE_STEPS):
        rows = [("a", day(1), at), ("bcde"[at], day(1), 1)]
        history.stage(1, rows)
        history.ingest(1, f"ingest-{at}")
        run_killed(project, "materialize", [], step, attempt=f"killed {place}", **when)
        assert project.ledger("readings").find_attempt(Job.MATERIALIZE, f"killed {place}") is None
        manifest = run_materialize(project, f"after being killed {place}")
        assert_online_is_right(project, redis_server)
        assert at == 0 or not any(entry.rebuilt for entry in manifest.wrote), place

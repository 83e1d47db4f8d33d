"""Two jobs at once: one writer per table, different sources side by side."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier

import pytest

from provender.ledger import Job, Kind, Manifest
from tests.engine import Project
from tests.spark.readings import SUM_SQL, csv, day, key_of, log_of, make_readings, spec

pytestmark = pytest.mark.spark


def run_at_once(*jobs: Callable[[], Manifest]) -> list[Manifest]:
    """The results of ``jobs``, each in a thread of its own; an error of one is raised."""
    barrier = Barrier(len(jobs))

    def run(job: Callable[[], Manifest]) -> Manifest:
        barrier.wait()
        return job()

    with ThreadPoolExecutor(len(jobs)) as pool:
        return list(pool.map(run, jobs))


def test_the_same_partition_twice_at_once_is_done_once_and_another_source_beside_it(project: Project) -> None:
    make_readings(project)
    other = spec(name="others", raw={"uri": "../raw/others/{partition}.csv"})
    other["tables"] = [
        table | {"sql": "others.sql"} if "sql" in table else table for table in other["tables"]
    ]
    project.write_source(other, others=SUM_SQL.replace("FROM readings", "FROM others"))
    for source in ("readings", "others"):
        project.drop(source, key_of(1), csv([("a", day(1), 1), ("b", day(1), 2)]))
    first, second, beside = run_at_once(
        partial(project.run, "readings", key_of(1), attempt="one"),
        partial(project.run, "readings", key_of(1), attempt="two"),
        partial(project.run, "others", key_of(1), attempt="beside"),
    )
    assert {first.kind, second.kind} == {Kind.MANIFEST, Kind.RECEIPT}
    assert beside.counts["new"] == 4
    for table in ("latest", "daily"):
        assert len(log_of(project, table)) == 2
    numbers = [manifest.number for manifest in project.ledger("readings").manifests(Job.INGEST)]
    assert numbers == [1, 2]


def test_different_partitions_of_a_source_at_once_are_both_there(project: Project) -> None:
    make_readings(project)
    for number in (1, 2):
        project.drop("readings", key_of(number), csv([("a", day(number), number)]))
    both = run_at_once(
        *[partial(project.run, "readings", key_of(number), attempt=f"day {number}") for number in (1, 2)]
    )
    assert [manifest.counts["accepted"] for manifest in both] == [1, 1]
    assert {(row["total"], row["event_timestamp"]) for row in log_of(project, "daily")} == {
        (1, day(2)),
        (2, day(3)),
    }

"""What an ingest appends to a log, and what a materialisation sends, on generated logs: as the oracle has it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import strategies as st

from provender.online.views import AppliedView
from provender.point_in_time.oracle import lookup
from provender.spark import versions
from provender.spark.online_rows import Bounds, Recorded, ViewPlan, online_rows
from provender.spark.tables import DeltaTable
from provender.storage import storage_at
from tests.correctness import oracle
from tests.correctness.cases import differing, examples
from tests.correctness.oracle import Group, Log, Online, Write, after
from tests.correctness.test_rule import COLUMNS as LOG
from tests.correctness.test_rule import Case as Versions
from tests.correctness.test_rule import cases as logs
from tests.point_in_time.logs import at

pytestmark = pytest.mark.spark

CASES = 200
EVENT = at(0)
states = st.sampled_from([None, (None,), (1,), (2,), (3,)])
desired = st.dictionaries(st.integers(0, 5).map(at), states, max_size=4)
cases = st.lists(desired, min_size=1, max_size=4)
"""What the raw rows of one group asked for, ingest by ingest."""


def test_a_log_lacks_what_the_oracle_appends(spark: Any) -> None:
    of_cases = examples(cases, CASES)
    before, wanted, expected = [], [], {}
    for number, asked in enumerate(of_cases):
        group = (f"{number}:a", EVENT)
        log = recorded(group, asked[:-1])
        before += log.get(group, [])
        wanted += [oracle.version(group, created, None, state) for created, state in asked[-1].items()]
        known = list(log.get(group, []))
        oracle.record(log, {group: asked[-1]}, at(3), at(100 + len(asked)))
        expected[group[0]] = [said(v) for v in log.get(group, []) if v not in known]
    changes = versions.difference(frame(spark, wanted), frame(spark, before), ["key"], ["value"], at(3))
    found: dict[str, list[Any]] = {f"{n}:a": [] for n in range(len(of_cases))}
    for row in versions.to_append(changes).toArrow().to_pylist():
        found[row["key"]].append(said(row | {"state": None if row["deleted"] else (row["value"],)}))
    wrong = differing(*({k: sorted(v, key=repr) for k, v in side.items()} for side in (expected, found)))
    least = min(wrong, key=lambda key: len(repr(of_cases[int(key.split(":")[0])])), default=None)
    assert not wrong, (
        f"asked for, ingest by ingest: {of_cases[int(str(least).split(':')[0])]}; {wrong[least]}"
    )


def recorded(group: Group, asked: list[Any]) -> Log:
    log: Log = {}
    for number, one in enumerate(asked):
        oracle.record(log, {group: one}, at(3), at(100 + number))
    return log


def said(version: dict[str, Any]) -> tuple[datetime, Any]:
    return version["created_timestamp"], version["state"]


def frame(spark: Any, rows: list[dict[str, Any]]) -> Any:
    """Versions as Spark reads them."""
    written = [
        {name: row.get(name) for name in LOG.names}
        | {"period": EVENT, "deleted": row["deleted"], "value": row["state"] and row["state"][0]}
        for row in rows
    ]
    return spark.createDataFrame(pa.Table.from_pylist(written, LOG))


SINCE, UP_TO = at(101), at(103)


@pytest.mark.parametrize("deletions", [False, True], ids=["nothing withdrawn", "some withdrawn"])
@pytest.mark.parametrize("since", [None, SINCE], ids=["rebuilt", "continued"])
def test_a_materialisation_brings_what_is_online_up_to_date(
    spark: Any, since: datetime | None, deletions: bool
) -> None:
    of_cases = [tuple(v for v in case if deletions or not v["deleted"]) for case in examples(logs, CASES)]
    rows = [
        version | {"key": f"{n}:a", "state": None if version["deleted"] else (version["value"],)}
        for n, case in enumerate(of_cases)
        for version in case
    ]
    sent = online_rows(frame(spark, rows), plan(since, deletions), UP_TO).toArrow().to_pylist()
    found = {f"{n}:a": online_at(case, since) for n, case in enumerate(of_cases)}
    for row in sent:
        found[row["key"]] = after(found[row["key"]], write_of(row))
    wrong = differing({f"{n}:a": online_at(case, UP_TO) for n, case in enumerate(of_cases)}, found)
    least = min(wrong, key=lambda key: len(of_cases[int(key.split(":")[0])]), default=None)
    assert not wrong, f"{of_cases[int(str(least).split(':')[0])]}: (expected, found) {wrong[least]}"


def online_at(case: Versions, recorded: datetime | None) -> Online | None:
    """What the log says, recorded up to then; nothing is online before a rebuild."""
    version = recorded and lookup(case, {}, oracle.FOR_EVER, recorded_up_to=recorded)
    if not version:
        return None
    return Online(version["event_timestamp"], version["created_timestamp"], (version["value"],))


def write_of(row: dict[str, Any]) -> Write:
    left = row["event_timestamp"] is not None
    online = Online(row["event_timestamp"], row["created_timestamp"], (row["value"],)) if left else None
    return Write(online, (row["guard_event"], row["guard_created"]))


def plan(since: datetime | None, withdrawals: bool) -> ViewPlan:
    view = AppliedView("view", "source", "table", {"key": "STRING"}, {"value": "INT64"}, {})
    table = DeltaTable(storage_at("file:///nowhere"), "tables/source/table", {})
    return ViewPlan(view, table, "id", since, "", Recorded(True, withdrawals, 0), None, Bounds())

"""What an ingest appends to a log, and what a materialization sends, on generated logs: as the oracle has it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from hypothesis import strategies as st

from provender.ingestion import version_diff
from provender.materialization.duckdb_rows import OnlineRows
from provender.materialization.plan import Recorded, ViewPlan
from provender.materialization.spark_rows import online_rows
from provender.online.views import AppliedView
from provender.point_in_time.rule import lookup
from provender.tables.feature_log import FeatureLog
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
    changes = version_diff.difference(frame(spark, wanted), frame(spark, before), ["key"], ["value"], at(3))
    found: dict[str, list[Any]] = {f"{n}:a": [] for n in range(len(of_cases))}
    for row in version_diff.to_append(changes).toArrow().to_pylist():
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


def table(rows: list[dict[str, Any]]) -> pa.Table:
    """Versions as a log holds them. What is in the columns of a deleted one says nothing, and is not the same twice."""
    written = [
        {name: row.get(name) for name in LOG.names}
        | {
            "period": EVENT,
            "deleted": row["deleted"],
            "value": row["state"][0] if row["state"] else noise(row),
        }
        for row in rows
    ]
    return pa.Table.from_pylist(written, LOG)


def noise(row: dict[str, Any]) -> int:
    return 98 if row.get("recorded_timestamp") else 99


def frame(spark: Any, rows: list[dict[str, Any]]) -> Any:
    """Versions as Spark reads them."""
    return spark.createDataFrame(table(rows))


SINCE, UP_TO = at(101), at(103)


def sent_by_spark(spark: Any, rows: list[dict[str, Any]], plan: ViewPlan) -> list[dict[str, Any]]:
    return list(online_rows(frame(spark, rows), plan, UP_TO).toArrow().to_pylist())


def sent_from_here(_: Any, rows: list[dict[str, Any]], plan: ViewPlan) -> list[dict[str, Any]]:
    """From files that hold their rows in no order of any use."""
    log = table(rows)
    for part in (log.slice(0, len(log) // 3), log.slice(len(log) // 3)):
        write_deltalake(plan.log.uri, part, mode="append")
    return [row for batch in OnlineRows(plan, UP_TO).batches() for row in batch.to_pylist()]


@pytest.mark.parametrize("deletions", [False, True], ids=["nothing withdrawn", "some withdrawn"])
@pytest.mark.parametrize("since", [None, SINCE], ids=["rebuilt", "continued"])
@pytest.mark.parametrize("sent_of", [sent_by_spark, sent_from_here], ids=["spark", "duckdb"])
def test_a_materialisation_brings_what_is_online_up_to_date(
    spark: Any, tmp_path: Path, sent_of: Any, since: datetime | None, deletions: bool
) -> None:
    of_cases = [tuple(v for v in case if deletions or not v["deleted"]) for case in examples(logs, CASES)]
    rows = [
        version | {"key": f"{n}:a", "state": None if version["deleted"] else (version["value"],)}
        for n, case in enumerate(of_cases)
        for version in case
    ]
    sent = sent_of(spark, rows, plan(tmp_path / "log", since, deletions))
    assert len(sent) == len({row["key"] for row in sent})
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


def plan(log: Path, since: datetime | None, withdrawals: bool) -> ViewPlan:
    view = AppliedView("view", "source", "table", {"key": "STRING"}, {"value": "INT64"}, {})
    return ViewPlan(
        view,
        FeatureLog(log.as_uri()),
        "tables/source/table",
        "id",
        since,
        "",
        Recorded(True, withdrawals, 0),
        None,
    )


@pytest.mark.parametrize("sent_of", [sent_by_spark, sent_from_here], ids=["spark", "duckdb"])
@pytest.mark.parametrize("hours", [0, 1], ids=["one time", "two times"])
def test_where_all_versions_have_one_time_every_row_is_sent_and_else_the_newest(
    spark: Any, tmp_path: Path, sent_of: Any, hours: int
) -> None:
    rows = [
        {
            "key": key,
            "event_timestamp": at(hour),
            "created_timestamp": at(50),
            "recorded_timestamp": at(102),
            "deleted": False,
            "state": (value + hour,),
        }
        for hour in range(hours + 1)
        for key, value in (("a", 1), ("b", 2))
    ]
    sent = sent_of(spark, rows, plan(tmp_path / "log", SINCE, withdrawals=False))
    found = {row["key"]: (row["value"], row["guard_event"]) for row in sent}
    assert len(sent) == 2
    assert found == {"a": (1 + hours, at(hours)), "b": (2 + hours, at(hours))}

"""Every implementation of the point-in-time join, on generated logs: what it finds is what the rule finds.

Many cases in one log, each with keys of its own, so that Spark too is asked only a few times.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import strategies as st

from provender.point_in_time.duckdb_join import Lookup
from provender.point_in_time.rule import lookup
from provender.settings import Settings
from provender.tables.feature_log import FeatureLog
from tests.correctness.cases import case_of, differing, examples, smallest, without_parts
from tests.correctness.engines import ENGINES
from tests.point_in_time.logs import STAMP, at, schema, write_log

MINUTE, MICROSECOND = timedelta(minutes=1), timedelta(microseconds=1)
COLUMNS = schema({"key": pa.string()}, {"value": pa.int64()})
CASES = 150

Version = dict[str, Any]
Case = tuple[Version, ...]
"""Versions of one key, without it."""

times = st.builds(lambda m, gap: at(m) + gap, st.integers(0, 5), st.sampled_from([timedelta(0), MICROSECOND]))
versions = st.builds(
    lambda event, created, recorded, value, deleted: {
        "event_timestamp": event,
        "created_timestamp": created,
        "recorded_timestamp": at(recorded),
        "value": None if deleted else value,
        "deleted": deleted,
    },
    times,
    times,
    st.integers(100, 104),
    st.sampled_from([None, 1, 2, 3]),
    st.sampled_from([False, False, True]),
)
cases = st.lists(
    versions,
    max_size=10,
    unique_by=lambda v: tuple(v[f"{name}_timestamp"] for name in ("event", "created", "recorded")),
).map(tuple)


@dataclass(frozen=True)
class Way:
    """One way of looking at the cases."""

    ttl: timedelta
    recorded_up_to: datetime | None = None
    never_deleted: bool = False
    """The same log without its deletions: engines take a shorter way there."""

    def versions(self, case: Case) -> Case:
        return tuple(v for v in case if not (self.never_deleted and v["deleted"]))


WAYS = [
    Way(ttl, bound, never_deleted)
    for ttl in (timedelta(0), MICROSECOND, 2 * MINUTE)
    for bound in (None, at(102))
    for never_deleted in (False, True)
]
FEW_WAYS = [
    Way(timedelta(0), at(102)),
    Way(2 * MINUTE),
    Way(timedelta(0), never_deleted=True),
    Way(2 * MINUTE, at(102), never_deleted=True),
]


def moments_of(case: Case) -> list[datetime]:
    """Shortly before, at and shortly after every time that matters to a case."""
    found = {v[f"{name}_timestamp"] for v in case for name in ("event", "created")}
    found |= {v["event_timestamp"] + way.ttl for v in case for way in WAYS}
    return sorted({t + gap for t in found for gap in (-MICROSECOND, timedelta(0), MICROSECOND)})


Rows = list[tuple[str | None, datetime | None]]


def rows_of(of_cases: list[Case]) -> Rows:
    """Entity rows: (key, t)."""
    found: Rows = [(None, at(3)), ("nobody", at(3)), ("0:a", None)]
    return found + [(f"{n}:a", t) for n, case in enumerate(of_cases) for t in moments_of(case)]


def expected(of_cases: list[Case], rows: Rows, ways: list[Way], as_known: bool) -> dict[Any, Any]:
    found = {}
    for key, moment in rows:
        case = of_cases[case_of(key)] if key and ":" in key else ()
        for way in ways:
            version = lookup(
                way.versions(case),
                {} if key else {"key": None},
                moment,
                ttl=way.ttl,
                filter_by_created_timestamp=as_known,
                recorded_up_to=way.recorded_up_to,
            )
            found[key, moment, way] = version and version["value"]
    return found


def differences(
    folder: Path, settings: Settings | None, engine: str, as_known: bool, of_cases: list[Case]
) -> dict[Any, Any]:
    """(expected, found) by (key, t, way)."""
    ways = WAYS if engine == "duckdb" else FEW_WAYS
    logs = {way.never_deleted: written(folder / str(way.never_deleted), way, of_cases) for way in ways[::-1]}
    rows = rows_of(of_cases)
    keys, moments = zip(*rows, strict=True)
    entities = pa.table({"key": pa.array(keys, pa.string()), "t": pa.array(moments, STAMP)})
    lookups = [
        Lookup(logs[way.never_deleted], {"key": "key"}, {f"o{n}": "value"}, way.ttl, way.recorded_up_to)
        for n, way in enumerate(ways)
    ]
    joined = ENGINES[engine](settings, entities, lookups, as_known)
    found = {
        (*row, way): value
        for n, way in enumerate(ways)
        for row, value in zip(rows, joined.column(f"o{n}").to_pylist(), strict=True)
    }
    return differing(expected(of_cases, rows, ways, as_known), found)


def written(folder: Path, way: Way, of_cases: list[Case]) -> FeatureLog:
    """The cases' versions, in two files."""
    log = [{"key": f"{n}:a"} | version for n, case in enumerate(of_cases) for version in way.versions(case)]
    if not (folder / "_delta_log").exists():
        for part in range(2):
            write_log(folder, log[part::2], COLUMNS)
    return FeatureLog(folder.as_uri())


def settings_for(engine: str, request: pytest.FixtureRequest) -> Settings | None:
    """Spark's tests have an engine; the others need none."""
    return request.getfixturevalue("project").settings if engine != "duckdb" else None


@pytest.mark.parametrize("as_known", [False, True], ids=["as known now", "as known then"])
@pytest.mark.parametrize(
    "engine",
    [
        "duckdb",
        pytest.param("spark", marks=[pytest.mark.spark, pytest.mark.slow]),
        pytest.param("spark_sorted", marks=[pytest.mark.spark, pytest.mark.slow]),
        pytest.param("spark_slices", marks=[pytest.mark.spark, pytest.mark.slow]),
    ],
)
def test_the_join_finds_what_the_rule_finds(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, engine: str, as_known: bool
) -> None:
    settings = settings_for(engine, request)

    def compare(of_cases: list[Case]) -> dict[Any, Any]:
        folder = tmp_path_factory.mktemp("log")
        return differences(folder, settings, engine, as_known, of_cases)

    assert_no_difference(examples(cases, CASES), compare)


def assert_no_difference(of_cases: list[Case], compare: Callable[[list[Case]], dict[Any, Any]]) -> None:
    """Fails with the smallest case that differs, and in what."""
    wrong = compare(of_cases)
    if not wrong:
        return

    def failing(candidates: list[Case]) -> list[int]:
        return sorted({case_of(key) for key, *_ in compare(candidates) if key and ":" in key})

    numbers = {case_of(key) for key, *_ in wrong if key and ":" in key}
    if not numbers:
        pytest.fail(f"(expected, found): {wrong}", pytrace=False)
    least = smallest(min((of_cases[n] for n in numbers), key=len), without_parts, failing)
    difference = compare([least])
    lines = [f"{len(numbers)} of {len(of_cases)} cases differ; the smallest log:"]
    lines += [f"  {_said(version)}" for version in least]
    lines += [
        f"  at {t}, {way}: expected {e}, found {f}" for (_, t, way), (e, f) in list(difference.items())[:10]
    ]
    pytest.fail("\n".join(lines), pytrace=False)


def _said(version: Version) -> str:
    times = ", ".join(
        f"{n} {version[f'{n}_timestamp']:%H:%M:%S.%f}" for n in ("event", "created", "recorded")
    )
    return f"{times}: {'deleted' if version['deleted'] else version['value']}"

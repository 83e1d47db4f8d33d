"""Spark's join is the oracle's: on generated logs, with hot keys in slices of time, with small logs broadcast."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from provender.point_in_time.spark import plan, time_slices
from tests.engine import Project
from tests.point_in_time.logs import at
from tests.point_in_time.test_engine import MICROSECOND, entity_rows, logs
from tests.spark.join.generated import Case, assert_as_the_oracle

pytestmark = pytest.mark.spark

cases = st.lists(st.tuples(logs, entity_rows), min_size=12, max_size=30)
ttls = st.sampled_from([timedelta(0), MICROSECOND, timedelta(minutes=1), timedelta(minutes=3)])
recorded = st.none() | st.integers(100, 110).map(at)

few = settings(
    max_examples=3,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    # Shrinking would run Spark hundreds of times; a failure shows the smallest of the cases that differ.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)


@pytest.fixture(params=["shuffled", "in slices", "broadcast"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The three ways a log can go, made to be taken by small ones."""
    monkeypatch.setattr(plan, "SMALL_LOG_ROWS", 1_000_000 if request.param == "broadcast" else 0)
    if request.param == "in slices":
        monkeypatch.setattr(plan, "HOT_ROWS", 2)
        monkeypatch.setattr(time_slices, "HOT_ROWS", 2)
    return str(request.param)


@pytest.mark.parametrize("known_then", [False, True], ids=["as known now", "as known then"])
def test_the_join_is_the_oracles(project: Project, way: str, known_then: bool) -> None:
    @few
    @given(cases, ttls, recorded)
    def check(cases: list[Case], ttl: timedelta, recorded_up_to: datetime | None) -> None:
        with TemporaryDirectory() as folder:
            assert_as_the_oracle(project.settings, Path(folder), cases, ttl, known_then, recorded_up_to)

    check()

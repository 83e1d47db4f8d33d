"""Which partitions a source can take at a given time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from provender.errors import PartitionError
from provender.intervals import Partition
from provender.specs.deliverable import require_deliverable
from provender.specs.source import Source
from tests.engine import make_project
from tests.spark.readings import make_readings

NOW = datetime(2026, 1, 6, tzinfo=UTC)


@pytest.fixture
def source(tmp_path: Path) -> Source:
    project = make_project(tmp_path, spark={})
    make_readings(project, end=datetime(2026, 1, 9, tzinfo=UTC).date())
    return project.source("readings")


def require(source: Source, key: str, now: datetime = NOW) -> None:
    require_deliverable(source, Partition.parse(source.cadence, key), now)


def test_a_partition_can_be_delivered_from_the_moment_it_ends(source: Source) -> None:
    require(source, "2026-01-05")
    require(source, "2026-01-05", NOW.astimezone(timezone(timedelta(hours=9))))
    with pytest.raises(PartitionError, match="2026-01-05 ends at 2026-01-06 00:00 UTC, in the future"):
        require(source, "2026-01-05", NOW - timedelta(microseconds=1))


def test_a_partition_of_another_century_is_refused_with_what_to_correct(source: Source) -> None:
    with pytest.raises(PartitionError) as refused:
        require(source, "2062-01-05", datetime(2063, 1, 1, tzinfo=UTC))
    assert "ends with partition 2026-01-08" in refused.value.what
    assert "later 'end'" in refused.value.remedy


def test_a_partition_before_the_first_is_refused(source: Source) -> None:
    require(source, "2026-01-01")
    with pytest.raises(PartitionError, match="starts with partition 2026-01-01, 2025-12-31 is before it"):
        require(source, "2025-12-31")

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from provender.errors import PartitionError
from provender.specs.loader import load_source
from provender.specs.source import Source
from provender_airflow.partitions import as_argument, partitions_of_run, require_ended
from tests.airflow.conftest import WriteSpec

pytestmark = pytest.mark.airflow
ASKED = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)


@pytest.fixture
def source(write_spec: WriteSpec) -> Source:
    return load_source(write_spec(extra="end: 2027-01-01\n"))


def keys(
    source: Source, key: str | None = None, start: str | None = None, end: str | None = None
) -> list[str]:
    return [p.key for p in partitions_of_run(source, key=key, start=start, end=end, asked=ASKED)]


def test_a_key_means_that_partition(source: Source) -> None:
    assert keys(source, key="2026-11-03") == ["2026-11-03"]


def test_start_and_end_mean_a_range_with_both(source: Source) -> None:
    assert keys(source, start="2026-11-03", end="2026-11-05") == ["2026-11-03", "2026-11-04", "2026-11-05"]


def test_neither_means_the_newest_partition_whose_delay_is_over(source: Source) -> None:
    assert keys(source) == ["2026-11-23"]
    early = datetime(2026, 11, 24, 0, 30, tzinfo=UTC)
    assert partitions_of_run(source, key=None, start=None, end=None, asked=early)[0].key == "2026-11-22"


def test_neither_means_the_last_partition_of_a_closed_source(source: Source) -> None:
    later = datetime(2030, 1, 1, tzinfo=UTC)
    assert partitions_of_run(source, key=None, start=None, end=None, asked=later)[0].key == "2026-12-31"


def test_a_source_that_has_not_begun_has_no_newest_partition(source: Source) -> None:
    with pytest.raises(PartitionError, match="no complete partition yet"):
        partitions_of_run(source, key=None, start=None, end=None, asked=datetime(2026, 11, 1, 5, tzinfo=UTC))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"key": "2026-11-03", "start": "2026-11-03", "end": "2026-11-04"}, "also start/end"),
        ({"start": "2026-11-03"}, "belong together"),
        ({"end": "2026-11-03"}, "belong together"),
        ({"start": "2026-11-05", "end": "2026-11-03"}, "ends before it starts"),
        ({"key": "2026-10-31"}, "starts with partition 2026-11-01"),
        ({"key": "2027-01-01"}, "ends with partition 2026-12-31"),
        ({"key": "../../x"}, "is not a daily partition key"),
        ({"key": "2026-13-01"}, "is not a daily partition key"),
    ],
)
def test_what_cannot_be_is_refused(source: Source, given: dict[str, str], message: str) -> None:
    with pytest.raises(PartitionError, match=message):
        keys(source, **given)


def test_a_partition_that_is_not_over_is_refused(source: Source) -> None:
    partitions = partitions_of_run(source, key="2026-11-24", start=None, end=None, asked=ASKED)
    with pytest.raises(PartitionError, match="in the future"):
        require_ended(partitions, ASKED)
    require_ended(partitions, datetime(2026, 11, 25, tzinfo=UTC))


def test_jobs_are_told_a_key_or_a_range(source: Source) -> None:
    def argument(**given: str) -> str:
        options = {"key": None, "start": None, "end": None, **given}
        return as_argument(partitions_of_run(source, asked=ASKED, **options))

    assert argument(key="2026-11-03") == "2026-11-03"
    assert argument(start="2026-11-03", end="2026-11-05") == "2026-11-03..2026-11-05"

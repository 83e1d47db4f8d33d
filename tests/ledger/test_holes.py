from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from provender.intervals import Cadence, Partition
from provender.ledger import Draft, Job, Kind, Ledger
from provender.ledger.holes import backfill_command, holes, newest_online
from provender.specs.source import Source
from provender.storage import storage_at
from tests.manifests import ingested

NOW = datetime(2026, 11, 5, 0, 30, tzinfo=UTC)


def source(cadence: str = "daily", end: datetime | None = None) -> Source:
    return Source.model_validate(
        {
            "name": "trips",
            "owner": "data",
            "cadence": cadence,
            "start": datetime(2026, 11, 1, tzinfo=UTC),
            "end": end,
            "raw": {"uri": "raw/{partition}.csv"},
            "delay": timedelta(hours=1),
            "event_timestamp": {"column": "at"},
            "columns": [{"name": "id", "type": "INT64"}, {"name": "at", "type": "TIMESTAMP"}],
            "tables": [{"name": "trips", "keys": ["id"]}],
        }
    )


def keys(ranges: list[tuple[Partition, Partition]]) -> list[tuple[str, str]]:
    return [(first.key, last.key) for first, last in ranges]


def test_holes_are_ranges_up_to_the_newest_partition_whose_delay_is_over() -> None:
    assert keys(holes(source(), {"2026-11-02"}, NOW)) == [
        ("2026-11-01", "2026-11-01"),
        ("2026-11-03", "2026-11-03"),
    ]
    later = NOW + timedelta(hours=1)
    assert keys(holes(source(), {"2026-11-02"}, later))[-1] == ("2026-11-03", "2026-11-04")


def test_a_closed_source_has_no_holes_after_its_end() -> None:
    closed = source(end=datetime(2026, 11, 3, tzinfo=UTC))
    assert keys(holes(closed, set(), NOW)) == [("2026-11-01", "2026-11-02")]


def test_what_is_all_there_or_has_not_begun_has_no_holes() -> None:
    assert holes(source(), {"2026-11-01", "2026-11-02", "2026-11-03"}, NOW) == []
    assert holes(source(), set(), datetime(2026, 11, 1, 12, tzinfo=UTC)) == []


@pytest.mark.parametrize(
    ("cadence", "key", "moment"),
    [
        (Cadence.DAILY, "2026-11-03", "2026-11-03"),
        (Cadence.HOURLY, "2026-11-03T07", "2026-11-03T07:00:00"),
        (Cadence.MONTHLY, "2026-11", "2026-11-01"),
    ],
)
def test_the_command_names_the_partitions_own_dates(cadence: Cadence, key: str, moment: str) -> None:
    partition = Partition.parse(cadence, key)
    assert backfill_command(source(cadence), partition, partition) == (
        f"airflow backfill create --dag-id features__trips --from-date {moment} --to-date {moment} "
        "--reprocess-behavior failed"
    )


def test_what_is_online_is_the_newest_partition_that_was_materialized(tmp_path: Path) -> None:
    ledger = Ledger(storage_at(tmp_path.as_uri()), "trips")
    assert newest_online(source(), ledger.state()) is None

    def commit(job: Job, partitions: list[str], recorded: datetime) -> None:
        entries = {key: ingested() for key in partitions}
        ledger.commit(Draft(job, f"{job}-{recorded}", Kind.MANIFEST, entries, NOW, recorded_up_to=recorded))

    commit(Job.INGEST, ["2026-11-02"], NOW)
    commit(Job.MATERIALIZE, [], NOW)
    commit(Job.INGEST, ["2026-11-03"], NOW + timedelta(minutes=1))
    newest = newest_online(source(), ledger.state())
    assert newest is not None
    assert newest.key == "2026-11-02"

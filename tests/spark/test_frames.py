"""A DataFrame takes the path of a file: the same contract, the same counts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from provender.errors import ContractError
from tests.engine import Project
from tests.spark.readings import SUM_SQL, day, key_of, log_of, make_readings, spec

pytestmark = pytest.mark.spark


def ingest(project: Project, frame: Any, **where: Any) -> dict[str, int]:
    import provender

    return provender.ingest("readings", frame, repo=project.settings.repo, **where)


def frame_of(times: list[Any]) -> pd.DataFrame:
    return pd.DataFrame({"key": ["a", "b", "c"], "value": [1, 2, 5000], "at": times})


def test_a_frame_is_checked_counted_and_ingested_once(project: Project) -> None:
    make_readings(project)
    frame = frame_of([day(1), day(2), day(2)])
    counts = ingest(project, frame)
    assert counts == {
        "staged": 3,
        "accepted": 2,
        "quarantined": 1,
        "new": 4,
        "corrected": 0,
        "withdrawn": 0,
        "unchanged": 0,
    }
    assert set(ingest(project, frame).values()) == {0}
    assert {(row["key"], row["total"]) for row in log_of(project, "daily")} == {("a", 1), ("b", 2)}
    late = pa.table({"key": ["a"], "value": [10], "at": pa.array([day(1) + timedelta(hours=3)])})
    assert ingest(project, late, partition=key_of(3))["corrected"] == 1
    assert ("a", 11) in {(row["key"], row["total"]) for row in log_of(project, "daily")}


@pytest.mark.parametrize(
    ("event", "times"),
    [
        (
            {"zone": "Europe/Berlin"},
            pd.to_datetime(["2026-01-01 00:30", "2026-01-02 00:30", "2026-01-02 01:30"]),
        ),
        ({}, [day(1) - timedelta(minutes=30), day(1) + timedelta(minutes=30), day(2)]),
        ({}, ["2025-12-31T23:30:00Z", "2026-01-01T00:30:00Z", "2026-01-02"]),
        ({"format": "epoch_s"}, [1767223800, 1767227400, 1767312000]),
    ],
    ids=["naive, of the spec's zone", "aware", "text", "epoch"],
)
def test_times_of_every_kind_find_their_partition(
    project: Project, event: dict[str, str], times: Any
) -> None:
    changes = {"event_timestamp": {"column": "at", **event}, "start": day(1).replace(year=2025).date()}
    project.write_source(spec(**changes), daily=SUM_SQL)
    counts = ingest(project, frame_of(list(times)))
    assert (counts["staged"], counts["accepted"], counts["quarantined"]) == (3, 2, 1)
    manifest = project.ledger("readings").last("ingest")  # type: ignore[arg-type]
    assert manifest is not None
    days = {key: entry.staged for key, entry in manifest.partitions.items()}
    assert sum(days.values()) == 3
    assert min(days) == "2025-12-31"


def test_a_frame_without_times_is_refused_in_one_sentence(project: Project) -> None:
    make_readings(project)
    with pytest.raises(ContractError, match="no column 'at'; it has key, value"):
        ingest(project, pd.DataFrame({"key": ["a"], "value": [1]}))
    with pytest.raises(ContractError, match="no row of the frame has an event timestamp"):
        ingest(project, frame_of(["soon", None, "later"]))
    with pytest.raises(ContractError, match="mixes types"):
        ingest(project, pd.DataFrame({"key": ["a", 1], "value": [1, "x"], "at": [day(1), day(1)]}))

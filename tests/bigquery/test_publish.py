"""Published tables on the emulator, every body checked against Google's discovery document on its way.

What is proven of BigQuery itself: that it would take the bodies, and what it does with a job id it knows (played by
:mod:`tests.bigquery.wire`). What the statements do is proven on the emulator.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Any

import pytest
from deltalake import DeltaTable

from provender.errors import ProvenderError, SchemaChangeError, SettingsError, TerminalError
from provender.intervals import iso
from provender.ledger import Job, Kind
from tests.bigquery.conftest import Warehouse
from tests.bigquery.wire import Wire
from tests.feast.conftest import SPEC, version
from tests.point_in_time.logs import at

pytestmark = [pytest.mark.slow, pytest.mark.bigquery, pytest.mark.gcs]
HOUR, DAY = 60.0, 24 * 60.0
TWO_DAYS = (version(7, 12, 60, 120), version(8, 3, DAY + 60, DAY + 120))
PUBLISHED = [(7, 12, at(60), at(120)), (8, 3, at(DAY + 60), at(DAY + 120))]


def test_what_was_ingested_is_published_and_a_second_run_finds_nothing_to_do(warehouse: Warehouse) -> None:
    warehouse.ingest(*TWO_DAYS, recorded=2 * DAY)
    manifest = warehouse.publish("one")
    assert manifest.kind is Kind.MANIFEST and manifest.counts["days"] == 2
    assert warehouse.rows() == PUBLISHED
    assert warehouse.tables() == ["trips"]
    again = warehouse.publish("two")
    assert again.kind is Kind.RECEIPT and again.recorded_up_to == at(2 * DAY)


def test_a_table_is_partitioned_by_day_clustered_by_its_keys_and_described_by_the_spec(
    warehouse: Warehouse,
) -> None:
    warehouse.ingest(*TWO_DAYS, recorded=2 * DAY)
    warehouse.publish()
    client = warehouse.cloud.bigquery.client()
    table = client.get_table(f"{warehouse.dataset}.trips")
    assert (table.time_partitioning.type_, table.time_partitioning.field) == ("DAY", "event_timestamp")
    assert table.clustering_fields == ["driver_id"]
    assert table.description == "What drivers did"
    assert {field.name: (field.field_type, field.description) for field in table.schema} == {
        "driver_id": ("INTEGER", None),
        "trips": ("INTEGER", "How many"),
        "rate": ("FLOAT", None),
        "city": ("STRING", None),
        "event_timestamp": ("TIMESTAMP", "when it was true"),
        "created_timestamp": (
            "TIMESTAMP",
            "when it could be known; a correction is a row of its own with a newer one",
        ),
        "recorded_timestamp": ("TIMESTAMP", "when the platform wrote it"),
    }
    warehouse.write("feature_defs/sources/trips.yaml", SPEC.replace("How many", "How many trips"))
    warehouse.publish("two")
    assert client.get_table(f"{warehouse.dataset}.trips").schema[1].description == "How many trips"


def test_only_the_days_that_something_was_recorded_of_are_replaced(warehouse: Warehouse, wire: Wire) -> None:
    warehouse.ingest(*TWO_DAYS, recorded=2 * DAY)
    warehouse.publish("one")
    warehouse.ingest(version(7, 13, 60, 3 * DAY), version(9, 1, 120, 3 * DAY), recorded=4 * DAY)
    manifest = warehouse.publish("two")
    assert manifest.counts["days"] == 1
    (entry,) = manifest.wrote
    assert entry.rebuilt is None and iso(entry.recorded_up_to) == "2026-11-26T00:00:00.000000Z"
    statement = wire.configurations("query")[-1]["query"]
    assert "2026-11-22 00:00:00" in statement and "2026-11-23 00:00:00" in statement
    assert "2026-11-24" not in statement
    assert warehouse.rows() == [
        PUBLISHED[0],
        (7, 13, at(60), at(3 * DAY)),
        PUBLISHED[1],
        (9, 1, at(120), at(3 * DAY)),
    ]


def test_what_was_recorded_after_the_last_committed_ingest_is_not_published(warehouse: Warehouse) -> None:
    warehouse.ingest(*TWO_DAYS, recorded=2 * DAY)
    warehouse.ingest(version(7, 99, 60, 3 * DAY), recorded=3 * DAY, commit=False)
    warehouse.publish()
    assert warehouse.rows() == PUBLISHED


def test_a_compacted_file_that_holds_more_than_is_due_gives_only_what_is_committed(
    warehouse: Warehouse,
) -> None:
    warehouse.ingest(*TWO_DAYS, recorded=2 * DAY)
    warehouse.ingest(version(7, 99, 60, 3 * DAY), recorded=3 * DAY, commit=False)
    DeltaTable(str(warehouse.log)).optimize.compact()
    warehouse.mirror()
    warehouse.publish("one")
    assert warehouse.rows() == PUBLISHED
    warehouse.ingest(recorded=4 * DAY)
    warehouse.publish("two")
    assert warehouse.rows() == [PUBLISHED[0], (7, 99, at(60), at(3 * DAY)), PUBLISHED[1]]


def test_of_versions_with_equal_times_the_one_recorded_last_is_published(warehouse: Warehouse) -> None:
    warehouse.ingest(version(7, 1, 60, 120), recorded=DAY)
    warehouse.ingest(version(7, 2, 60, 120), recorded=2 * DAY)
    warehouse.publish()
    assert warehouse.rows() == [(7, 2, at(60), at(120))]


def test_a_withdrawn_row_leaves_and_one_that_comes_back_is_there_again(warehouse: Warehouse) -> None:
    warehouse.ingest(*TWO_DAYS, recorded=2 * DAY)
    warehouse.ingest(version(7, None, 60, 3 * DAY, deleted=True), recorded=4 * DAY)
    warehouse.publish("one")
    assert warehouse.rows() == [PUBLISHED[1]]
    warehouse.ingest(version(7, 5, 60, 4 * DAY), recorded=5 * DAY)
    warehouse.publish("two")
    assert warehouse.rows() == [(7, 5, at(60), at(4 * DAY)), *PUBLISHED]


def test_a_load_that_fails_changes_nothing_and_the_next_run_mends_it(
    warehouse: Warehouse, wire: Wire
) -> None:
    warehouse.ingest(*TWO_DAYS, recorded=2 * DAY)
    warehouse.publish("one")
    warehouse.ingest(version(7, 13, 60, 3 * DAY), recorded=4 * DAY)
    lost = f"tables/trips/trips/{warehouse.files()[-1]}"
    wire.watch = lambda job: warehouse.storage.delete_tree(lost)
    with pytest.raises(TerminalError, match="No files found") as caught:
        warehouse.publish("two")
    assert caught.value.not_affected == "the published tables as they were"
    assert warehouse.rows() == PUBLISHED
    assert warehouse.ledger.find_attempt(Job.PUBLISH, "two") is None
    wire.watch = lambda job: None
    warehouse.mirror()
    assert warehouse.publish("three").counts["days"] == 1
    assert warehouse.rows() == [PUBLISHED[0], (7, 13, at(60), at(3 * DAY)), PUBLISHED[1]]
    assert warehouse.tables() == ["trips"]


def test_a_job_whose_answer_was_lost_is_found_by_its_id_and_not_run_again(
    warehouse: Warehouse, wire: Wire
) -> None:
    warehouse.ingest(*TWO_DAYS, recorded=2 * DAY)
    wire.lose_answer_of = "-load-"
    warehouse.publish("one")
    assert wire.lose_answer_of is None
    wire.lose_answer_of = "-replace-"
    warehouse.ingest(version(7, 13, 60, 3 * DAY), recorded=4 * DAY)
    warehouse.publish("two")
    assert wire.lose_answer_of is None
    assert len(wire.configurations("load")) == 2
    assert [job["jobReference"]["jobId"][-2:] for job in wire.jobs] == ["-0", "-0", "-0", "-0"]
    assert warehouse.rows() == [PUBLISHED[0], (7, 13, at(60), at(3 * DAY)), PUBLISHED[1]]


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_around_the_replacing_statement_the_next_run_leaves_one_copy(
    local_warehouse: Warehouse, wire: Wire, when: str
) -> None:
    warehouse = local_warehouse
    warehouse.ingest(*TWO_DAYS, recorded=2 * DAY)
    command = [sys.executable, "-m", "provender", "--repo", str(warehouse.repo), "publish", "trips"]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def kill(job: dict[str, Any]) -> None:
        if "query" in job["configuration"]:
            os.kill(child.pid, signal.SIGKILL)
            child.wait()

    setattr(wire, "watch" if when == "before" else "watch_after", kill)
    _, said = child.communicate(timeout=60)
    assert child.returncode == -signal.SIGKILL, said.decode()
    wire.watch = wire.watch_after = lambda job: None
    assert warehouse.ledger.last(Job.PUBLISH) is None
    assert len(warehouse.tables()) == 2  # what was staged is still there
    manifest = warehouse.publish("after the crash")
    assert manifest.counts["days"] == 2
    assert warehouse.rows() == PUBLISHED
    assert warehouse.tables() == ["trips"]
    assert len(wire.configurations("load")) == 1, "the second run uses what the first one loaded"


def test_more_files_than_a_job_takes_are_several_jobs_into_one_table(
    warehouse: Warehouse, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provender.publishing.load.MOST_FILES", 1)
    warehouse.ingest(TWO_DAYS[0], recorded=DAY)
    warehouse.ingest(TWO_DAYS[1], recorded=2 * DAY)
    warehouse.publish()
    modes = [load["writeDisposition"] for load in wire.configurations("load")]
    assert modes == ["WRITE_TRUNCATE", "WRITE_APPEND"]
    assert warehouse.rows() == PUBLISHED


def test_more_days_than_a_statement_may_change_are_several_statements(
    warehouse: Warehouse, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provender.publishing.days.MOST_DAYS", 1)
    warehouse.ingest(*TWO_DAYS, version(8, 3, 2 * DAY), recorded=3 * DAY)
    (entry,) = warehouse.publish().wrote
    assert len(entry.jobs) == 3
    assert warehouse.rows() == [PUBLISHED[0], PUBLISHED[1], (8, 3, at(2 * DAY), at(2 * DAY))]
    assert warehouse.tables() == ["trips"]


def test_a_staging_table_that_expired_meanwhile_is_loaded_again(warehouse: Warehouse, wire: Wire) -> None:
    warehouse.ingest(*TWO_DAYS, recorded=2 * DAY)

    def lose(job: dict[str, Any]) -> None:
        if "query" in job["configuration"]:
            (staged,) = [name for name in warehouse.tables() if name != "trips"]
            warehouse.cloud.bigquery.client().delete_table(f"{warehouse.dataset}.{staged}")

    wire.watch = lose
    with pytest.raises(ProvenderError):
        warehouse.publish("one")
    wire.watch = lambda job: None
    warehouse.publish("two")
    assert warehouse.rows() == PUBLISHED
    assert len(wire.configurations("load")) == 2


def test_a_table_made_anew_in_bigquery_is_published_whole(warehouse: Warehouse) -> None:
    warehouse.ingest(*TWO_DAYS, recorded=2 * DAY)
    warehouse.publish("one")
    warehouse.cloud.bigquery.client().delete_table(f"{warehouse.dataset}.trips")
    (entry,) = warehouse.publish("two").wrote
    assert entry.rebuilt == "the table in BigQuery was recreated"
    assert warehouse.rows() == PUBLISHED


def test_a_full_run_removes_days_that_the_log_has_not(warehouse: Warehouse) -> None:
    warehouse.ingest(*TWO_DAYS, recorded=2 * DAY)
    warehouse.publish("one")
    client = warehouse.cloud.bigquery.client()
    client.query(
        f"INSERT INTO `{warehouse.dataset}.trips` (driver_id, event_timestamp) VALUES (1, TIMESTAMP '2020-02-29')"
    ).result()
    assert warehouse.publish("two").kind is Kind.RECEIPT
    warehouse.publish("three", full=True)
    assert warehouse.rows() == PUBLISHED


def test_a_new_column_is_added_and_a_changed_type_is_refused(warehouse: Warehouse) -> None:
    warehouse.ingest(*TWO_DAYS, recorded=2 * DAY)
    warehouse.publish("one")
    wider = SPEC.replace("  - {name: city", "  - {name: stars, type: INT64}\n  - {name: city")
    warehouse.write("feature_defs/sources/trips.yaml", wider)
    warehouse.publish("two")
    names = [
        field.name
        for field in warehouse.cloud.bigquery.client().get_table(f"{warehouse.dataset}.trips").schema
    ]
    assert names[-1] == "stars"
    warehouse.publish("before the log has it", full=True)
    assert warehouse.rows("driver_id, stars") == [(7, None), (8, None)]
    warehouse.write(
        "feature_defs/sources/trips.yaml", SPEC.replace("trips, type: INT32", "trips, type: STRING")
    )
    with pytest.raises(SchemaChangeError, match="trips: INT64 → STRING"):
        warehouse.publish("three")


def test_somebody_elses_table_of_that_name_is_left_alone(warehouse: Warehouse) -> None:
    client = warehouse.cloud.bigquery.client()
    client.query(f"CREATE TABLE `{warehouse.dataset}.trips` AS SELECT 1 AS driver_id").result()
    warehouse.ingest(*TWO_DAYS, recorded=2 * DAY)
    with pytest.raises(SettingsError, match="not this feature table's"):
        warehouse.publish()
    assert warehouse.rows("driver_id") == [(1,)]


def test_a_data_set_that_is_not_there_is_named(warehouse: Warehouse) -> None:
    warehouse.cloud.bigquery.client().delete_dataset(warehouse.dataset)
    warehouse.ingest(*TWO_DAYS, recorded=2 * DAY)
    with pytest.raises(SettingsError, match="does not find it") as caught:
        warehouse.publish()
    assert "BIGQUERY=1" in caught.value.remedy


def test_without_the_block_nothing_is_published(warehouse: Warehouse) -> None:
    settings = (warehouse.repo / "feature_store.yaml").read_text()
    kept = [line for line in settings.splitlines() if "bigquery:" not in line]
    warehouse.write("feature_defs/feature_store.yaml", "\n".join(kept))
    with pytest.raises(SettingsError, match="name no BigQuery data set"):
        warehouse.publish()

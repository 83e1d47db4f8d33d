"""A real Airflow, driven as people drive it, on the demo's sources. Each test has partitions of its own."""

from __future__ import annotations

import stat
from collections.abc import Iterator

import psutil
import pytest

from provender.errors import PartitionError
from provender.ledger import Job
from provender.local import jobs, services
from provender.processes.process import ProcessRecord
from provender.storage import storage_at
from tests.airflow import stack as stacks
from tests.airflow.stack import Stack
from tests.engine import JARS

pytestmark = [pytest.mark.airflow, pytest.mark.spark, pytest.mark.slow]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    running = stacks.start(tmp_path_factory.mktemp("checkout"), JARS)
    yield running
    stacks.stop(running)
    assert {service.state for service in services.status(running.settings)} == {"stopped"}


# ---- asking for partitions --------------------------------------------------------------------------------


def test_a_key_runs_that_partition_and_tells_who_waits(stack: Stack) -> None:
    run_id = stack.run("flights", key="2013-12-01")
    ingest = stack.returned("flights", run_id, "ingest")
    assert ingest["partitions"] == ["2013-12-01"]
    assert ingest["staged"] == ingest["accepted"] + ingest["quarantined"] > 0
    assert stack.emitted("flights", run_id) == ["2013-12-01"]


def test_the_platform_is_its_users_alone(stack: Stack) -> None:
    listening = [
        connection.laddr.ip
        for process in stack.processes()
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert len(listening) >= 3  # the API server, and the log servers of scheduler and triggerer, at least
    assert set(listening) <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
    state = stack.settings.state_dir
    others = stat.S_IRWXG | stat.S_IRWXO
    assert not state.stat().st_mode & others
    logs = [path for path in (state / "logs").rglob("*") if path.is_file()]
    assert logs
    assert not [path for path in logs if path.stat().st_mode & others]


@pytest.mark.parametrize("key", ["../../x", "2013-12", "2013-12-01; drop table"])
def test_a_key_that_is_none_is_refused_by_airflow(stack: Stack, key: str) -> None:
    with pytest.raises(PartitionError, match="does not match"):
        stack.api.trigger("features__flights", partition_key=key)


def test_start_and_end_are_one_application_that_tells_of_every_partition(stack: Stack) -> None:
    days = [f"2013-11-{day:02}" for day in range(1, 11)]
    run_id = stack.run("weather", start=days[0], end=days[-1])
    assert stack.returned("weather", run_id, "ingest")["partitions"] == days
    assert stack.emitted("weather", run_id) == days
    assert all(stack.ingested("weather", day) == 1 for day in days)


def test_a_bare_trigger_takes_the_newest_complete_partition(stack: Stack) -> None:
    run_id = stack.run("driver_statistics")
    assert stack.emitted("driver_statistics", run_id) == ["2013-12-31"]


def test_a_range_that_cannot_be_fails_at_once(stack: Stack) -> None:
    run_id = stack.api.trigger("features__weather", params={"start": "2013-11-05", "end": "2013-11-01"})
    assert stack.end_of("features__weather", run_id) == "failed"
    path = f"/dags/features__weather/dagRuns/{run_id.replace('+', '%2B')}/taskInstances/wait_for_data"
    assert stack.api.call("GET", path)["try_number"] == 1


def test_data_that_never_came_fails_and_nothing_is_staged(stack: Stack) -> None:
    (stack.settings.repo.parent / ".provender" / "raw" / "weather" / "2013-11-20.csv").unlink()
    run_id = stack.api.trigger("features__weather", partition_key="2013-11-20")
    assert stack.end_of("features__weather", run_id) == "failed"
    states = stack.api.task_states("features__weather", run_id)
    assert (states["wait_for_data"], states["stage"]) == ("failed", "upstream_failed")


# ---- backfills --------------------------------------------------------------------------------------------


def test_a_dry_run_lists_partitions_and_starts_none(stack: Stack) -> None:
    before = len(stack.api.runs("features__flights"))
    printed = stack.backfill("flights", "2013-12-10", "2013-12-11", "--dry-run")
    assert "2013-12-10" in printed
    assert "2013-12-11" in printed
    assert len(stack.api.runs("features__flights")) == before


def test_a_backfill_runs_both_ends_and_reprocessing_changes_nothing(stack: Stack) -> None:
    stack.backfill("weather", "2013-12-05", "2013-12-06")
    runs = stack.backfilled("weather", 2)
    assert {run["partition_key"]: run["state"] for run in runs} == {
        "2013-12-05": "success",
        "2013-12-06": "success",
    }
    stack.backfill("weather", "2013-12-05", "2013-12-06", "--reprocess-behavior", "completed")
    for run in stack.backfilled("weather", 4)[:2]:
        assert run["state"] == "success"
        result = stack.returned("weather", run["dag_run_id"], "ingest")
        assert (result["kind"], result.get("new", 0), result.get("corrected", 0)) == ("receipt", 0, 0)


# ---- what must survive ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("task_id", "day"), [("ingest", "2013-12-15"), ("materialize", "2013-12-16")])
def test_a_task_that_is_killed_finds_its_application_again(stack: Stack, task_id: str, day: str) -> None:
    dag_id = "features__weather"
    run_id = stack.api.trigger(dag_id, partition_key=day)
    submission = stack.running_job(f"weather-{task_id}")
    stack.task_process(dag_id, run_id, task_id).kill()
    assert stack.end_of(dag_id, run_id) == "success"
    assert stack.returned("weather", run_id, task_id)["attempt"] == submission.attempt
    assert stack.emitted("weather", run_id) == [day]


def test_staging_that_is_killed_is_done_by_the_next_try(stack: Stack) -> None:
    dag_id = "features__weather"
    storage = storage_at(stack.settings.storage_root)
    with storage.lock("weather.stage", "this test", timeout_seconds=60):
        # The task waits for the lock, so that it is there to be killed.
        run_id = stack.api.trigger(dag_id, partition_key="2013-12-17")
        stack.task_process(dag_id, run_id, "stage").kill()
    assert stack.end_of(dag_id, run_id) == "success"
    manifests = [m for m in stack.ledger("weather").manifests(Job.STAGE) if "2013-12-17" in m.partitions]
    assert len({m.partitions["2013-12-17"].content for m in manifests}) == 1


def test_a_task_that_is_ended_in_the_ui_ends_its_application(stack: Stack) -> None:
    dag_id = "features__weather"
    run_id = stack.api.trigger(dag_id, partition_key="2013-12-18")
    submission = stack.running_job("weather-ingest")
    runner = ProcessRecord.read(submission.pid_file)
    stack.api.set_task_state(dag_id, run_id, "ingest", "failed")
    stack.wait("the end of the application", lambda: submission.status().state.is_final)
    assert runner is not None
    assert stack.end_of(dag_id, run_id) == "failed"
    assert submission.attempt not in {s.attempt for s in jobs.running(stack.settings.state_dir)}


def test_a_broken_spec_is_red_and_its_neighbours_still_run(stack: Stack) -> None:
    path = stack.settings.repo / "sources" / "broken.yaml"
    path.write_text("name: broken\ncadense: daily\n")
    try:
        red = stack.wait("a red run", lambda: [r for r in _runs_if_there(stack) if r["state"] == "failed"])
        assert stack.api.task_states("features__broken", red[0]["dag_run_id"]) == {"spec_is_broken": "failed"}
        assert "cadense" in stack.api.call("GET", "/dags/features__broken/details")["doc_md"]
        stack.run("weather", key="2013-12-19")
    finally:
        path.unlink()


def _runs_if_there(stack: Stack) -> list[dict[str, str]]:
    known = stack.api.call("GET", "/dags?dag_id_pattern=features__broken")["dags"]
    return stack.api.runs("features__broken") if known else []

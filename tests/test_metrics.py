"""What is emitted, as a StatsD server receives it."""

from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from provender import metrics
from provender.ledger import Draft, Job, Kind, Ledger, Manifest
from provender.settings import Settings
from provender.storage import storage_at
from tests.engine import make_project


@pytest.fixture
def statsd() -> socket.socket:
    channel = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    channel.bind(("127.0.0.1", 0))
    channel.settimeout(5)
    return channel


@pytest.fixture
def settings(tmp_path: Path, statsd: socket.socket) -> Settings:
    found = make_project(tmp_path, spark={}).settings
    return found.model_copy(update={"statsd": f"127.0.0.1:{statsd.getsockname()[1]}"})


def committed(settings: Settings, kind: Kind, counts: dict[str, int]) -> Manifest:
    started = datetime.now(UTC) - timedelta(seconds=2)
    ledger = Ledger(storage_at(settings.storage_root), "trips")
    return ledger.commit(Draft(Job.INGEST, "a", kind, {}, started=started, counts=counts))


def received(statsd: socket.socket, lines: int) -> list[str]:
    return [statsd.recv(1024).decode() for _ in range(lines)]


def test_a_job_says_how_long_it_took_that_it_committed_and_its_rows(
    settings: Settings, statsd: socket.socket
) -> None:
    metrics.job_done(settings, committed(settings, Kind.MANIFEST, {"accepted": 7, "quarantined": 1}))
    seconds, *others = received(statsd, 4)
    name, _, value = seconds.partition(":")
    assert name == "provender.ingest.trips.seconds"
    assert 2000 <= int(value.removesuffix("|ms")) < 60_000
    assert others == [
        "provender.ingest.trips.committed:1|c",
        "provender.ingest.trips.rows.accepted:7|c",
        "provender.ingest.trips.rows.quarantined:1|c",
    ]


def test_a_receipt_is_counted_as_one(settings: Settings, statsd: socket.socket) -> None:
    metrics.job_done(settings, committed(settings, Kind.RECEIPT, {}))
    assert received(statsd, 2)[1] == "provender.ingest.trips.receipts:1|c"


def test_failures_and_freshness_are_emitted(settings: Settings, statsd: socket.socket) -> None:
    metrics.job_failed(settings, Job.STAGE, "trips")
    metrics.freshness(settings, "trips", datetime.now(UTC) - timedelta(hours=1))
    failed, freshness = received(statsd, 2)
    assert failed == "provender.stage.trips.failed:1|c"
    assert freshness.removeprefix("provender.freshness.trips.seconds:") in ("3600|g", "3601|g")


def test_without_an_address_nothing_is_sent(settings: Settings, statsd: socket.socket) -> None:
    metrics.job_failed(settings.model_copy(update={"statsd": None}), Job.STAGE, "trips")
    statsd.settimeout(0.05)
    with pytest.raises(TimeoutError):
        statsd.recv(1024)

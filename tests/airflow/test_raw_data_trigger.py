from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from provender_airflow.triggers.raw_data import RawDataTrigger
from tests.airflow.conftest import WriteSpec

pytestmark = pytest.mark.airflow


def days_ago(days: int) -> str:
    return f"{datetime.now(UTC) - timedelta(days=days):%Y-%m-%d}"


async def event_of(trigger: RawDataTrigger) -> dict[str, Any]:
    async for event in trigger.run():
        payload: dict[str, Any] = event.payload
        return payload
    raise AssertionError("the trigger ended without an event")


def drop(repo: Path, key: str) -> None:
    path = repo.parent / "raw" / "trips" / f"{key}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("driver_id,at,fare\n")


def test_it_fires_when_the_file_arrives(repo: Path, write_spec: WriteSpec) -> None:
    spec = write_spec(start=days_ago(20))
    spec.write_text(spec.read_text().replace("timeout: 2h", "timeout: 9d"))
    trigger = RawDataTrigger(str(repo), "trips", [days_ago(2)], poll_seconds=0.05)

    async def scene() -> dict[str, Any]:
        waiting = asyncio.create_task(event_of(trigger))
        done, _ = await asyncio.wait([waiting], timeout=0.3)
        assert not done
        await asyncio.to_thread(drop, repo, days_ago(2))
        return await asyncio.wait_for(waiting, 10)

    assert asyncio.run(scene()) == {"arrival": "complete", "missing": []}


def test_it_gives_up_when_the_timeout_is_over(repo: Path, write_spec: WriteSpec) -> None:
    write_spec(start=days_ago(20))
    drop(repo, days_ago(6))
    trigger = RawDataTrigger(str(repo), "trips", [days_ago(6), days_ago(5)])
    assert asyncio.run(event_of(trigger)) == {"arrival": "late", "missing": [days_ago(5)]}


def test_it_survives_the_way_to_the_triggerer() -> None:
    path, arguments = RawDataTrigger("/repo", "trips", ["2026-11-03"]).serialize()
    assert path == "provender_airflow.triggers.raw_data.RawDataTrigger"
    assert RawDataTrigger(**arguments).serialize() == (path, arguments)


def test_until_the_delay_is_over_it_does_not_look() -> None:
    trigger = RawDataTrigger("/repo", "trips", [], poll_seconds=10)
    now = datetime.now(UTC)
    assert trigger._pause(now, now + timedelta(seconds=3)) == 3
    assert trigger._pause(now, now + timedelta(hours=3)) == 10
    assert trigger._pause(now, now - timedelta(hours=3)) == 10

"""Waits for a source's raw data."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from provender.intervals import Partition
from provender.settings import Settings
from provender.specs.catalog import Catalog
from provender.specs.loader import load_source
from provender.specs.source import Source
from provender_airflow.task_settings import trigger_settings


class Arrival(StrEnum):
    """How waiting ended; the event's ``arrival``. A late one lists the keys that are ``missing``."""

    COMPLETE = "complete"
    LATE = "late"


class RawDataTrigger(BaseTrigger):
    """Fires when the raw files of all partitions are there, or the source's timeout is over."""

    def __init__(self, repo: str, source: str, keys: list[str], poll_seconds: float = 15.0) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.repo = repo
        self.source = source
        self.keys = keys
        self.poll_seconds = poll_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        arguments = {
            "repo": self.repo,
            "source": self.source,
            "keys": self.keys,
            "poll_seconds": self.poll_seconds,
        }
        return "provender_airflow.triggers.raw_data.RawDataTrigger", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        settings = await trigger_settings(self.repo)
        source = await asyncio.to_thread(load_source, Catalog(Path(self.repo)).path_of(self.source))
        partitions = [Partition.parse(source.cadence, key) for key in self.keys]
        while True:
            now = datetime.now(UTC)
            if now >= due(source, partitions):
                missing = await asyncio.to_thread(missing_partitions, settings, source, partitions)
                if not missing:
                    yield _event(Arrival.COMPLETE, [])
                    return
                if now >= too_late(source, partitions):
                    yield _event(Arrival.LATE, missing)
                    return
            await asyncio.sleep(self._pause(now, due(source, partitions)))

    def _pause(self, now: datetime, next_look: datetime) -> float:
        until = (next_look - now).total_seconds()
        return min(until, self.poll_seconds) if until > 0 else self.poll_seconds


def _event(arrival: Arrival, missing: list[Partition]) -> TriggerEvent:
    keys = [partition.key for partition in missing]
    return TriggerEvent({"arrival": arrival.value, "missing": keys})  # type: ignore[no-untyped-call]


def due(source: Source, partitions: list[Partition]) -> datetime:
    """When the data of all partitions is expected: the last one's end plus the source's delay."""
    return partitions[-1].end + source.delay


def too_late(source: Source, partitions: list[Partition]) -> datetime:
    """When waiting ends: the source's timeout after :func:`due`."""
    return due(source, partitions) + source.timeout


def missing_partitions(settings: Settings, source: Source, partitions: list[Partition]) -> list[Partition]:
    """The partitions whose raw files have not arrived."""
    from provender.staging import arrived  # imports pyarrow: too slow for parsing

    return [partition for partition in partitions if not arrived(settings, source, partition)]

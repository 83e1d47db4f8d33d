"""Upkeep: what is missing, how old the values are, and tidying what jobs leave behind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from airflow.sdk import BaseOperator, Context

from provender import metrics
from provender.ledger import Ledger
from provender.ledger.holes import backfill_command, holes, newest_online
from provender.local import jobs
from provender.settings import Settings
from provender.specs.catalog import Catalog
from provender.specs.source import Source
from provender.storage import storage_at
from provender_airflow.operators.feast import ATTEMPT
from provender_airflow.operators.spark import SparkJobOperator
from provender_airflow.spark.job import SparkJob
from provender_airflow.task_settings import task_settings

_KEEP_JOBS_DAYS = 14.0


class _LedgersOperator(BaseOperator):
    template_fields: Sequence[str] = ("repo",)

    def __init__(self, *, repo: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.repo = repo

    def ledgers(self, settings: Settings) -> Iterator[tuple[Source, Ledger]]:
        """Every source whose spec is whole, with its manifests."""
        storage = storage_at(settings.storage_root)
        for source in Catalog.load(Path(self.repo)).sources.values():
            yield source, Ledger(storage, source.name)


class ListHolesOperator(_LedgersOperator):
    """Lists partitions that should be there and are not, each with the command that fixes it.

    Returns source name to a list of ``first``, ``last`` (partition keys, both included) and ``command``. A
    source nobody has ever ingested is left out: its history is a decision, not a hole.
    """

    def execute(self, context: Context) -> dict[str, list[dict[str, str]]]:
        now, found = datetime.now(UTC), {}
        for source, ledger in self.ledgers(task_settings(self.repo)):
            done = ledger.state().ingested
            if done and (ranges := holes(source, done, now)):
                found[source.name] = [
                    {"first": first.key, "last": last.key, "command": backfill_command(source, first, last)}
                    for first, last in ranges
                ]
        for name, listed in found.items():
            for hole in listed:
                self.log.warning(
                    "%s: %s to %s is missing; %s", name, hole["first"], hole["last"], hole["command"]
                )
        return found


class MeasureFreshnessOperator(_LedgersOperator):
    """Measures how old the newest online values are. Returns seconds by source (None: nothing is online)."""

    def execute(self, context: Context) -> dict[str, float | None]:
        settings, ages = task_settings(self.repo), {}
        for source, ledger in self.ledgers(settings):
            newest = newest_online(source, ledger.state())
            ages[source.name] = None if newest is None else (datetime.now(UTC) - newest.end).total_seconds()
            if newest is not None:
                metrics.freshness(settings, source.name, newest.end)
        return ages


class TidyOperator(SparkJobOperator):
    """Compacts tables, removes what nobody can need any more, and forgets old jobs of this machine."""

    def spark_job(self, context: Context) -> SparkJob:
        return SparkJob("spark_jobs.upkeep", ("--repo", self.repo, *ATTEMPT), self.name_of_job(context))

    def result(self, settings: Settings, attempt: str, context: Context) -> dict[str, Any]:
        return {"attempt": attempt, "jobs_forgotten": jobs.forget_old(settings.state_dir, _KEEP_JOBS_DAYS)}

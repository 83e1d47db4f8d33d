"""Raw data: waiting for it, and staging it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from airflow.sdk import BaseOperator, Context

from provender.errors import SourceNotReadyError
from provender.intervals import Partition
from provender.settings import Settings
from provender.specs.source import Source
from provender_airflow.operators.source import SourceReference, counts_of
from provender_airflow.partitions import require_ended
from provender_airflow.spark.job import job_name
from provender_airflow.triggers.raw_data import (
    Arrival,
    RawDataTrigger,
    due,
    missing_partitions,
    too_late,
)


class _RawDataOperator(BaseOperator):
    template_fields: Sequence[str] = ("repo", "source")

    def __init__(self, *, repo: str, source: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.repo = repo
        self.source = source

    @property
    def reference(self) -> SourceReference:
        return SourceReference(self.repo, self.source)


class WaitForDataOperator(_RawDataOperator):
    """Waits for the delay after the last partition's end, then for the raw files of all.

    Succeeds at once where all is there; else defers. Fails with :class:`SourceNotReadyError` when the
    source's ``timeout`` is over, with :class:`provender.errors.PartitionError` for a partition in the future.
    """

    def execute(self, context: Context) -> dict[str, Any]:
        settings, source, partitions = _loaded(self.reference, context)
        now = datetime.now(UTC)
        require_ended(partitions, now)
        missing = missing_partitions(settings, source, partitions)
        if missing and now >= too_late(source, partitions):
            raise _not_ready(settings, source, missing)
        if missing or now < due(source, partitions):
            self._wait(source, partitions, missing)
        return _arrived(partitions)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        settings, source, partitions = _loaded(self.reference, context)
        if event["arrival"] == Arrival.LATE:
            missing = [Partition.parse(source.cadence, key) for key in event["missing"]]
            raise _not_ready(settings, source, missing)
        return _arrived(partitions)

    def _wait(self, source: Source, partitions: list[Partition], missing: list[Partition]) -> None:
        awaited = ", ".join(p.key for p in missing[:5]) or "the delay after its end"
        self.log.info("%s: waiting for %s, until %s", source.name, awaited, too_late(source, partitions))
        keys = [partition.key for partition in partitions]
        self.defer(trigger=RawDataTrigger(self.repo, self.source, keys), method_name="execute_complete")


class StageOperator(_RawDataOperator):
    """Copies the run's raw files into the staging area. Returns the manifest's counts (files, bytes)."""

    def execute(self, context: Context) -> dict[str, Any]:
        settings, source, partitions = _loaded(self.reference, context)
        from provender.staging import stage  # imports pyarrow: too slow for parsing

        ti = context["ti"]
        attempt = job_name(ti.dag_id, ti.task_id, ti.run_id, str(ti.try_number))
        return counts_of(stage(settings, source, partitions, attempt))


def _loaded(reference: SourceReference, context: Context) -> tuple[Settings, Source, list[Partition]]:
    return reference.settings(), reference.load(), reference.partitions(context)


def _arrived(partitions: list[Partition]) -> dict[str, Any]:
    return {"partitions": [partition.key for partition in partitions]}


def _not_ready(settings: Settings, source: Source, missing: list[Partition]) -> SourceNotReadyError:
    from provender.staging import raw_location

    keys = ", ".join(partition.key for partition in missing[:10])
    more = f" and {len(missing) - 10} more" if len(missing) > 10 else ""
    return SourceNotReadyError(
        f"no raw data for {source.name} {keys}{more}",
        where=raw_location(settings, source, missing[0]),
        not_affected="what was staged and ingested before",
        remedy="deliver the files (an empty one counts as zero rows), then clear this task",
        source=source.name,
        partitions=tuple(partition.key for partition in missing),
    )

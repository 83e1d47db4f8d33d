"""Feast's verbs as operators: apply, ingest, materialize, historical features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.sdk import Asset, Context

from provender.errors import SparkUnavailableError
from provender.feast.sync_state import is_behind
from provender.ledger import Job, Ledger
from provender.settings import Settings
from provender.storage import storage_at
from provender_airflow.operators.source import SourceReference, counts_of
from provender_airflow.operators.spark import SparkJobOperator
from provender_airflow.partitions import as_argument
from provender_airflow.spark.job import SparkJob

ATTEMPT = ("--attempt", "{attempt}")


def features_asset(source: str) -> Asset:
    """The asset whose events say that a partition of ``source`` is in both stores; they carry its key."""
    return Asset(f"features/{source}")


class _SourceJobOperator(SparkJobOperator):
    """An application on one source, which commits a manifest."""

    template_fields: Sequence[str] = ("repo", "source")
    job: Job

    def __init__(self, *, source: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.source = source

    @property
    def reference(self) -> SourceReference:
        return SourceReference(self.repo, self.source)

    def result(self, settings: Settings, attempt: str, context: Context) -> dict[str, Any]:
        manifest = self.reference.manifest(settings, self.job, attempt)
        if manifest is None:
            raise SparkUnavailableError(
                f"the application {attempt} ended well but committed no manifest, so nothing is done",
                where=f"{settings.storage_root}/ledger/{self.source}/{self.job}",
                not_affected="all committed data",
                remedy="the next try does it again; if it stays so, read the task's log",
            )
        for note in manifest.notes:
            self.log.info("%s", note)
        return counts_of(manifest)


class IngestOperator(_SourceJobOperator):
    """Puts staged partitions into the source's tables. Returns the manifest's counts.

    ``allow_withdrawal``: a redelivery may take back more rows than the source's ``violations.max_withdrawn_share``
    (``--allow-withdrawal``).
    """

    job = Job.INGEST
    template_fields: Sequence[str] = ("repo", "source", "allow_withdrawal")

    def __init__(self, *, source: str, allow_withdrawal: bool | str = False, **kwargs: Any) -> None:
        super().__init__(source=source, **kwargs)
        self.allow_withdrawal = allow_withdrawal

    def spark_job(self, context: Context) -> SparkJob:
        partitions = as_argument(self.reference.partitions(context))
        flags = ("--allow-withdrawal",) if str(self.allow_withdrawal).lower() == "true" else ()
        arguments = (
            "--repo",
            self.repo,
            "--source",
            self.source,
            "--partitions",
            partitions,
            *flags,
            *ATTEMPT,
        )
        return SparkJob("spark_jobs.ingest", arguments, self.name_of_job(context))


class MaterializeOperator(_SourceJobOperator):
    """Writes what was appended since the last time to the online store, then tells who waits for it.

    ``ingest_task_id``: the task whose partitions the asset events name; None: those the run means.
    ``full``: writes everything again (``--full``).
    """

    job = Job.MATERIALIZE
    template_fields: Sequence[str] = ("repo", "source", "full")

    def __init__(
        self, *, source: str, ingest_task_id: str | None = None, full: bool | str = False, **kwargs: Any
    ) -> None:
        super().__init__(source=source, **{"outlets": [features_asset(source)], **kwargs})
        self.ingest_task_id = ingest_task_id
        self.full = full

    def spark_job(self, context: Context) -> SparkJob:
        flags = ("--full",) if str(self.full).lower() == "true" else ()
        arguments = ("--repo", self.repo, "--source", self.source, *flags, *ATTEMPT)
        return SparkJob("spark_jobs.materialize", arguments, self.name_of_job(context))

    def result(self, settings: Settings, attempt: str, context: Context) -> dict[str, Any]:
        counts = super().result(settings, attempt, context)
        keys = self._committed_keys(context)
        context["outlet_events"][features_asset(self.source)].add_partitions(keys)
        return {**counts, "partitions": keys}

    def _committed_keys(self, context: Context) -> list[str]:
        if self.ingest_task_id is None:
            return [partition.key for partition in self.reference.partitions(context)]
        return list(context["ti"].xcom_pull(task_ids=self.ingest_task_id)["partitions"])


class RecordInFeastOperator(SparkJobOperator):
    """Tells Feast's registry which intervals are online, in a process of its own; not if it knows already.

    One run tells everything the ledger has, so that of many runs in a row most find nothing left to tell.
    """

    template_fields: Sequence[str] = ("repo", "source")

    def __init__(self, *, source: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.source = source

    def execute(self, context: Context) -> dict[str, Any]:
        storage = storage_at(SourceReference(self.repo, self.source).settings().storage_root)
        if not is_behind(storage, Ledger(storage, self.source).state()):
            self.log.info("Feast knows what is online of %s", self.source)
            return {}
        return super().execute(context)

    def spark_job(self, context: Context) -> SparkJob:
        arguments = ("--repo", self.repo, "--source", self.source, *ATTEMPT)
        return SparkJob(
            "provender.feast.materialization_intervals",
            arguments,
            self.name_of_job(context),
            needs_spark=False,
        )

    def result(self, settings: Settings, attempt: str, context: Context) -> dict[str, Any]:
        return {"attempt": attempt}


class FeastApplyOperator(SparkJobOperator):
    """Registers the repo's definitions with Feast, in a process of its own; what changes is in the log."""

    def spark_job(self, context: Context) -> SparkJob:
        return SparkJob(
            "provender.feast.apply",
            ("--repo", self.repo, *ATTEMPT),
            self.name_of_job(context),
            needs_spark=False,
        )

    def result(self, settings: Settings, attempt: str, context: Context) -> dict[str, Any]:
        return {"attempt": attempt}

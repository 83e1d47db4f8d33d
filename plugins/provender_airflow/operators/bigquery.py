"""Publishing to BigQuery. BigQuery works, the task waits: no Spark, and no memory to speak of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.sdk import BaseOperator, Context

from provender_airflow.operators.source import SourceReference, counts_of
from provender_airflow.spark.job import job_name


class PublishOperator(BaseOperator):
    """Brings a source's published tables up to its last committed ingest. Returns the manifest's counts.

    The client's credentials are the storage's: ambient ones, or those of ``google_connection_id``. A task that is
    killed leaves its statement to BigQuery; the next attempt finds it, or ends it. ``full``: replaces every day.
    """

    template_fields: Sequence[str] = ("repo", "source", "full")

    def __init__(self, *, repo: str, source: str, full: bool | str = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.repo = repo
        self.source = source
        self.full = full

    def execute(self, context: Context) -> dict[str, Any]:
        settings = SourceReference(self.repo, self.source).settings()
        from provender.publishing.publish import publish  # imports Google's client: too slow for parsing

        ti = context["ti"]
        attempt = job_name(ti.dag_id, ti.task_id, ti.run_id, str(ti.try_number))
        full = str(self.full).lower() == "true"
        manifest = publish(settings, self.source, attempt, full=full)
        for note in manifest.notes:
            self.log.info("%s", note)
        return counts_of(manifest)

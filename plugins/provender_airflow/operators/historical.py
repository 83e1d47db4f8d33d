"""Point-in-time features for entity rows, as a file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from airflow.sdk import Context

from provender.errors import SparkUnavailableError
from provender.settings import Settings
from provender.storage import local_path
from provender_airflow.operators.feast import ATTEMPT
from provender_airflow.operators.spark import SparkJobOperator
from provender_airflow.spark.job import SparkJob


class HistoricalFeaturesOperator(SparkJobOperator):
    """Joins features to entity rows, point in time. Returns ``path``, ``rows`` and ``columns``.

    ``entities``: a Parquet or CSV file with join keys and ``event_timestamp``. ``features``: ``view:feature``
    names, or one feature service's name. ``path``: the Parquet file to write. ``as_known``: leaves out what
    was created after a row's time.
    """

    template_fields: Sequence[str] = ("repo", "entities", "features", "path")

    def __init__(
        self,
        *,
        entities: str,
        features: Sequence[str] | str,
        path: str,
        as_known: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.entities = entities
        self.features = features
        self.path = path
        self.as_known = as_known

    def spark_job(self, context: Context) -> SparkJob:
        features = self.features if isinstance(self.features, str) else ",".join(self.features)
        flags = ("--as-known",) if self.as_known else ()
        files = ("--entities", self.entities, "--features", features, "--output", self.path)
        arguments = ("--repo", self.repo, *files, *flags, *ATTEMPT)
        return SparkJob("provender.feast.historical", arguments, self.name_of_job(context))

    def result(self, settings: Settings, attempt: str, context: Context) -> dict[str, Any]:
        target = local_path(self.path)
        receipt_path = target.with_name(f"{target.name}.json")
        receipt = json.loads(receipt_path.read_text(encoding="utf-8")) if receipt_path.exists() else {}
        if receipt.get("attempt") != attempt:
            raise SparkUnavailableError(
                f"the application {attempt} ended well but wrote no training set",
                where=str(receipt_path),
                remedy="the next try does it again; if it stays so, read the task's log",
            )
        return {"path": self.path, "rows": receipt["rows"], "columns": receipt["columns"]}

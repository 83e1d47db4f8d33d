"""Training sets as tasks: of a model, or of a file of entity rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperatorLink, Context

from provender.errors import SparkUnavailableError
from provender.settings import Settings
from provender_airflow.links import ReportLink
from provender_airflow.operators.feast import ATTEMPT
from provender_airflow.operators.spark import SparkJobOperator
from provender_airflow.spark.job import SparkJob

if TYPE_CHECKING:
    from provender.training_sets.folder import TrainingSet


class _TrainingSetJobOperator(SparkJobOperator):
    """Builds a training set, or finds it: the same inputs are the same set.

    Returns ``uri`` (of the folder), ``lockfile``, ``report`` (URIs), ``id`` and ``rows``.
    """

    operator_extra_links: Sequence[BaseOperatorLink] = (ReportLink(),)
    built: TrainingSet | None = None
    """What this task ended in, for its link."""

    @property
    def set_name(self) -> str:
        """What the training set is called."""
        raise NotImplementedError

    def arguments(self) -> tuple[str, ...]:
        """What the application is told besides repo and attempt."""
        raise NotImplementedError

    def spark_job(self, context: Context) -> SparkJob:
        arguments = ("--repo", self.repo, *self.arguments(), *ATTEMPT)
        return SparkJob("spark_jobs.training_set", arguments, self.name_of_job(context))

    def result(self, settings: Settings, attempt: str, context: Context) -> dict[str, Any]:
        from provender.training_sets.build import attempts_set  # Arrow, DuckDB: too slow for parsing

        found = attempts_set(settings, self.set_name, attempt)
        if found is None:
            raise SparkUnavailableError(
                f"the application {attempt} ended well but wrote no training set",
                where=f"{settings.storage_root}/training_sets/{self.set_name}",
                not_affected="all committed data",
                remedy="the next try does it again; if it stays so, read the task's log",
            )
        self.built = found
        self.log.info("Report: %s", found.report_uri)
        return returned(found)


class TrainingSetOperator(_TrainingSetJobOperator):
    """The training set of ``model`` for the partition ``key`` (empty: the newest complete one)."""

    template_fields: Sequence[str] = ("repo", "model", "key")

    def __init__(self, *, model: str, key: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model
        self.key = key

    @property
    def set_name(self) -> str:
        return self.model

    def arguments(self) -> tuple[str, ...]:
        key = ("--key", self.key) if self.key else ()
        return ("--model", self.model, *key)


class HistoricalFeaturesOperator(_TrainingSetJobOperator):
    """The training set of a file of entity rows.

    ``entities``: a Parquet or CSV file, by path or URI, with join keys and ``event_timestamp``. ``features``:
    ``view:feature`` names, or one feature service's name. ``name``: what the training set is called. ``as_known``
    leaves out what was created after a row's time.
    """

    template_fields: Sequence[str] = ("repo", "name", "entities", "features")

    def __init__(
        self,
        *,
        name: str,
        entities: str,
        features: Sequence[str] | str,
        as_known: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.name = name
        self.entities = entities
        self.features = features
        self.as_known = as_known

    @property
    def set_name(self) -> str:
        return self.name

    def arguments(self) -> tuple[str, ...]:
        features = self.features if isinstance(self.features, str) else ",".join(self.features)
        flags = ("--as-known",) if self.as_known else ()
        return ("--name", self.name, "--entities", self.entities, "--features", features, *flags)


def returned(training_set: TrainingSet) -> dict[str, Any]:
    """A task's return value."""
    return {
        "uri": training_set.uri,
        "lockfile": training_set.lockfile_uri,
        "report": training_set.report_uri,
        "id": training_set.lockfile.id,
        "rows": training_set.lockfile.result.rows,
    }

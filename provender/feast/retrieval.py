"""What Feast gets back from the offline store: a job that runs when its result is asked for."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from feast.errors import SavedDatasetLocationAlreadyExists
from feast.infra.offline_stores.file_source import SavedDatasetFileStorage
from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.saved_dataset import SavedDatasetStorage

from provender.errors import TerminalError, TrainingSetError
from provender.feast.on_spark import remote_files, spark_frame
from provender.settings import Settings, load_settings
from provender.training_sets.build import build_from
from provender.training_sets.lockfile import LogRead
from provender.training_sets.request import Request
from provender.training_sets.rows import Rows, rows_of

if TYPE_CHECKING:  # Spark takes a second to import, and a notebook may never need it
    from pyspark.sql import DataFrame

    from provender.point_in_time.spark.run import SparkJoin


@dataclass(frozen=True)
class Staged:
    """What a point-in-time join was asked for, ready to be built as a training set."""

    settings: Settings
    entities: pa.Table
    timestamp: str
    reads: tuple[LogRead, ...]
    as_known: bool

    def request(self, name: str, full_feature_names: bool) -> Request:
        """The request for a training set called ``name``."""
        rows = rows_of(self.entities, {"frame": name}, self.timestamp)
        features = tuple(reference for read in self.reads for reference in read.references)
        return Request(name, rows, features, as_known=self.as_known, full_feature_names=full_feature_names)


class ProvenderRetrievalJob(RetrievalJob):
    """A point-in-time join or a scan, run once, when first asked for its rows."""

    def __init__(
        self,
        compute: Callable[[], pa.Table],
        repo: Path,
        *,
        staged: Staged | None = None,
        on_spark: Callable[[], SparkJoin] | None = None,
        for_spark: bool = False,
        full_feature_names: bool = False,
        on_demand_feature_views: list[OnDemandFeatureView] | None = None,
        metadata: RetrievalMetadata | None = None,
    ) -> None:
        self._compute = compute
        self._repo = repo
        self._staged = staged
        self._on_spark = on_spark
        self._for_spark = for_spark
        self._output: Future[str] | None = None
        self._full_feature_names = full_feature_names
        self._on_demand_feature_views = on_demand_feature_views or []
        self._metadata = metadata
        self._table: pa.Table | None = None

    @property
    def full_feature_names(self) -> bool:
        return self._full_feature_names

    @property
    def on_demand_feature_views(self) -> list[OnDemandFeatureView]:
        return self._on_demand_feature_views

    @property
    def metadata(self) -> RetrievalMetadata | None:
        return self._metadata

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:
        if self._table is None:
            self._table = self._compute()
        return self._table

    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:
        frame: pd.DataFrame = self._to_arrow_internal(timeout).to_pandas()
        return frame

    def to_spark_df(self) -> DataFrame:
        """The rows, on-demand features included, as a Spark frame, in no order, usable until the process ends.

        A join is planned and not run, whatever the size; a scan and on-demand features are computed first.
        Raises :class:`SparkUnavailableError`, :class:`SetupError` where Java or the jars are missing.
        """
        return spark_frame(load_settings(self._repo), self._spark_join(), self.to_arrow)

    def supports_remote_storage_export(self) -> bool:
        return True

    def to_remote_storage(self) -> list[str]:
        """URIs of Parquet files under the storage root, written for the caller: rows in no order, on-demand features
        included. A join that is for Spark is written by its tasks."""
        join = self._spark_join() if self._for_spark else None
        return remote_files(load_settings(self._repo), join, self.to_arrow)

    def _spark_join(self) -> SparkJoin | None:
        """The join, if nothing but Spark is needed for the whole result."""
        if self._on_spark is None or self._on_demand_feature_views:
            return None
        return self._on_spark()

    @property
    def reads(self) -> tuple[LogRead, ...]:
        """How each view's log is read; empty for a scan."""
        return self._staged.reads if self._staged else ()

    def get_output_file_uri(self, timeout: float | None = None, *, name: str = "historical_features") -> str:
        """Stages the entity rows, joins them, and answers the URI of the Parquet file, a lockfile beside it.

        The rows are ordered by time. The same rows, features and logs again are the same file. Waits ``timeout``
        seconds at most and raises :class:`TimeoutError`; the work goes on, and the next call waits for it again.
        Raises :class:`TrainingSetError` for on-demand views, which are computed by :meth:`to_df`.
        """
        if self._staged is None or self._on_demand_feature_views:
            on_demand = ", ".join(view.name for view in self._on_demand_feature_views)
            raise TrainingSetError(
                f"on-demand views cannot be in a training set: {on_demand}"
                if on_demand
                else "a scan has no output file",
                not_affected="everything: nothing was written",
                remedy="use to_df, to_arrow or persist",
            )
        if self._output is None:
            executor = ThreadPoolExecutor(1, "historical-features")
            self._output = executor.submit(self._build, self._staged, name)
            executor.shutdown(wait=False)
        return self._output.result(timeout)

    def _build(self, staged: Staged, name: str) -> str:
        request = staged.request(name, self._full_feature_names)
        assert isinstance(request.entities, Rows)
        attempt = f"frame-{secrets.token_hex(6)}"
        built = build_from(staged.settings, request, request.entities, staged.reads, attempt)
        return built.data_uri

    def persist(
        self, storage: SavedDatasetStorage, allow_overwrite: bool = False, timeout: int | None = None
    ) -> None:
        """Writes the rows, on-demand features included, as one Parquet file with microsecond timestamps.

        A relative path is relative to the feature repo. Raises ``SavedDatasetLocationAlreadyExists`` unless
        ``allow_overwrite``, and :class:`TerminalError` for a storage that is no file.
        """
        target = _file_of(storage, self._repo)
        if target.exists() and not allow_overwrite:
            raise SavedDatasetLocationAlreadyExists(location=str(target))
        target.parent.mkdir(parents=True, exist_ok=True)
        # Spark refuses Parquet with nanosecond timestamps.
        pq.write_table(
            self.to_arrow(timeout=timeout), target, coerce_timestamps="us", allow_truncated_timestamps=True
        )


def _file_of(storage: SavedDatasetStorage, repo: Path) -> Path:
    options: Any = getattr(storage, "file_options", None)
    uri = urlparse(options.uri) if isinstance(storage, SavedDatasetFileStorage) else None
    if uri is None or uri.scheme not in ("", "file"):
        raise TerminalError(
            f"a saved dataset cannot be written to {type(storage).__name__}"
            + (f" {options.uri!r}" if uri is not None else ""),
            remedy='use feast.infra.offline_stores.file_source.SavedDatasetFileStorage("<path>.parquet")',
        )
    return repo / str(uri.path)

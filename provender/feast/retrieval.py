"""What Feast gets back from the offline store: a job that runs when its result is asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from feast.errors import SavedDatasetLocationAlreadyExists
from feast.infra.offline_stores.file_source import SavedDatasetFileStorage
from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.saved_dataset import SavedDatasetStorage

from provender.errors import TerminalError


class ProvenderRetrievalJob(RetrievalJob):
    """A point-in-time join or a scan, run once, when first asked for its rows."""

    def __init__(
        self,
        compute: Callable[[], pa.Table],
        repo: Path,
        *,
        full_feature_names: bool = False,
        on_demand_feature_views: list[OnDemandFeatureView] | None = None,
        metadata: RetrievalMetadata | None = None,
    ) -> None:
        self._compute = compute
        self._repo = repo
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

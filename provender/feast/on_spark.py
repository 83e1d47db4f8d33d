"""A retrieval as a Spark frame or as files: what a job gives besides Arrow and pandas."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from provender.settings import Settings
from provender.storage import storage_at
from provender.storage.retrievals import new_retrieval

if TYPE_CHECKING:  # Spark takes a second to import, and a notebook may never need it
    from pyspark.sql import DataFrame

    from provender.point_in_time.spark.run import SparkJoin


def spark_frame(settings: Settings, join: SparkJoin | None, table: Callable[[], pa.Table]) -> DataFrame:
    """The result of ``join``, or ``table``, as a frame that can be used until the process ends.

    Raises :class:`SparkUnavailableError`, :class:`SetupError` where Java or the jars are missing.
    """
    from provender.point_in_time.spark.run import frame_of

    return join.to_frame() if join is not None else frame_of(settings, table())


def remote_files(settings: Settings, join: SparkJoin | None, table: Callable[[], pa.Table]) -> list[str]:
    """URIs of Parquet files under the storage root's ``retrievals/``: the result of ``join``, or ``table``."""
    if join is not None:
        return join.to_files()
    storage = storage_at(settings.storage_root)
    path = f"{new_retrieval()}/answer/part-0.parquet"
    with storage.writing(path) as file:
        pq.write_table(table(), file, coerce_timestamps="us", allow_truncated_timestamps=True)
    return [storage.uri(path)]

"""Spark writes a view to the online store: the newest row per key, packed from Arrow in each task."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime

import pyarrow as pa
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from provender.errors import OnlineStoreError, error_from_dict
from provender.materialization.plan import ViewPlan, Written
from provender.materialization.spark_rows import is_anything_outside, online_rows
from provender.materialization.writing import Write, generation_of, remove_stale_keys
from provender.online.layout import ViewLayout
from provender.online.pipeline import Counts
from provender.online.writer import OnlineWriter
from provender.settings import Settings
from provender.spark.failures import spark_failures
from provender.spark.session import spark_session, tune_for
from provender.storage import spark_path

_UNPACKED = 4
"""Roughly how much larger rows are than Parquet files of them."""
_COUNTS = "written long, skipped long, deleted long, error string"


@contextmanager
def spark_writer(
    settings: Settings, writer: OnlineWriter, plans: list[ViewPlan], attempt: str, up_to: datetime
) -> Iterator[Write]:
    """One session for all views."""
    with spark_session(settings, attempt) as spark:
        tune_for(spark, _UNPACKED * max(plan.changes.parquet_bytes for plan in plans))
        # A pass before the shuffle that looks for second versions of a key costs more than it finds.
        spark.conf.set("spark.sql.optimizer.windowGroupLimitThreshold", "-1")
        yield lambda plan: _write_view(spark, writer, plan, up_to)


def _write_view(spark: SparkSession, writer: OnlineWriter, plan: ViewPlan, up_to: datetime) -> Written:
    with spark_failures(f"materializing {plan.view.view}", plan.log.uri):
        log = spark.read.format("delta").load(spark_path(plan.log.uri))
        is_whole = plan.bounds.are_open or not is_anything_outside(log, plan, up_to)
        generation = generation_of(plan, is_whole)
        task = _WritePartition(
            _share_of(writer, spark), plan.view.layout, generation, plan.online_ttl_seconds
        )
        sums = [F.sum(name).alias(name) for name in ("written", "skipped", "deleted")]
        error = F.first("error", ignorenulls=True).alias("error")
        rows = online_rows(log, plan, up_to)
        row = rows.mapInArrow(task, _COUNTS).agg(*sums, error).collect()[0]  # type: ignore[arg-type]
    if row["error"]:
        raise error_from_dict(json.loads(row["error"]))
    counts = Counts(row["written"] or 0, row["skipped"] or 0, row["deleted"] or 0)
    return Written(plan, counts + remove_stale_keys(writer, plan, generation), is_whole)


def _share_of(writer: OnlineWriter, spark: SparkSession) -> OnlineWriter:
    """A limit holds for all tasks together; as many as there are partitions may run at once."""
    if writer.rows_per_second is None:
        return writer
    tasks = int(spark.conf.get("spark.sql.shuffle.partitions") or 1)
    return replace(writer, rows_per_second=writer.rows_per_second / tasks)


@dataclass(frozen=True)
class _WritePartition:
    """What an executor does with one partition of rows: write it and count. The online store's failure is handed
    back as JSON, since what is raised in an executor comes out as a stack of Python within a stack of Java."""

    writer: OnlineWriter
    layout: ViewLayout
    generation: str | None
    online_ttl_seconds: float | None

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        counts, failure = Counts(), None
        try:
            counts = self.writer.write(
                self.layout,
                batches,
                force=self.generation is not None,
                generation=self.generation,
                online_ttl_seconds=self.online_ttl_seconds,
            )
        except OnlineStoreError as error:
            failure = json.dumps(error.to_dict())
        yield pa.RecordBatch.from_pydict(
            {
                "written": [counts.written],
                "skipped": [counts.skipped],
                "deleted": [counts.deleted],
                "error": pa.array([failure], pa.string()),
            }
        )

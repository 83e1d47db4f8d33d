"""Entity rows by SQL over a source's raw table, on Spark."""

from __future__ import annotations

import hashlib

import pyarrow as pa
from pyspark.sql import functions as F

from provender.errors import SourceNotReadyError
from provender.ingestion.features import in_periods
from provender.intervals import iso
from provender.settings import Settings
from provender.spark.failures import spark_failures
from provender.spark.session import spark_session
from provender.specs.catalog import Catalog
from provender.specs.sql import as_checked
from provender.storage import storage_at
from provender.tables.tables import raw_table
from provender.tables.types import quoted
from provender.training_sets.request import SqlRows
from provender.training_sets.rows import Rows, rows_of


def rows_by_sql(settings: Settings, wanted: SqlRows, attempt: str) -> Rows:
    """What the SQL gives of the accepted raw rows of the window's periods.

    The view is named as the source and has the spec's columns. Raises :class:`SqlError` with Spark's words,
    :class:`SourceNotReadyError` where nothing was ever ingested, :class:`TrainingSetError` where there are no rows.
    """
    source = Catalog.load(settings.repo).source(wanted.source)
    raw = raw_table(storage_at(settings.storage_root), source)
    if not raw.exists():
        raise SourceNotReadyError(
            f"source {source.name!r} was not ingested yet, so it has no raw rows",
            where=raw.uri,
            not_affected="everything: nothing was read",
            remedy=f"provender status {source.name}",
        )
    periods = (iso(wanted.window.start), iso(wanted.window.end))
    with spark_session(settings, attempt) as spark, spark_failures("reading entity rows", wanted.path):
        # Raw files are laid out by period: whole files outside the window are skipped.
        rows = raw.read(spark).where(in_periods("_period", [periods]))
        rows.select(*[F.col(quoted(c.name)) for c in source.columns]).createOrReplaceTempView(source.name)
        table: pa.Table = spark.sql(as_checked(wanted.sql)).toArrow()
    text = hashlib.sha256(wanted.sql.encode()).hexdigest()
    origin = {"source": source.name, "sql": f"sha256:{text}", "periods": list(periods)}
    return rows_of(table, origin)

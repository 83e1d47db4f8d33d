"""The states of a derived table: its SQL, run by the code of an ingest on the raw rows of one period."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pyarrow as pa
from pyspark.sql import functions as F

from provender.explain.ledger_facts import Recorder
from provender.explain.states import State, Task
from provender.explain.versions import FIRST, Version
from provender.ingestion.attempt import query_of, redeliveries
from provender.ingestion.features import desired_versions
from provender.ingestion.slices import slices_of
from provender.intervals import iso
from provender.spark.failures import spark_failures
from provender.spark.session import spark_session, tune_for
from provender.specs.source import CREATED_TIMESTAMP, EVENT_TIMESTAMP
from provender.tables.tables import DELETED, raw_table
from provender.tables.types import quoted


def states_by_sql(task: Task, version: Version, raw_version: int | None, reference: Recorder) -> list[State]:
    """Run the table's SQL on every slice of the version's period, as an ingest does. Raises what an ingest raises."""
    table = raw_table(task.storage, task.source)
    query = query_of(task.catalog, task.source, task.table)
    with (
        spark_session(task.settings, task.attempt) as spark,
        spark_failures(f"computing {task.source.name}.{task.table.name}", table.uri),
    ):
        tune_for(spark, 0)
        reader = spark.read.format("delta")
        reader = reader if raw_version is None else reader.option("versionAsOf", str(raw_version))
        raw = reader.load(table.spark_path).where(F.col("_period") == _moment(version.period))
        again = [
            each
            for each in redeliveries(task.source, task.facts.ingested(reference.recorded))
            if version.period <= each.partition <= version.period + task.source.lateness
        ]
        slices = slices_of(raw, task.source.lateness, again)
        desired = desired_versions(task.source, task.table, query, raw, slices)
        desired = desired.where(F.col(EVENT_TIMESTAMP) == _moment(version.event))
        for name, value in task.keys.items():
            desired = desired.where(
                F.col(quoted(name)) == (_moment(value) if isinstance(value, datetime) else F.lit(value))
            )
        micros = F.unix_micros(CREATED_TIMESTAMP).alias("created")
        found = desired.select(micros, DELETED, F.col(quoted(task.column)).alias("value")).toArrow()
    return _read_states(found)


def _read_states(found: pa.Table) -> list[State]:
    created = found.column("created").cast(pa.timestamp("us", "UTC")).to_pylist()
    gone, values = found.column(DELETED).to_pylist(), found.column("value").to_pylist()
    states = [State(c, g, None if g else v) for c, g, v in zip(created, gone, values, strict=True)]
    return sorted(states, key=lambda state: state.created or FIRST)


def _moment(moment: datetime) -> Any:
    return F.lit(iso(moment)).cast("timestamp")

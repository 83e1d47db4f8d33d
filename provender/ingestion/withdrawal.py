"""A guard on what a redelivery may take back.

A file that was cut, or that holds another day or another customer, is a delivery like any other, and the rows it lacks
would vanish offline and online. So one that would take back more than a share of a partition's rows stops before
anything is written, until somebody lets it through.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce

from pyspark.sql import Column as Expr
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from provender.errors import WithdrawalError
from provender.ingestion.attempt import Attempt
from provender.intervals import Partition, compress, iso
from provender.ledger.records import IngestedPartition
from provender.spark.failures import spark_failures
from provender.specs.source import Source, Violations
from provender.tables.tables import raw_table
from provender.tables.types import quoted

_DEFAULT_SHARE = 0.5
_DEFAULT_MIN_ROWS = 10
"""A handful of rows is a correction, whatever its share; a share that a spec names itself holds from one row on."""
_SHOWN = 3

Withdrawn = dict[str, dict[str, int]]
"""Per partition key ``rows`` that would be taken back, ``of`` how many."""


def refuse_withdrawal(
    work: Attempt,
    spark: SparkSession,
    rows: DataFrame,
    done: Mapping[str, IngestedPartition],
    *,
    allowed: bool,
) -> Withdrawn:
    """Check how much of what the redelivered partitions of ``work`` had is not in ``rows`` any more.

    ``rows`` are the checked rows of all staged partitions (:func:`provender.ingestion.checked_rows.checked_rows`),
    ``done`` is how each partition was ingested last. Taken back is an accepted raw row whose entity keys and event
    timestamp no accepted row has any more. Partitions that an attempt died with passed the guard then.

    Returns the partitions past ``violations.max_withdrawn_share``; raises :class:`WithdrawalError` for them unless
    ``allowed``. Reads the raw rows of redelivered partitions, and nothing where there are none.
    """
    share, least = _limits(work.source.violations)
    keys = [
        key
        for key in work.staged
        if _is_redelivered(work, key, done.get(key)) and done[key].accepted >= least
    ]
    table = raw_table(work.storage, work.source)
    if not keys or not table.exists():
        return {}
    with spark_failures("comparing with what was there", table.uri):
        compared = _compared(work, table.read(spark), rows, keys)
        counted = {
            key: {"rows": lost, "of": had}
            for key, lost, had in _counts(work, compared)
            if lost >= least and lost / had > share
        }
        if counted and not allowed:
            raise _refusal(work, compared, counted, share)
    return counted


def withdrawal_notes(withdrawn: Withdrawn) -> list[str]:
    """A sentence for each partition that was let through."""
    return [
        f"{key}: {found['rows']} of {found['of']} rows were taken back, as it was allowed"
        for key, found in withdrawn.items()
    ]


def _limits(violations: Violations) -> tuple[float, int]:
    if violations.max_withdrawn_share is None:
        return _DEFAULT_SHARE, _DEFAULT_MIN_ROWS
    return violations.max_withdrawn_share, 1


def _is_redelivered(work: Attempt, key: str, done: IngestedPartition | None) -> bool:
    """Other bytes than were ingested; what a change of the spec takes back is meant."""
    is_left = Partition.parse(work.source.cadence, key) in work.resumed
    return done is not None and not is_left and done.content != work.staged[key].content


def _compared(work: Attempt, stored: DataFrame, rows: DataFrame, keys: list[str]) -> DataFrame:
    """The partitions' rows as they are in the raw table: ``_partition``, their identity, ``_lost`` (boolean)."""
    starts = [F.lit(iso(Partition.parse(work.source.cadence, key).start)).cast("timestamp") for key in keys]
    identity = [name for name in _identity(work.source) if name in stored.columns]
    had = stored.where(F.col("_partition").isin(*starts)).select("_partition", *map(quoted, identity))
    accepted = rows.where(F.size("_reasons") == 0)
    there = accepted.select(
        *[F.col(quoted(name)).alias(_now(at)) for at, name in enumerate(identity)],
        F.lit(True).alias("_there"),
    ).distinct()
    same: list[Expr] = [F.col(quoted(name)).eqNullSafe(F.col(_now(at))) for at, name in enumerate(identity)]
    joined = had.join(there, reduce(lambda one, other: one & other, same), "left")
    return joined.withColumn("_lost", F.col("_there").isNull()).select(
        "_partition", *map(quoted, identity), "_lost"
    )


def _now(at: int) -> str:
    return f"_now_{at}"


def _identity(source: Source) -> list[str]:
    """The key columns that are raw columns, and the event timestamp."""
    columns = {column.name for column in source.columns}
    keys = dict.fromkeys(key for table in source.tables for key in table.keys if key in columns)
    return [*keys, "_event"]


def _counts(work: Attempt, compared: DataFrame) -> list[tuple[str, int, int]]:
    """Per partition key how many rows are lost, of how many."""
    grouped = compared.groupBy(F.unix_micros("_partition").alias("start")).agg(
        F.count_if("_lost").alias("lost"), F.count("*").alias("had")
    )
    found = {row["start"]: (row["lost"], row["had"]) for row in grouped.collect()}
    by_start = {int(partition.start.timestamp() * 1e6): partition.key for partition in work.partitions}
    return sorted((by_start[start], lost, had) for start, (lost, had) in found.items())


def _shown(name: str, kind: str) -> Expr:
    """A time as Spark writes it, in the session's UTC: collected, it would be in this machine's zone."""
    column = F.col(quoted(name))
    return column.cast("string").alias(name) if kind == "timestamp" else column


def _refusal(work: Attempt, compared: DataFrame, counted: Withdrawn, share: float) -> WithdrawalError:
    lines = [f"{key}: {found['rows']} of {found['of']} rows" for key, found in list(counted.items())[:10]]
    more = f"\n    and {len(counted) - 10} more partitions" if len(counted) > 10 else ""
    partitions = [Partition.parse(work.source.cadence, key) for key in counted]
    starts = [F.lit(iso(partition.start)).cast("timestamp") for partition in partitions]
    lost = compared.where(F.col("_lost") & F.col("_partition").isin(*starts)).drop("_lost", "_partition")
    first_lost = lost.orderBy(*map(quoted, lost.columns)).limit(_SHOWN)
    examples = [
        ", ".join(f"{'at' if name == '_event' else name} {value}" for name, value in row.asDict().items())
        for row in first_lost.select(*[_shown(name, kind) for name, kind in lost.dtypes]).collect()
    ]
    name, (first, last) = work.source.name, compress(partitions)[0]
    asked = first.key if first == last else f"{first.key}..{last.key}"
    return WithdrawalError(
        f"{name}: the new delivery would take back more than {share:.0%} of the rows that were accepted before\n    "
        + "\n    ".join(lines)
        + more
        + "\n  first examples:\n    "
        + "\n    ".join(examples),
        where=", ".join(work.storage.uri(work.staged[key].folder) for key in list(counted)[:3]),
        not_affected="every table and the online store: nothing of this attempt was written",
        remedy=f"deliver the whole of {asked} again; or, if the rows are to go: provender ingest {name} {asked} "
        "--allow-withdrawal (in Airflow: trigger the DAG for it with allow_withdrawal; of a DataFrame: "
        f"allow_withdrawal=True); to allow more always, set violations.max_withdrawn_share in sources/{name}.yaml",
        source=name,
        partitions=tuple(counted),
        withdrawn={key: int(found["rows"]) for key, found in counted.items()},
    )

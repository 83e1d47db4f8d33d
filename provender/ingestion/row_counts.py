"""Counts for manifests, messages and metrics."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from provender.ingestion import version_diff
from provender.intervals import Partition, iso
from provender.ledger.records import IngestedPartition
from provender.specs.source import Source

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
OUTCOMES = (version_diff.NEW, version_diff.CORRECTED, version_diff.WITHDRAWN, version_diff.UNCHANGED)

COUNTS = ("staged", "accepted", "quarantined", *OUTCOMES)
"""What a manifest of an ingest counts."""

BEFORE_START = "before_start"
"""Accepted rows of periods before the source's ``start``: kept in the raw table, and in no feature."""

ONLY_IF_ANY = (BEFORE_START, version_diff.NULL_KEYS)
"""What a manifest counts besides, where there is any."""


@dataclass(frozen=True)
class Tally:
    """``partitions``: per key ``staged``, ``accepted``, ``quarantined``, ``reasons`` (rows by reason) and, if there are
    any, ``before_start``."""

    partitions: dict[str, dict[str, Any]]
    periods: set[Partition]
    """The periods that accepted rows belong to, from the source's first one on."""

    @property
    def accepted(self) -> int:
        return sum(entry["accepted"] for entry in self.partitions.values())

    @property
    def quarantined(self) -> int:
        return sum(entry["quarantined"] for entry in self.partitions.values())

    @property
    def before_start(self) -> int:
        return sum(entry.get(BEFORE_START, 0) for entry in self.partitions.values())


def count(rows: DataFrame, source: Source, staged: dict[str, Any]) -> Tally:
    """Counts checked rows (:func:`provender.ingestion.checked_rows.checked_rows`) by partition, period and reasons."""
    accepted = F.size("_reasons") == 0
    grouped = rows.groupBy(
        F.unix_micros("_partition").alias("partition"),
        F.when(accepted, F.unix_micros("_period")).alias("period"),
        "_reasons",
    ).count()
    entries: dict[str, dict[str, Any]] = {
        key: {"staged": 0, "accepted": 0, "quarantined": 0, "reasons": Counter()} for key in sorted(staged)
    }
    periods = set()
    for row in grouped.collect():
        entry = entries[_partition(source, row["partition"]).key]
        entry["staged"] += row["count"]
        entry["quarantined" if row["_reasons"] else "accepted"] += row["count"]
        for reason in row["_reasons"]:
            entry["reasons"][reason] += row["count"]
        if row["period"] is None:
            continue
        period = _partition(source, row["period"])
        if period >= source.first_partition:
            periods.add(period)
        else:
            entry[BEFORE_START] = entry.get(BEFORE_START, 0) + row["count"]
    for entry in entries.values():
        entry["reasons"] = dict(sorted(entry["reasons"].items()))
    return Tally(entries, periods)


def examples(rows: DataFrame, source: Source, keys: list[str], limit: int = 3) -> list[Any]:
    """The first quarantined rows of the partitions ``keys``: ``_reasons``, ``_raw``, ``_file``."""
    starts = [F.lit(iso(Partition.parse(source.cadence, key).start)).cast("timestamp") for key in keys]
    broken = rows.where((F.size("_reasons") > 0) & F.col("_partition").isin(*starts))
    return broken.select("_reasons", "_raw", "_file").limit(limit).collect()


def outcomes(changes: DataFrame, source: Source) -> dict[Partition, dict[str, int]]:
    """Per period the outcomes of :func:`provender.ingestion.version_diff.difference` (``null_keys`` if there are
    any), and ``appended`` versions."""
    counted = version_diff.outcomes(changes).withColumn("period", F.unix_micros("period"))
    found = {}
    for row in counted.collect():
        counts = {name: row[name] for name in (*OUTCOMES, "appended")}
        if row[version_diff.NULL_KEYS]:
            counts[version_diff.NULL_KEYS] = row[version_diff.NULL_KEYS]
        found[_partition(source, row["period"])] = counts
    return found


def by_partition(
    features: dict[str, dict[Partition, dict[str, int]]], partitions: list[Partition]
) -> dict[str, dict[str, dict[str, int]]]:
    """Outcomes per partition key and table. A period counts for its own partition if the attempt has it, else for
    the first one after it, which brought its late rows."""
    placed = {p.key: {table: dict.fromkeys(OUTCOMES, 0) for table in features} for p in partitions}
    for table, periods in features.items():
        for period, counts in periods.items():
            owner = next((p for p in partitions if p >= period), partitions[-1])
            entry = placed[owner.key][table]
            for name, number in counts.items():
                entry[name] = entry.get(name, 0) + number
    return placed


def totals(partitions: dict[str, IngestedPartition]) -> dict[str, int]:
    """Sums over partitions (and tables): staged, accepted, quarantined, new, corrected, withdrawn, unchanged, and
    before_start and null_keys where there are any."""
    sums: Counter[str] = Counter()
    for entry in partitions.values():
        for name in ("staged", "accepted", "quarantined", BEFORE_START):
            sums[name] += getattr(entry, name)
        for counts in entry.features.values():
            sums.update(counts)
    return {name: sums[name] for name in COUNTS} | {name: sums[name] for name in ONLY_IF_ANY if sums[name]}


def _partition(source: Source, micros: int) -> Partition:
    return Partition.holding(source.cadence, _EPOCH + timedelta(microseconds=micros))

"""Which engine does a point-in-time join: DuckDB in this process while the rows fit it, Spark above.

Both read the same Delta files and give the same answer. The size is told by Delta's statistics, before anything is
read: entity rows, and for each view the versions in the files that its ttl, the entity rows' times and the recorded
bound leave.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import yaml

from provender.errors import SettingsError
from provender.point_in_time.engine import Lookup, bounds_of, join, micros
from provender.settings import SETTINGS_FILE, Settings

if TYPE_CHECKING:
    from provender.spark.join.run import SparkJoin

DUCKDB_ROWS = 20_000_000
"""Up to so many rows DuckDB is faster and fits a laptop's memory: see ``docs/semantics.md``."""


class Engine(StrEnum):
    """Who does the work."""

    AUTO = "auto"
    DUCKDB = "duckdb"
    SPARK = "spark"


@dataclass(frozen=True)
class Choice:
    """What a section of ``feature_store.yaml`` says about it."""

    engine: Engine = Engine.AUTO
    duckdb_rows: int = DUCKDB_ROWS

    def made(self, rows: int) -> Engine:
        """DuckDB or Spark, for work on ``rows``."""
        if self.engine is not Engine.AUTO:
            return self.engine
        return Engine.DUCKDB if rows <= self.duckdb_rows else Engine.SPARK


def choice_of(settings: Settings, section: str, duckdb_rows: int) -> Choice:
    """``engine`` and ``duckdb_rows`` of a section of ``feature_store.yaml``; default: by size, up to ``duckdb_rows``.

    Raises :class:`SettingsError`.
    """
    given = section_of(settings, section)
    try:
        return Choice(Engine(given.get("engine", Engine.AUTO)), int(given.get("duckdb_rows", duckdb_rows)))
    except (TypeError, ValueError) as error:
        raise SettingsError(
            f"{section}: {error}",
            where=str(settings.repo / SETTINGS_FILE),
            not_affected="everything",
            remedy=f"engine: one of {', '.join(Engine)}; duckdb_rows: a whole number",
        ) from error


def section_of(settings: Settings, name: str) -> dict[str, Any]:
    """A section of Feast's in ``feature_store.yaml``; empty if there is none, or only a name."""
    document = yaml.safe_load((settings.repo / SETTINGS_FILE).read_text(encoding="utf-8"))
    given = document.get(name)
    return given if isinstance(given, dict) else {}


def rows_to_read(entities: pa.Table, timestamp_column: str, lookups: Sequence[Lookup]) -> int:
    """At most how many rows a join has to read. Raises :class:`LogNotFoundError`."""
    moments = micros(entities.column(timestamp_column))
    bounds = [bounds_of(lookup, moments) for lookup in lookups]
    return len(entities) + sum(
        lookup.log.rows(bound) for lookup, bound in zip(lookups, bounds, strict=True) if bound is not None
    )


@dataclass(frozen=True)
class Work:
    """A point-in-time join of entity rows that are here, to be done by the engine that is chosen."""

    settings: Settings
    entities: pa.Table
    timestamp_column: str
    lookups: list[Lookup]
    filter_by_created_timestamp: bool = False
    choice: Choice = Choice()

    @cached_property
    def engine(self) -> Engine:
        """DuckDB or Spark. Raises :class:`LogNotFoundError`."""
        return self.choice.made(rows_to_read(self.entities, self.timestamp_column, self.lookups))

    def done(self) -> pa.Table:
        """What :func:`provender.point_in_time.engine.join` gives. Raises Spark's errors in addition."""
        if self.engine is Engine.DUCKDB:
            known = self.filter_by_created_timestamp
            return join(self.entities, self.timestamp_column, self.lookups, filter_by_created_timestamp=known)
        found = self.on_spark().to_arrow()
        names = [*self.entities.column_names, *found.column_names]
        return pa.table([*self.entities.columns, *found.columns], names=names)

    def on_spark(self) -> SparkJoin:
        """The same on Spark, whoever is chosen."""
        from provender.spark.join.run import SparkJoin  # Spark takes a second to import

        return SparkJoin(
            self.settings,
            lambda: [self.entities],
            self.timestamp_column,
            self.lookups,
            self.filter_by_created_timestamp,
        )

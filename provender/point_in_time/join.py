"""A point-in-time join of entity rows that are here: DuckDB in this process while the rows fit it, Spark above.

Both read the same Delta files and give the same answer. The size is told by Delta's statistics, before anything is
read: entity rows, and for each view the versions in the files that its ttl, the entity rows' times and the recorded
bound leave.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import pyarrow as pa

from provender.engine_settings import Engine, EngineChoice
from provender.point_in_time.duckdb_join import Lookup, bounds_of, join, micros
from provender.settings import Settings

if TYPE_CHECKING:
    from provender.point_in_time.spark.run import SparkJoin


def count_rows_to_read(entities: pa.Table, timestamp_column: str, lookups: Sequence[Lookup]) -> int:
    """Return at most how many rows a join has to read. Raises :class:`LogNotFoundError`."""
    moments = micros(entities.column(timestamp_column))
    bounds = [bounds_of(lookup, moments) for lookup in lookups]
    return len(entities) + sum(
        lookup.log.rows(bound) for lookup, bound in zip(lookups, bounds, strict=True) if bound is not None
    )


@dataclass(frozen=True)
class PointInTimeJoin:
    """Entity rows and the logs to look them up in, to be joined by the engine that ``choice`` gives."""

    settings: Settings
    entities: pa.Table
    timestamp_column: str
    lookups: list[Lookup]
    filter_by_created_timestamp: bool = False
    choice: EngineChoice = field(default_factory=EngineChoice)

    @cached_property
    def engine(self) -> Engine:
        """DuckDB or Spark. Raises :class:`LogNotFoundError`."""
        return self.choice.engine_for(count_rows_to_read(self.entities, self.timestamp_column, self.lookups))

    def run(self) -> pa.Table:
        """Join, and return what :func:`provender.point_in_time.duckdb_join.join` gives. Raises Spark's errors too."""
        if self.engine is Engine.DUCKDB:
            known = self.filter_by_created_timestamp
            return join(self.entities, self.timestamp_column, self.lookups, filter_by_created_timestamp=known)
        found = self.on_spark().to_arrow()
        names = [*self.entities.column_names, *found.column_names]
        return pa.table([*self.entities.columns, *found.columns], names=names)

    def on_spark(self) -> SparkJoin:
        """Return the same join for Spark, whichever engine is chosen."""
        from provender.point_in_time.spark.run import SparkJoin  # Spark takes a second to import

        return SparkJoin(
            self.settings,
            lambda: [self.entities],
            self.timestamp_column,
            self.lookups,
            self.filter_by_created_timestamp,
        )

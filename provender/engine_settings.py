"""Which engine does a piece of work: the ``offline_store`` and ``batch_engine`` sections of ``feature_store.yaml``."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

JOIN_DUCKDB_ROWS = 20_000_000
"""Up to so many rows DuckDB joins faster and fits a laptop's memory: see ``docs/semantics.md``."""
WRITE_DUCKDB_ROWS = 10_000_000
"""Up to so many versions that are due this process writes: see ``docs/operations.md``."""


class Engine(StrEnum):
    """Who does the work."""

    AUTO = "auto"
    DUCKDB = "duckdb"
    SPARK = "spark"


class EngineChoice(BaseModel):
    """How the engine of a point-in-time join is chosen: Feast's section ``offline_store``."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    engine: Engine = Engine.AUTO
    """``auto``: DuckDB up to ``duckdb_rows``, Spark above; ``duckdb`` or ``spark``: always that one."""
    duckdb_rows: int = Field(default=JOIN_DUCKDB_ROWS, ge=0)
    """Rows that the work may have to read, by Delta's statistics."""

    def engine_for(self, rows: int) -> Engine:
        """Return DuckDB or Spark, for work on ``rows``."""
        if self.engine is not Engine.AUTO:
            return self.engine
        return Engine.DUCKDB if rows <= self.duckdb_rows else Engine.SPARK


class BatchEngineSettings(EngineChoice):
    """How views are written to the online store: Feast's section ``batch_engine``."""

    duckdb_rows: int = Field(default=WRITE_DUCKDB_ROWS, ge=0)
    """Versions that are due, by Delta's statistics: up to so many this process writes, Spark above."""
    rows_per_second: float | None = Field(default=None, gt=0)
    """At most so many rows go online in a second, for the sake of readers. Default: no limit."""
    allow_eviction: bool = False
    """Whether an online store that may evict values is accepted, with a warning."""

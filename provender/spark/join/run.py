"""Running the join: entity rows staged as a file, the answer written as files, nothing of either on Spark's driver."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession

from provender.point_in_time.engine import Lookup
from provender.settings import Settings
from provender.spark.failures import spark_failures
from provender.spark.join.entities import StagedRows, stage_rows
from provender.spark.join.plan import join
from provender.spark.session import spark_session
from provender.storage import Storage, spark_path, storage_at

FOLDER = "retrievals"
"""Where entity rows and answers lie while somebody needs them, under the storage root."""


@dataclass(frozen=True)
class SparkJoin:
    """A point-in-time join that was asked for and not run yet."""

    settings: Settings
    batches: Callable[[], Iterable[pa.Table]]
    """The entity rows, in their order; at least one batch."""
    timestamp_column: str
    lookups: Sequence[Lookup]
    filter_by_created_timestamp: bool = False
    name: str = field(default_factory=lambda: f"{FOLDER}/{secrets.token_hex(8)}")

    @property
    def storage(self) -> Storage:
        return storage_at(self.settings.storage_root)

    def outputs(self) -> dict[str, pa.DataType]:
        """The output columns, in order, with the logs' types."""
        return {o: lk.log.schema.field(c).type for lk in self.lookups for o, c in lk.features.items()}

    def to_arrow(self) -> pa.Table:
        """The output columns for every entity row, in their order.

        Raises :class:`TerminalError`, :class:`SparkUnavailableError`, :class:`SparkJobError`.
        """
        with self._cleaned(), self.frame(carry=False) as frame:
            with self._translated():
                frame.write.parquet(spark_path(self.storage.uri(f"{self.name}/answer")))
            return self._read_answer()

    @contextmanager
    def frame(self, *, carry: bool) -> Iterator[DataFrame]:
        """The answer as a frame of a Spark session that lives as long as the block: ``row``, ``c…``, ``o…``."""
        rows = self.stage(carry=carry)
        with spark_session(self.settings, self.name) as spark:
            yield self.plan(spark, rows)

    def stage(self, *, carry: bool) -> StagedRows:
        """Writes the entity rows to where Spark reads them."""
        path = f"{self.name}/entities.parquet"
        return stage_rows(
            self.storage, path, self.batches(), self.timestamp_column, self.lookups, carry=carry
        )

    def plan(self, spark: SparkSession, rows: StagedRows) -> DataFrame:
        """:func:`join` over staged rows."""
        with self._translated():
            return join(
                spark, rows, self.lookups, filter_by_created_timestamp=self.filter_by_created_timestamp
            )

    def _read_answer(self) -> pa.Table:
        folder = f"{self.name}/answer"
        names = [name for name in self.storage.names(folder) if name.endswith(".parquet")]
        parts = []
        for name in names:
            with self.storage.open(f"{folder}/{name}") as file:
                parts.append(pq.read_table(file))
        found = pa.concat_tables(parts).sort_by("row").drop_columns(["row"])
        wanted = self.outputs()
        columns = [c.cast(kind) for c, kind in zip(found.columns, wanted.values(), strict=True)]
        return pa.table(columns, names=list(wanted))

    def clean(self) -> None:
        """Removes what was staged and written."""
        self.storage.delete_tree(self.name) if self.storage.exists(self.name) else None

    @contextmanager
    def _cleaned(self) -> Iterator[None]:
        try:
            yield
        finally:
            self.clean()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        with spark_failures("joining features to entity rows", self.settings.storage_root):
            yield

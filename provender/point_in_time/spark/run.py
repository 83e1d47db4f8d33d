"""Running the join: entity rows staged as a file, the answer written as files, nothing of either on Spark's driver.

Frames that are handed out live as long as the process, with their session and the files they read: a frame made from
such a frame knows its session and nothing else of where it came from, so no sooner end is safe. All frames of a
feature repo share one session, and keep the local engine up.
"""

from __future__ import annotations

import atexit
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from threading import Lock

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from provender.point_in_time.duckdb_join import Lookup
from provender.point_in_time.spark.inputs import StagedRows, stage_rows
from provender.point_in_time.spark.plan import join
from provender.settings import Settings
from provender.spark import server
from provender.spark.failures import spark_failures
from provender.spark.session import spark_session
from provender.storage import Storage, spark_path, storage_at
from provender.storage.retrievals import new_retrieval
from provender.tables.types import quoted

_sessions: dict[tuple[str, str | None], tuple[SparkSession, server.Address | None]] = {}
_one_at_a_time = Lock()


def lasting_session(settings: Settings) -> SparkSession:
    """The process's session for frames of this repo; a new one where its engine has ended.

    Raises :class:`SparkUnavailableError`.
    """
    key = (str(settings.repo), settings.spark.remote)
    with _one_at_a_time:
        session, engine = _sessions.get(key, (None, None))
        if session is None or (engine is not None and server.running(settings) != engine):
            stack = ExitStack()
            session = stack.enter_context(spark_session(settings, f"frames-{secrets.token_hex(8)}"))
            atexit.register(_end, session, stack)
            _sessions[key] = session, _engine(settings)
        return session


def _engine(settings: Settings) -> server.Address | None:
    is_ours = settings.spark.backend == "local" and not settings.spark.remote
    return server.running(settings) if is_ours else None


def _end(session: SparkSession, stack: ExitStack) -> None:
    # The engine may be gone by now, and asking it to release the session would be tried for minutes.
    session.release_session_on_close = False  # type: ignore[attr-defined]
    stack.close()


def keep_until_exit(settings: Settings, path: str) -> None:
    """Has ``path`` of the storage removed when the process ends."""
    atexit.register(storage_at(settings.storage_root).delete_tree, path)


@dataclass(frozen=True)
class SparkJoin:
    """A point-in-time join that was asked for and not run yet."""

    settings: Settings
    batches: Callable[[], Iterable[pa.Table]]
    """The entity rows, in their order; at least one batch."""
    timestamp_column: str
    lookups: Sequence[Lookup]
    filter_by_created_timestamp: bool = False
    name: str = field(default_factory=new_retrieval)

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
        try:
            with self.frame(carry=False) as frame:
                self._write(frame)
            return self._read_answer()
        finally:
            self.clean()

    def to_frame(self) -> DataFrame:
        """The entity rows' columns and the output columns, in no order; planned, not run. Usable until the process
        ends, and so are the staged rows."""
        keep_until_exit(self.settings, self.name)
        rows, names = self._carrying()
        return _named(self.plan(lasting_session(self.settings), rows), [*names, *self.outputs()])

    def to_files(self) -> list[str]:
        """The URIs of Parquet files with the entity rows' columns and the output columns, in no order. They stay."""
        rows, names = self._carrying()
        with spark_session(self.settings, self.name) as spark:
            self._write(_named(self.plan(spark, rows), [*names, *self.outputs()]))
        self.storage.delete_tree(self._entities)
        return [self.storage.uri(path) for path in self._answers()]

    @contextmanager
    def frame(self, *, carry: bool) -> Iterator[DataFrame]:
        """The answer as a frame of a session that lives as long as the block: ``row``, ``c0``…, ``o0``…."""
        rows = self.stage(carry=carry)
        with spark_session(self.settings, self.name) as spark:
            yield self.plan(spark, rows)

    def stage(self, *, carry: bool) -> StagedRows:
        """Writes the entity rows to where Spark reads them."""
        return stage_rows(
            self.storage, self._entities, self.batches(), self.timestamp_column, self.lookups, carry=carry
        )

    def plan(self, spark: SparkSession, rows: StagedRows) -> DataFrame:
        """:func:`provender.point_in_time.spark.plan.join` over staged rows."""
        with self._translated():
            return join(
                spark, rows, self.lookups, filter_by_created_timestamp=self.filter_by_created_timestamp
            )

    def clean(self) -> None:
        """Removes what was staged and written."""
        self.storage.delete_tree(self.name)

    @property
    def _entities(self) -> str:
        return f"{self.name}/entities.parquet"

    def _carrying(self) -> tuple[StagedRows, list[str]]:
        """Staged rows with all their columns, and the names of these."""
        seen: list[str] = []

        def watched() -> Iterator[pa.Table]:
            for batch in self.batches():
                seen[:] = batch.column_names
                yield batch

        rows = stage_rows(
            self.storage, self._entities, watched(), self.timestamp_column, self.lookups, carry=True
        )
        return rows, seen

    def _write(self, frame: DataFrame) -> None:
        with self._translated():
            frame.write.parquet(spark_path(self.storage.uri(f"{self.name}/answer")))

    def _answers(self) -> list[str]:
        folder = f"{self.name}/answer"
        return [f"{folder}/{name}" for name in self.storage.names(folder) if name.endswith(".parquet")]

    def _read_answer(self) -> pa.Table:
        parts = []
        for path in self._answers():
            with self.storage.open(path) as file:
                parts.append(pq.read_table(file))
        found = pa.concat_tables(parts).sort_by("row").drop_columns(["row"])
        wanted = self.outputs()
        columns = [c.cast(kind) for c, kind in zip(found.columns, wanted.values(), strict=True)]
        return pa.table(columns, names=list(wanted))

    @contextmanager
    def _translated(self) -> Iterator[None]:
        with spark_failures("joining features to entity rows", self.settings.storage_root):
            yield


def frame_of(settings: Settings, table: pa.Table) -> DataFrame:
    """A table that is here already, as a frame of Spark's, usable until the process ends."""
    name = new_retrieval()
    keep_until_exit(settings, name)
    uri = write_table(storage_at(settings.storage_root), name, table)
    frame: DataFrame = lasting_session(settings).read.parquet(spark_path(uri))
    return frame


def write_table(storage: Storage, name: str, table: pa.Table) -> str:
    """The URI of a Parquet file with the table, as Spark can read it."""
    path = f"{name}/answer/part-0.parquet"
    with storage.writing(path) as file:
        pq.write_table(table, file, coerce_timestamps="us", allow_truncated_timestamps=True)
    return storage.uri(path)


def _named(frame: DataFrame, names: Sequence[str]) -> DataFrame:
    """The frame without ``row``, under the names that users know."""
    inner = [column for column in frame.columns if column != "row"]
    return frame.select(*[F.col(quoted(c)).alias(name) for c, name in zip(inner, names, strict=True)])

"""Delta tables by URI: created, checked against the spec, written once per attempt.

Every write carries Delta's transaction id, ``(app id, version)``, where the version grows with every attempt:
a write of an attempt that was given up cannot land after a later attempt's. Delta passes over a write whose version is
not above the last one, and says nothing: so every write is looked for in the log afterwards, with its rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import deltalake
from pyspark.sql import DataFrame, SparkSession

from provender.errors import SchemaChangeError, StorageError
from provender.specs.source import (
    CREATED_TIMESTAMP,
    EVENT_TIMESTAMP,
    FeatureTable,
    Source,
)
from provender.storage import Storage, spark_path
from provender.storage.readers import delta_options
from provender.tables.delta_log import Commit, DeltaLogFiles
from provender.tables.types import DDL, quoted

RECORDED_TIMESTAMP = "recorded_timestamp"
DELETED = "deleted"
PERIOD = "period"

_PROPERTIES = {
    # Readers other than Spark open these tables: nothing that needs a newer reader.
    "delta.enableDeletionVectors": "false",
    "delta.checkpointInterval": "50",
}


@dataclass(frozen=True)
class Transaction:
    """Delta's transaction id of one attempt's write to one table."""

    app_id: str
    version: int

    @property
    def options(self) -> dict[str, str]:
        """Writer options."""
        return {"txnAppId": self.app_id, "txnVersion": str(self.version)}


@dataclass(frozen=True)
class DeltaTable:
    """A table of the platform: where it is and which columns it has (name to Spark type)."""

    storage: Storage
    path: str
    columns: dict[str, str]

    @property
    def uri(self) -> str:
        return self.storage.uri(self.path)

    @property
    def spark_path(self) -> str:
        """The same for Spark."""
        return spark_path(self.uri)

    @property
    def log(self) -> DeltaLogFiles:
        """Its log as files."""
        return DeltaLogFiles(self.storage, self.path)

    def exists(self) -> bool:
        """Whether it has a committed version."""
        return self.log.newest() is not None

    def last_transaction(self, app_id: str) -> int | None:
        """The newest version that a transaction of ``app_id`` had here, committed manifest or not."""
        if not self.exists():
            return None
        opened = deltalake.DeltaTable(self.uri, storage_options=delta_options(self.uri))
        return opened.transaction_version(app_id)

    def read(self, spark: SparkSession) -> DataFrame:
        """All rows of the newest version."""
        return spark.read.format("delta").load(self.spark_path)

    def ensure(self, spark: SparkSession) -> None:
        """Creates the table, or adds the columns it lacks (as nullable).

        Raises :class:`SchemaChangeError` where a column has another type, :class:`StorageError` where Delta makes no
        table and says nothing.
        """
        if not self.exists():
            columns = ", ".join(f"{quoted(name)} {kind}" for name, kind in self.columns.items())
            properties = ", ".join(f"'{name}' = '{value}'" for name, value in _PROPERTIES.items())
            spark.sql(
                f"CREATE TABLE IF NOT EXISTS delta.{quoted(self.spark_path)} ({columns}) USING delta "
                f"TBLPROPERTIES ({properties})"
            ).collect()
            if not self.exists():
                raise self._lost("the table was not made: files of another attempt are in its place")
            return
        there = dict(self.read(spark).dtypes)
        self._refuse_other_types(there)
        missing = [f"{quoted(name)} {kind}" for name, kind in self.columns.items() if name not in there]
        if missing:
            spark.sql(
                f"ALTER TABLE delta.{quoted(self.spark_path)} ADD COLUMNS ({', '.join(missing)})"
            ).collect()

    def append(self, rows: DataFrame, where: str, transaction: Transaction, expected: int) -> Commit:
        """Appends ``rows`` in one commit, and finds it in the log with ``expected`` rows, those that ``where`` selects.

        Raises :class:`StorageError` if it is not there, or not with these rows.
        """
        before = self.log.newest()
        chosen = rows.select(*[quoted(name) for name in self.columns])
        chosen.write.format("delta").mode("append").options(**transaction.options).save(self.spark_path)
        return self._seen(rows.sparkSession, where, transaction, expected, before)

    def replace(self, rows: DataFrame, where: str, transaction: Transaction, expected: int) -> Commit:
        """Replaces the rows that ``where`` selects by ``rows`` in one commit, and finds it in the log with
        ``expected`` rows.

        Raises :class:`StorageError` if it is not there, or not with these rows.
        """
        before = self.log.newest()
        chosen = rows.select(*[quoted(name) for name in self.columns])
        writer = chosen.write.format("delta").mode("overwrite").option("replaceWhere", where)
        writer.options(**transaction.options).save(self.spark_path)
        return self._seen(rows.sparkSession, where, transaction, expected, before)

    def _seen(
        self, spark: SparkSession, where: str, transaction: Transaction, expected: int, before: int | None
    ) -> Commit:
        """The commit of one's own write."""
        commit = self.log.find(transaction.app_id, transaction.version, before)
        if commit is None:
            raise self._lost("a write is not in the table's log: Delta passed over it as an older one")
        found = commit.rows
        if found is None or (found != expected and not commit.rows_are_exact):
            found = self.read(spark).where(where).count()
        if found != expected:
            raise self._lost(f"version {commit.version} of the table holds {found} rows and not {expected}")
        return commit

    def _lost(self, what: str) -> StorageError:
        return StorageError(
            f"{self.path}: {what}",
            where=self.uri,
            not_affected="everything committed before; no manifest was committed",
            remedy="run the same command again; nobody else may write this table meanwhile",
        )

    def _refuse_other_types(self, there: dict[str, str]) -> None:
        changed = [f"{n}: {there[n]} → {k}" for n, k in self.columns.items() if n in there and there[n] != k]
        if changed:
            raise SchemaChangeError(
                f"the table has other column types than the spec: {', '.join(changed)}",
                where=self.uri,
                not_affected="the table as it was",
                remedy="keep the type, or give the feature a new name",
                columns=tuple(n for n, k in self.columns.items() if n in there and there[n] != k),
            )


def raw_table(storage: Storage, source: Source) -> DeltaTable:
    """``raw/<source>``: provenance first, since Delta keeps statistics of the first columns."""
    times = ("_partition", "_period", "_delivered", "_created", "_event")
    columns = dict.fromkeys(times, "timestamp") | {"_file": "string"}
    return DeltaTable(storage, f"raw/{source.name}", columns | {c.name: DDL[c.type] for c in source.columns})


def quarantine_table(storage: Storage, source: Source) -> DeltaTable:
    """``quarantine/<source>``: rows that broke the contract, as delivered, with the reasons."""
    columns = {"_partition": "timestamp", "_delivered": "timestamp", "_file": "string"}
    return DeltaTable(
        storage, f"quarantine/{source.name}", columns | {"reasons": "array<string>", "raw": "string"}
    )


def feature_table(storage: Storage, source: Source, table: FeatureTable) -> DeltaTable:
    """``tables/<source>/<table>``: the append-only log of versions."""
    columns = {
        PERIOD: "timestamp",
        EVENT_TIMESTAMP: "timestamp",
        CREATED_TIMESTAMP: "timestamp",
        RECORDED_TIMESTAMP: "timestamp",
        DELETED: "boolean",
    }
    return DeltaTable(
        storage,
        source.path_of(table),
        columns | key_types(source, table) | {f.name: DDL[f.type] for f in source.features_of(table)},
    )


def tables_of(storage: Storage, source: Source) -> list[DeltaTable]:
    """Every table of ``source``, made or not yet."""
    logs = [feature_table(storage, source, table) for table in source.tables]
    return [raw_table(storage, source), quarantine_table(storage, source), *logs]


def key_types(source: Source, table: FeatureTable) -> dict[str, str]:
    """Entity key columns and their Spark types."""
    return {key.name: DDL[key.type] for key in source.keys_of(table)}

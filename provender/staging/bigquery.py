"""A partition's rows out of BigQuery, exported by itself to the staging bucket as Parquet.

    dry run ─▶ the columns ─▶ EXPORT DATA … AS SELECT … ─▶ gs://…/part-*.parquet ─▶ staged like other raw files

One statement reads one snapshot and writes the files. What a query returns has no order, so that two exports of the
same rows are different bytes; whether the rows are the same is told by a fingerprint that does not depend on their
order, and the same rows are not staged again. Every job's id says what it does and for which attempt, so that an
attempt whose connection was cut finds its own job instead of paying for a second one.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from google.api_core.exceptions import BadRequest, NotFound
from google.cloud import bigquery

from provender.clients.bigquery import client, translated
from provender.clients.bigquery_jobs import run_once
from provender.errors import ContractError, SourceNotReadyError
from provender.intervals import Partition
from provender.settings import BigQuerySettings
from provender.specs.source import Source, SqlRaw
from provender.staging.bigquery_rows import Bounds, bounds, relation, selected
from provender.staging.connections import BigQueryConnection
from provender.staging.fingerprint import fingerprint
from provender.staging.raw_file import RawFile, find, local_file
from provender.staging.sql import describe
from provender.staging.sql_values import arrow_type
from provender.storage import storage_at

_FOLDER = "exports"
_NO_DATA_SET = "none"
"""Jobs name their tables themselves."""


@dataclass(frozen=True)
class Exported:
    """``files`` hold the partition's ``rows``, which ``fingerprint`` tells from others."""

    files: dict[str, RawFile]
    rows: int
    fingerprint: str
    without_time: int
    """Rows of the whole table, or query, whose time column is null, so that they belong to no partition."""


@contextmanager
def exported(
    connection: BigQueryConnection, source: Source, partition: Partition, attempt: str
) -> Iterator[Exported]:
    """The rows whose time column lies in the partition's ``[start, end)``; a partition without rows gives a file
    without rows. The files are removed when the block ends.

    Raises :class:`BigQueryError` if BigQuery does not answer or breaks a job off, :class:`SourceNotReadyError` if
    there is no such table (yet), :class:`ContractError` if it refuses the query or a column cannot be used,
    :class:`SettingsError` for what the account may not do.
    """
    export = _Export(connection, source, partition, attempt)
    with translated(export.where), export.refusals():
        without_time = export.without_time()
    try:
        with translated(export.where), export.refusals():
            found = export.run()
        with tempfile.TemporaryDirectory(prefix="provender-bigquery-") as folder:
            found = found or [export.no_rows(Path(folder))]
            yield Exported({file.name: file for file in found}, *fingerprint(found), without_time)
    finally:
        storage_at(connection.staging).delete_tree(export.folder)


@dataclass
class _Export:
    connection: BigQueryConnection
    source: Source
    partition: Partition
    attempt: str

    @property
    def _raw(self) -> SqlRaw:
        assert self.source.raw.sql is not None
        return self.source.raw.sql

    @property
    def where(self) -> str:
        return f"connection {self._raw.connection}, {describe(self._raw)}"

    @cached_property
    def _client(self) -> bigquery.Client:
        place = self.connection
        return client(BigQuerySettings(project=place.project, dataset=_NO_DATA_SET, location=place.location))

    @cached_property
    def _stem(self) -> str:
        """Of job ids: the same for the same attempt at the same question."""
        asked = repr([self.attempt, self._raw.model_dump(), self.connection, self._select])
        digest = hashlib.sha256(asked.encode()).hexdigest()[:20]
        return f"provender-stage-{self.source.name}-{self.partition.key}-{digest}"

    @property
    def folder(self) -> str:
        return f"{_FOLDER}/{self._stem}"

    @property
    def uri(self) -> str:
        return f"{self.connection.staging}/{self.folder}"

    @property
    def _relation(self) -> str:
        return relation(self._raw, self.connection.project)

    @cached_property
    def _schema(self) -> dict[str, str]:
        dry = bigquery.QueryJobConfig(dry_run=True, use_query_cache=False)
        fields = self._client.query(f"SELECT * FROM {self._relation}", job_config=dry).schema or []
        return {
            field.name: "ARRAY" if field.mode == "REPEATED" else str(field.field_type) for field in fields
        }

    @cached_property
    def _bounds(self) -> Bounds:
        return bounds(self.source, self.partition, self._schema, self.where)

    @cached_property
    def _select(self) -> str:
        columns = selected(self.source, self._schema)
        return f"SELECT {columns} FROM {self._relation} WHERE {self._bounds.condition}"

    def run(self) -> list[RawFile]:
        """The files with the rows as one moment had them."""
        pattern = f"{self.uri}/part-*.parquet"
        options = f"uri='{pattern}', format='PARQUET', compression='SNAPPY', overwrite=true"
        statement = f"EXPORT DATA OPTIONS({options}) AS {self._select}"
        self._run("export", statement, lambda: bool(find(pattern)))
        return find(pattern)

    def no_rows(self, folder: Path) -> RawFile:
        """A file for a partition without rows, should BigQuery have written none."""
        there = {name.lower() for name in self._schema}
        columns = [column for column in self.source.columns if column.name.lower() in there]
        path = folder / "part-000000000000.parquet"
        pq.write_table(pa.schema([(c.name, arrow_type(c.type)) for c in columns]).empty_table(), path)
        return local_file(path)

    def without_time(self) -> int:
        nulls = f"SELECT COUNT(*) FROM {self._relation} WHERE `{self._bounds.column}` IS NULL"
        job = self._run("count", nulls)
        ((count,),) = job.result()
        return int(count)

    def _run(self, step: str, sql: str, is_lasting: Callable[[], bool] = lambda: True) -> Any:
        return run_once(self._client, f"{self._stem}-{step}", partial(self._submit, sql), is_lasting)

    def _submit(self, sql: str, job_id: str) -> Any:
        config = bigquery.QueryJobConfig(use_query_cache=False)
        return self._client.query(sql, job_config=config, job_id=job_id, job_retry=None)

    @contextmanager
    def refusals(self) -> Iterator[None]:
        """What BigQuery says of the source's own table or query."""
        try:
            yield
        except NotFound as error:
            raise SourceNotReadyError(
                f"{self.source.name}: BigQuery does not find it: {_first_line(error)}",
                where=self.where,
                not_affected="what was staged before; nothing of this partition was staged",
                remedy="correct raw.sql and the connection, or wait until the table is there",
                source=self.source.name,
            ) from error
        except BadRequest as error:
            raise ContractError(
                f"{self.source.name}: BigQuery refuses the query: {_first_line(error)}",
                where=self.where,
                not_affected="what was staged before",
                remedy=f"correct raw.sql or the columns in sources/{self.source.name}.yaml",
                source=self.source.name,
            ) from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]

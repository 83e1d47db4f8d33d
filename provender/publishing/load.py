"""Parquet files of a log into a staging table, by BigQuery itself.

On a ``gs://`` root the log's own files are loaded where they lie. On another one they are copied to
``provender.bigquery.staging`` first.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
from google.cloud import bigquery

from provender.clients import bigquery_jobs
from provender.errors import SettingsError
from provender.publishing import bigquery_tables
from provender.settings import BigQuerySettings, Settings
from provender.storage import storage_at
from provender.tables.feature_log import FeatureLog

MOST_FILES = 10_000
"""In one load job."""
_COPY_BYTES = 8 << 20


@dataclass(frozen=True)
class Load:
    """One staging table. ``key`` names what is in it, so that a later attempt finds and uses it."""

    client: bigquery.Client
    warehouse: BigQuerySettings
    settings: Settings
    key: str

    def run(self, log: FeatureLog, path: str, files: Sequence[str]) -> str:
        """Loads ``files`` (relative to the log, which is at ``path`` of the storage); the staging table's full name.

        Raises Google's errors, and :class:`SettingsError` where BigQuery has no way to the files.
        """
        uris = self._uris(log, path, files)
        schema = staged_schema(log.schema)
        staged = bigquery_tables.staging_table(self.client, self.warehouse, self.key, schema)
        for number, start in enumerate(range(0, len(uris), MOST_FILES)):
            config = load_config(schema, replaces=number == 0)
            submit = partial(self._submit, uris[start : start + MOST_FILES], staged.name, config)
            bigquery_jobs.run_once(self.client, f"{self.key}-{staged.stamp}-load-{number}", submit)
        return staged.name

    def forget(self) -> None:
        """Removes what was staged; what stays after a crash, BigQuery removes within a day."""
        self.client.delete_table(
            f"{self.warehouse.project}.{self.warehouse.dataset}.{self.key}", not_found_ok=True
        )
        if self.is_copied:
            storage_at(self.warehouse.staging).delete_tree(self.key)

    @property
    def is_copied(self) -> bool:
        return not self.settings.storage_root.startswith("gs://")

    def _submit(self, uris: list[str], staged: str, config: bigquery.LoadJobConfig, job_id: str) -> Any:
        return self.client.load_table_from_uri(uris, staged, job_id=job_id, job_config=config)

    def _uris(self, log: FeatureLog, path: str, files: Sequence[str]) -> list[str]:
        names = [unquote(file) for file in files]
        if not self.is_copied:
            return [f"{log.uri}/{name}" for name in names]
        if not self.warehouse.staging:
            raise SettingsError(
                "BigQuery cannot read files of this machine",
                where=self.settings.storage_root,
                not_affected="the published tables",
                remedy="set provender.bigquery.staging to a gs:// folder, or keep storage_root on gs://",
            )
        target, root = storage_at(self.warehouse.staging), storage_at(self.settings.storage_root)
        copies = [f"{self.key}/{number:06d}.parquet" for number in range(len(names))]
        for name, copy in zip(names, copies, strict=True):
            with root.open(f"{path}/{name}") as source, target.writing(copy) as file:
                shutil.copyfileobj(source, file, _COPY_BYTES)
        return [target.uri(copy) for copy in copies]


def staged_schema(log: pa.Schema) -> list[bigquery.SchemaField]:
    """The log's own columns, in its order."""
    return [bigquery_tables.field(field.name, _sql_type(field.type)) for field in log]


def load_config(schema: list[bigquery.SchemaField], *, replaces: bool) -> bigquery.LoadJobConfig:
    """Columns go by name. One that an old file lacks is null."""
    return bigquery.LoadJobConfig(
        source_format=bigquery.SourceFormat.PARQUET,
        schema=schema,
        write_disposition="WRITE_TRUNCATE" if replaces else "WRITE_APPEND",
        create_disposition="CREATE_IF_NEEDED",
        ignore_unknown_values=True,
    )


def _sql_type(kind: pa.DataType) -> str:
    if pa.types.is_integer(kind):
        return "INT64"
    if pa.types.is_floating(kind):
        return "FLOAT64"
    if pa.types.is_boolean(kind):
        return "BOOL"
    if pa.types.is_timestamp(kind):
        return "TIMESTAMP"
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
        return "BYTES"
    return "STRING"

"""A feature repo whose tables are published to the emulator, and the same definitions over Feast's BigQuery store."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from provender.ledger import Draft, Job, Kind, Ledger, Manifest
from provender.settings import Settings, load_settings
from provender.storage import Storage, storage_at
from tests.bigquery.emulator import PROJECT, Cloud
from tests.bigquery.wire import Wire
from tests.feast.conftest import SPEC, VIEWS
from tests.point_in_time.logs import at, schema

_NUMBERS = itertools.count(1)
SETTINGS = """
project: demo
provider: local
registry: {{registry_type: sql, path: "sqlite:///../state/registry.db"}}
online_store: {{type: redis, connection_string: "127.0.0.1:1"}}
offline_store: {{type: provender.feast.offline_store.ProvenderOfflineStore}}
entity_key_serialization_version: 3
provender:
  storage_root: {root}
  state_dir: ../state
  bigquery: {{project: {project}, dataset: {dataset}, location: US, staging: {staging}}}
"""
COLUMNS = schema({"driver_id": pa.int64()}, {"trips": pa.int32(), "rate": pa.float32(), "city": pa.string()})


@dataclass
class Warehouse:
    """The feature repo ``trips``, its bucket and its data set."""

    folder: Path
    cloud: Cloud
    wire: Wire
    dataset: str
    columns: pa.Schema = COLUMNS

    @property
    def repo(self) -> Path:
        return self.folder / "feature_defs"

    @property
    def settings(self) -> Settings:
        return load_settings(self.repo)

    @property
    def storage(self) -> Storage:
        return storage_at(self.settings.storage_root)

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.storage, "trips")

    def write(self, path: str, text: str) -> None:
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def ingest(self, *rows: dict[str, Any], recorded: float, commit: bool = True) -> None:
        """Appends versions to the log as one ingest recorded at that minute, and commits its manifest."""
        stamp = {"recorded_timestamp": at(recorded), "deleted": False}
        stamped = [stamp | {"period": row["event_timestamp"]} | row for row in rows]
        if stamped:
            table = pa.Table.from_pylist(stamped, self.columns)
            write_deltalake(str(self.log), table, mode="append", schema_mode="merge")
            self.mirror()
        if commit:
            self.ledger.commit(
                Draft(Job.INGEST, f"a{recorded}", Kind.MANIFEST, {}, datetime.now(UTC), at(recorded))
            )

    @property
    def log(self) -> Path:
        """The Delta table on this machine. (The GCS emulator has no way of Delta's writer to write.)"""
        return self.folder / "log"

    def files(self) -> list[str]:
        """Parquet files of the Delta table, oldest first."""
        found = sorted(self.log.glob("*.parquet"), key=lambda file: file.stat().st_mtime_ns)
        return [file.name for file in found]

    def mirror(self) -> None:
        """Makes the table in the storage what the one on this machine is."""
        for file in sorted(self.log.rglob("*")):
            path = f"tables/trips/trips/{file.relative_to(self.log)}"
            if file.is_file() and not self.storage.exists(path):
                with self.storage.writing(path) as copy:
                    copy.write(file.read_bytes())

    def publish(self, attempt: str = "one", **options: Any) -> Manifest:
        from provender.publishing.publish import publish

        return publish(self.settings, "trips", attempt, **options)

    def rows(
        self, columns: str = "driver_id, trips, event_timestamp, created_timestamp"
    ) -> list[tuple[Any, ...]]:
        """What is published, in order."""
        sql = f"SELECT {columns} FROM `{PROJECT}.{self.dataset}.trips` ORDER BY {columns}"
        return [tuple(row) for row in self.cloud.bigquery.client().query(sql).result()]

    def tables(self) -> list[str]:
        """Names of the tables in the data set."""
        return sorted(table.table_id for table in self.cloud.bigquery.client().list_tables(self.dataset))


def warehouse_in(folder: Path, cloud: Cloud, wire: Wire, root: str | None = None) -> Warehouse:
    """A new repo, bucket and data set; ``root``: where the storage is, by default in the bucket."""
    bucket, dataset = cloud.gcs.new_bucket(), f"features_{next(_NUMBERS)}"
    cloud.bigquery.client().create_dataset(dataset)
    made = Warehouse(folder, cloud, wire, dataset)
    settings = SETTINGS.format(
        root=root or f"gs://{bucket}/root", project=PROJECT, dataset=dataset, staging=f"gs://{bucket}/staging"
    )
    made.write("feature_defs/feature_store.yaml", settings)
    made.write("feature_defs/sources/trips.yaml", SPEC)
    made.write("feature_defs/views/trips_views.py", VIEWS)
    return made


@pytest.fixture
def wire(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    """Between every client and the emulator; what Google would refuse fails the test."""
    made = Wire(cloud.bigquery.port)
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", made.url)
    yield made
    made.close()
    assert made.refused == []


@pytest.fixture
def warehouse(tmp_path: Path, cloud: Cloud, wire: Wire) -> Warehouse:
    """A repo with its storage in a bucket."""
    return warehouse_in(tmp_path, cloud, wire)


@pytest.fixture
def local_warehouse(tmp_path: Path, cloud: Cloud, wire: Wire) -> Warehouse:
    """A repo with its storage in a folder, and a bucket only for Parquet on its way."""
    return warehouse_in(tmp_path, cloud, wire, root="../state/storage")

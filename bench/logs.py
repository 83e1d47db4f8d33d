"""A generated source with one feature table, whose log is written directly: what an ingest of it would leave."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import yaml
from deltalake import write_deltalake

from bench.repos import bare_repo
from provender.engine_settings import Engine
from provender.ledger import Draft, Job, Kind, Ledger
from provender.ledger.records import TableCommit, Transaction
from provender.online.views import AppliedView, save_applied_views
from provender.settings import SETTINGS_FILE, Settings
from provender.storage import storage_at

SOURCE, TABLE, VIEW = "rides", "drivers", "driver_rides"
_T0 = datetime(2026, 1, 1, tzinfo=UTC)
_STAMP = pa.timestamp("us", tz="UTC")
_FILE_ROWS = 250_000


@dataclass(frozen=True)
class Log:
    """``features`` DOUBLE features by an INT64 key."""

    settings: Settings
    features: int

    @property
    def names(self) -> list[str]:
        return [f"f{number}" for number in range(self.features)]

    @property
    def view(self) -> AppliedView:
        return AppliedView(VIEW, SOURCE, TABLE, {"driver": "INT64"}, dict.fromkeys(self.names, "DOUBLE"), {})

    def batches(self, keys: int, version: int) -> Iterator[pa.RecordBatch]:
        """A version of each key: key, features and the log's times; the same for the same arguments."""
        random = np.random.default_rng(version)
        event = _T0 + timedelta(hours=version)
        for first in range(0, keys, _FILE_ROWS):
            count = min(_FILE_ROWS, keys - first)
            columns = {"driver": pa.array(np.arange(first, first + count, dtype=np.int64))}
            columns |= {name: pa.array(random.normal(size=count)) for name in self.names}
            stamp = pa.array(np.full(count, int(event.timestamp() * 1e6)), _STAMP)
            names = ("event_timestamp", "created_timestamp", "recorded_timestamp", "period")
            columns |= dict.fromkeys(names, stamp) | {"deleted": pa.array(np.zeros(count, bool))}
            yield pa.RecordBatch.from_pydict(columns)

    def append(self, keys: int, version: int) -> None:
        """Appends a version of each key to the log, and commits the manifest that says so."""
        storage = storage_at(self.settings.storage_root)
        folder = Path(self.settings.storage_root.removeprefix("file://")) / f"tables/{SOURCE}/{TABLE}"
        before = _bytes(folder)
        for batch in self.batches(keys, version):
            write_deltalake(str(folder), pa.Table.from_batches([batch]), mode="append")
        path = f"tables/{SOURCE}/{TABLE}"
        txn = Transaction(app_id=path, version=version)
        size = _bytes(folder) - before
        wrote = [TableCommit(table=path, rows=keys, version=version, files=1, bytes=size, txn=txn)]
        recorded = _T0 + timedelta(hours=version)
        draft = Draft(
            Job.INGEST, f"bench-{version}", Kind.MANIFEST, {}, datetime.now(UTC), recorded, wrote=wrote
        )
        Ledger(storage, SOURCE).commit(draft)


def log_repo(folder: Path, features: int, redis: str) -> Log:
    """A repo with an empty log, applied."""
    settings = bare_repo(folder, redis)
    names = [f"f{number}" for number in range(features)]
    spec = {
        "name": SOURCE,
        "owner": "bench",
        "cadence": "hourly",
        "start": "2026-01-01",
        "raw": {"uri": "../raw/{partition}.csv"},
        "event_timestamp": {"column": "at"},
        "columns": [
            {"name": "driver", "type": "INT64"},
            {"name": "at", "type": "TIMESTAMP"},
            *[{"name": name, "type": "DOUBLE"} for name in names],
        ],
        "tables": [{"name": TABLE, "keys": ["driver"]}],
    }
    (settings.repo / "sources").mkdir()
    (settings.repo / "sources" / f"{SOURCE}.yaml").write_text(yaml.safe_dump(spec, sort_keys=False))
    log = Log(settings, features)
    save_applied_views(storage_at(settings.storage_root), settings.project, [log.view])
    return log


def materialize_with(settings: Settings, engine: Engine) -> None:
    """From now on this engine writes to the online store, whatever the size."""
    path = settings.repo / SETTINGS_FILE
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    document["batch_engine"] = {"type": "provender.feast.engine.ProvenderEngine", "engine": str(engine)}
    path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")


def guarded(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Rows of the log as rows to be written: each its own guard."""
    for batch in batches:
        event = batch.column("event_timestamp")
        yield batch.append_column("guard_event", event).append_column("guard_created", event)


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.parquet"))

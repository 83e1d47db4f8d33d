"""A feature repo with one source, written as a user would, and its feature table as an ingest would leave it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from feast import FeatureStore

from provender.feast.apply import apply
from provender.ledger import Draft, Job, Kind, Ledger
from provender.settings import load_settings
from provender.storage import storage_at
from tests.point_in_time.logs import at, schema, write_log

SETTINGS = """
project: shop
provider: local
registry: {registry_type: sql, path: "sqlite:///../state/registry.db"}
online_store: {type: redis, connection_string: "127.0.0.1:1"}
offline_store: {type: provender.feast.offline_store.ProvenderOfflineStore}
entity_key_serialization_version: 3
provender: {storage_root: ../state/storage, state_dir: ../state}
"""
SPEC = """
name: trips
description: What drivers did
owner: drivers
tags: [demo]
cadence: daily
start: 2026-11-01
raw: {uri: "../raw/{partition}.csv"}
event_timestamp: {column: at}
columns:
  - {name: driver_id, type: INT64}
  - {name: at, type: TIMESTAMP}
  - {name: trips, type: INT32, description: How many}
  - {name: rate, type: FLOAT}
  - {name: city, type: STRING}
tables:
  - {name: trips, keys: [driver_id]}
"""
VIEWS = """
from datetime import timedelta
from feast import Entity, FeatureService, FeatureView, Field, RequestSource, ValueType
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float64, Int64
import provender

driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)
driver_trips = FeatureView(
    name="driver_trips", entities=[driver], ttl=timedelta(hours=2),
    schema=provender.schema("trips"), source=provender.source("trips"),
)
request = RequestSource(name="request", schema=[Field(name="extra", dtype=Int64)])


@on_demand_feature_view(sources=[driver_trips, request], schema=[Field(name="total", dtype=Float64)])
def sums(inputs):
    import pandas as pd
    return pd.DataFrame({"total": (inputs["trips"] + inputs["extra"]).astype("float64")})


service = FeatureService(name="everything", features=[driver_trips, sums])
"""
COLUMNS = schema({"driver_id": pa.int64()}, {"trips": pa.int32(), "rate": pa.float32(), "city": pa.string()})


@dataclass
class Shop:
    """The repo and what can be done with it."""

    root: Path

    @property
    def repo(self) -> Path:
        return self.root / "feature_defs"

    def write(self, path: str, text: str) -> None:
        target = self.repo / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def ingest(self, *rows: dict[str, Any], recorded: float, commit: bool = True) -> None:
        """Appends versions to the log, as one ingest recorded at that minute, and commits its manifest."""
        stamped = [{"recorded_timestamp": at(recorded)} | row for row in rows]
        if stamped:
            write_log(self.root / "state/storage/tables/trips/trips", stamped, COLUMNS)
        if commit:
            ledger = Ledger(storage_at(load_settings(self.repo).storage_root), "trips")
            ledger.commit(
                Draft(Job.INGEST, f"a{recorded}", Kind.MANIFEST, {}, datetime.now(UTC), at(recorded))
            )

    def store(self) -> FeatureStore:
        return FeatureStore(str(self.repo))


def version(
    driver: int, trips: int | None, event: float, created: float | None = None, **more: Any
) -> dict[str, Any]:
    """One version; times are minutes after 2026-11-22T00:00Z."""
    values = {
        "trips": trips,
        "rate": None if trips is None else trips / 2,
        "city": None if trips is None else "Z",
    }
    times = {"event_timestamp": at(event), "created_timestamp": at(event if created is None else created)}
    return {"driver_id": driver, **values, **times, **more}


def written_shop(folder: Path) -> Shop:
    """Write the repo into ``folder``; nothing is applied or ingested."""
    shop = Shop(folder)
    shop.write("feature_store.yaml", SETTINGS)
    shop.write("sources/trips.yaml", SPEC)
    shop.write("views/trips_views.py", VIEWS)
    return shop


@pytest.fixture
def new_shop(tmp_path: Path) -> Shop:
    """The repo before anything was applied or ingested."""
    return written_shop(tmp_path)


@pytest.fixture(scope="session")
def applied_shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a repo that was applied once for all tests; copy it, do not change it."""
    shop = written_shop(tmp_path_factory.mktemp("applied"))
    apply(shop.repo)
    return shop.root


@pytest.fixture
def shop(applied_shop: Path, tmp_path: Path) -> Shop:
    """A copy of the applied repo. Its registry names the tables of the original; stores go by source and table."""
    shutil.copytree(applied_shop, tmp_path, dirs_exist_ok=True)
    return Shop(tmp_path)

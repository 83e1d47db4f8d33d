"""A feature table of 3.6 million versions as an ingest leaves it, and entity rows for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import yaml
from deltalake import write_deltalake

from bench.repos import bare_repo
from provender.feast.apply import apply
from provender.ledger import Draft, Job, Kind, Ledger
from provender.settings import Settings, load_settings
from provender.storage import storage_at

DAYS = 36
ROWS_A_DAY = 100_000
KEYS = 100_000
FEATURES = {"f0": "DOUBLE", "f1": "INT32", "f2": "FLOAT"}
START = datetime(2026, 1, 1, tzinfo=UTC)
STAMP = pa.timestamp("us", tz="UTC")
_DAY = timedelta(days=1)

_VIEWS = """
from datetime import timedelta
from feast import Entity, FeatureView, ValueType
import provender

driver = Entity(name="driver", join_keys=["driver"], value_type=ValueType.INT64)
driver_day = FeatureView(
    name="driver_day", entities=[driver], ttl=timedelta(0),
    schema=provender.schema("drivers"), source=provender.source("drivers"),
)
"""


@dataclass(frozen=True)
class World:
    """A repo with one applied view, ``driver_day``, over the table."""

    settings: Settings
    uri: str

    @property
    def rows(self) -> int:
        return DAYS * ROWS_A_DAY


def make_world(folder: Path) -> World:
    """Writes the table, a file a day, commits its ingest and applies its view."""
    settings = _with_stores(bare_repo(folder))
    sources, views = settings.repo / "sources", settings.repo / "views"
    sources.mkdir()
    views.mkdir()
    (sources / "drivers.yaml").write_text(yaml.safe_dump(_spec(), sort_keys=False))
    (views / "drivers.py").write_text(_VIEWS)
    storage = storage_at(settings.storage_root)
    uri = storage.uri("tables/drivers/drivers")
    random = np.random.default_rng(1)
    for number in range(DAYS):
        write_deltalake(uri, _day(random, START + number * _DAY), mode="append")
    recorded = START + (DAYS + 2) * _DAY
    Ledger(storage, "drivers").commit(
        Draft(Job.INGEST, "bench", Kind.MANIFEST, {}, datetime.now(UTC), recorded)
    )
    apply(settings.repo)
    return World(settings, uri)


def entity_rows(count: int, seed: int = 5) -> pa.Table:
    """``driver``, ``event_timestamp``: any key at any time from the third day on."""
    random = np.random.default_rng(seed)
    times = _micros(START) + random.integers(2 * _micros_of(_DAY), DAYS * _micros_of(_DAY), count)
    keys = random.integers(0, KEYS, count)
    return pa.table({"driver": keys, "event_timestamp": pa.array(times).cast(STAMP)})


def _day(random: np.random.Generator, start: datetime) -> pa.Table:
    """Every key once, at a random time of the day, known an hour after its end."""
    events = _micros(start) + random.integers(0, _micros_of(_DAY), ROWS_A_DAY)
    created = np.full(ROWS_A_DAY, _micros(start + _DAY + timedelta(hours=1)))
    return pa.table(
        {
            "period": _stamps(np.full(ROWS_A_DAY, _micros(start))),
            "event_timestamp": _stamps(events),
            "created_timestamp": _stamps(created),
            "recorded_timestamp": _stamps(created + 1),
            "deleted": pa.array(np.zeros(ROWS_A_DAY, bool)),
            "driver": random.permutation(KEYS)[:ROWS_A_DAY],
            "f0": random.random(ROWS_A_DAY),
            "f1": random.integers(0, 1000, ROWS_A_DAY).astype(np.int32),
            "f2": random.random(ROWS_A_DAY).astype(np.float32),
        }
    )


def _stamps(micros: np.ndarray) -> pa.Array:
    return pa.array(micros).cast(STAMP)


def _micros(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000


def _micros_of(duration: timedelta) -> int:
    return duration // timedelta(microseconds=1)


def _with_stores(settings: Settings) -> Settings:
    path = settings.repo / "feature_store.yaml"
    document = yaml.safe_load(path.read_text()) | {
        "provider": "local",
        "registry": {"registry_type": "sql", "path": f"sqlite:///{settings.repo.parent}/registry.db"},
        "offline_store": {"type": "provender.feast.offline_store.ProvenderOfflineStore"},
        "entity_key_serialization_version": 3,
    }
    path.write_text(yaml.safe_dump(document))
    return load_settings(settings.repo)


def _spec() -> dict[str, object]:
    columns = [{"name": "driver", "type": "INT64"}, {"name": "at", "type": "TIMESTAMP"}]
    return {
        "name": "drivers",
        "description": "Generated.",
        "owner": "bench",
        "cadence": "daily",
        "start": START.date().isoformat(),
        "raw": {"uri": "../raw/{partition}.csv"},
        "event_timestamp": {"column": "at"},
        "columns": columns + [{"name": name, "type": kind} for name, kind in FEATURES.items()],
        "tables": [{"name": "drivers", "keys": ["driver"]}],
    }

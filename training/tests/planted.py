"""Training sets with a signal that is known, written as provender writes them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from provender.storage import storage_at
from provender.training_sets.checksum import canonical, table_checksum
from provender.training_sets.lockfile import (
    DATA_FILE,
    LOCKFILE,
    EntityRows,
    FeatureColumn,
    Inputs,
    Lockfile,
    LogRead,
    StoredTable,
)

START = datetime(2026, 1, 1, tzinfo=UTC)
DELAY, SIZE, SEEN = "carrier_day__delay", "carrier_day__size", "carrier_day__seen"


def planted(rows: int = 3000, *, seed: int = 1, shuffled: bool = False) -> pa.Table:
    """Rows whose label follows ``carrier_day__delay`` and, weakly, the hour; a tenth of the delays is null."""
    rng = np.random.default_rng(seed)
    delay, hour = rng.normal(size=rows), rng.integers(0, 24, rows)
    chance = 1 / (1 + np.exp(-(2 * delay + 0.05 * (hour - 12) - 1)))
    late = (rng.random(rows) < chance).astype(int)
    if shuffled:
        rng.shuffle(late)
    times = [START + timedelta(minutes=10 * int(n)) for n in np.arange(rows)]
    return canonical(
        pa.table(
            {
                "carrier": pa.array(
                    [None if n % 97 == 0 else f"c{n % 13}" for n in range(rows)], pa.string()
                ),
                "event_timestamp": pa.array(times, pa.timestamp("us", tz="UTC")),
                "hour": pa.array(hour, pa.int32()),
                "is_late": pa.array(late, pa.int32()),
                DELAY: pa.array(delay, pa.float64(), mask=rng.random(rows) < 0.1),
                SIZE: pa.array(rng.choice(["small", "large", "huge"], rows), pa.string()),
                SEEN: pa.array([time - timedelta(hours=1) for time in times], pa.timestamp("us", tz="UTC")),
            }
        )
    )


def write(root: str, table: pa.Table, **changes: Any) -> str:
    """Writes the training set ``late`` of ``table`` under the storage root. Returns its folder."""
    inputs = replace(_inputs(table), **changes)
    columns = {field.name: str(field.type) for field in table.schema}
    lockfile = Lockfile(inputs, START, StoredTable(DATA_FILE, len(table), table_checksum(table), columns))
    storage = storage_at(root)
    with storage.writing(f"{lockfile.path}/{DATA_FILE}") as file:
        pq.write_table(table, file)
    storage.create(f"{lockfile.path}/{LOCKFILE}", lockfile.to_bytes())
    return storage.uri(lockfile.path)


def _inputs(table: pa.Table) -> Inputs:
    entities = table.select(["carrier", "event_timestamp", "hour", "is_late"])
    columns = {field.name: str(field.type) for field in entities.schema}
    keys = {"carrier": "STRING"}
    stored = EntityRows(
        "entities.parquet", len(entities), table_checksum(entities), columns, keys, {"frame": "planted"}
    )
    kinds = {DELAY: "DOUBLE", SIZE: "STRING", SEEN: "TIMESTAMP"}
    features = {
        name: FeatureColumn(name.partition("__")[2], name.partition("__")[2], kind)
        for name, kind in kinds.items()
    }
    log = LogRead(
        "carrier_day", "flights", "carrier", "tables/flights/carrier", "a-table", START, "sha256:0", 604800.0,
        {"carrier": "carrier"}, keys, features,
    )  # fmt: skip
    return Inputs(
        "late",
        "test",
        "provender 0",
        stored,
        "event_timestamp",
        "is_late",
        ("hour", "carrier"),
        True,
        True,
        (log,),
    )


def without_view(table: pa.Table) -> pa.Table:
    """The same rows without features."""
    return table.drop_columns([DELAY, SIZE, SEEN])

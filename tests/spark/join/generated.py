"""Many small logs and entity rows in one: a first key tells the cases apart, so one Spark job checks them all."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from provender.point_in_time.duckdb_join import Lookup
from provender.point_in_time.rule import lookup
from provender.point_in_time.spark.run import SparkJoin
from provender.settings import Settings
from provender.tables.feature_log import FeatureLog
from tests.point_in_time.logs import STAMP, schema, write_log

COLUMNS = schema(
    {"case": pa.int64(), "driver": pa.int32(), "zone": pa.string()},
    {"trips": pa.int32(), "rate": pa.float32(), "total": pa.int32()},
)
ENTITIES = pa.schema([("case", pa.int64()), ("driver", pa.int64()), ("zone", pa.string()), ("t", STAMP)])
KEYS = ("case", "driver", "zone")

Case = tuple[list[dict[str, Any]], list[dict[str, Any]]]
"""Versions and entity rows, without ``case``."""


def assert_as_the_oracle(
    settings: Settings,
    folder: Path,
    cases: list[Case],
    ttl: timedelta,
    known_then: bool,
    recorded_up_to: datetime | None,
) -> None:
    """Two views of the cases' logs, one with ttl and bound and one without, give what the oracle gives.

    A failure shows the cases that differ, with the rows expected and found.
    """
    logs = [[row | {"case": i, "total": row["trips"]} for row in log] for i, (log, _) in enumerate(cases)]
    rows = [row | {"case": i} for i, (_, of_case) in enumerate(cases) for row in of_case]
    log = FeatureLog(_written(folder, [row for of_case in logs for row in of_case]))
    keys = {name: name for name in KEYS}
    lookups = [
        Lookup(log, keys, {"n": "trips", "rate": "rate"}, ttl, recorded_up_to),
        Lookup(log, keys, {"all": "total"}),
    ]
    entities = pa.Table.from_pylist(rows, ENTITIES)
    found = SparkJoin(settings, lambda: [entities], "t", lookups, known_then).to_arrow().to_pylist()
    differing = []
    for row, got in zip(rows, found, strict=True):
        wanted = _expected(logs[row["case"]], row, ttl, known_then, recorded_up_to)
        if wanted != got:
            differing.append((logs[row["case"]], row, wanted, got))
    assert not differing, min(differing, key=lambda found: len(found[0]))


def _written(folder: Path, rows: list[dict[str, Any]]) -> str:
    for part in range(3):
        uri = write_log(folder, rows[part::3], COLUMNS)
    return uri


def _expected(
    log: list[dict[str, Any]],
    row: dict[str, Any],
    ttl: timedelta,
    known_then: bool,
    recorded_up_to: datetime | None,
) -> dict[str, Any]:
    keys = {name: row[name] for name in KEYS}
    known: dict[str, Any] = {"filter_by_created_timestamp": known_then}
    bounded = lookup(log, keys, row["t"], ttl=ttl, recorded_up_to=recorded_up_to, **known)
    every = lookup(log, keys, row["t"], **known)
    return {
        "n": bounded and bounded["trips"],
        "rate": bounded and bounded["rate"],
        "all": every and every["total"],
    }

"""Sources of (key, time, value) rows, and reading what became of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from provender.ledger import Job
from tests.engine import Project
from tests.spark.knowledge import Delivery

SUM_SQL = "SELECT key, sum(value) AS total, count(*) AS readings FROM readings GROUP BY key"


def spec(**changes: Any) -> dict[str, Any]:
    """A daily source with a table taken as it is and a derived one."""
    document: dict[str, Any] = {
        "name": "readings",
        "owner": "tests",
        "cadence": "daily",
        "start": datetime(2026, 1, 1, tzinfo=UTC).date(),
        "delay": "1h",
        "lateness": "3d",
        "raw": {"uri": "../raw/readings/{partition}.csv", "format": "csv"},
        "event_timestamp": {"column": "at"},
        "columns": [
            {"name": "key", "type": "STRING", "required": True},
            {"name": "value", "type": "INT64", "min": 0, "max": 1000},
            {"name": "at", "type": "TIMESTAMP"},
        ],
        "violations": {"max_share": 1.0},
        "tables": [
            {"name": "latest", "keys": ["key"]},
            {
                "name": "daily",
                "keys": ["key"],
                "sql": "daily.sql",
                "features": [{"name": "total", "type": "INT64"}, {"name": "readings", "type": "INT64"}],
            },
        ],
    }
    return document | changes


def make_readings(project: Project, **changes: Any) -> None:
    """Writes the source into the project."""
    project.write_source(spec(**changes), daily=SUM_SQL)


def day(number: int) -> datetime:
    """The n-th day of January 2026."""
    return datetime(2026, 1, number, tzinfo=UTC)


def key_of(number: int) -> str:
    """The partition key of :func:`day`."""
    return day(number).strftime("%Y-%m-%d")


def csv(rows: list[tuple[str, datetime, int]]) -> str:
    """The rows as a raw file."""
    lines = [f"{key},{value},{at.isoformat()}" for key, at, value in rows]
    return "\n".join(["key,value,at", *lines]) + "\n"


def deliver(project: Project, number: int, rows: list[tuple[str, datetime, int]]) -> Delivery:
    """Drops a day's file, stages and ingests it; returns what was delivered when."""
    project.drop("readings", key_of(number), csv(rows))
    project.run("readings", key_of(number))
    staged = project.ledger("readings").last(Job.STAGE)
    assert staged is not None
    delivered = staged.partitions[key_of(number)].delivered
    accepted = tuple(row for row in rows if day(number) - row[1] < timedelta(days=3) + timedelta(days=1))
    return Delivery(day(number), delivered, accepted)


def log_of(project: Project, table: str) -> list[dict[str, Any]]:
    """Every version in a feature table's log."""
    import deltalake

    log = deltalake.DeltaTable(project.storage.uri(f"tables/readings/{table}"))
    return list(log.to_pyarrow_table().to_pylist())


def state(project: Project, table: str) -> set[tuple[Any, ...]]:
    """The log without the recorded timestamp: what it says, whenever it was written."""
    names = ("key", "event_timestamp", "created_timestamp", "deleted")
    values = {"latest": ("value",), "daily": ("total", "readings")}[table]
    return {tuple(row[name] for name in (*names, *values)) for row in log_of(project, table)}

"""Feature repos for benchmarks: the demo's flights source in a folder of its own, and many generated sources."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from provender.settings import Settings, load_settings

CHECKOUT = Path(__file__).parents[1]
FLIGHTS = ("flights.yaml", "flights_carrier.sql", "flights_route.sql")


def flights_repo(folder: Path, raw: str) -> Settings:
    """The demo's flights, reading raw files from ``raw`` (a URI with ``{partition}``)."""
    settings = bare_repo(folder)
    sources = settings.repo / "sources"
    sources.mkdir()
    for name in FLIGHTS:
        (sources / name).write_bytes((CHECKOUT / "feature_defs" / "sources" / name).read_bytes())
    spec = yaml.safe_load((sources / "flights.yaml").read_text())
    spec["raw"]["uri"] = raw
    (sources / "flights.yaml").write_text(yaml.safe_dump(spec, sort_keys=False))
    return settings


def many_sources_repo(folder: Path, count: int) -> Settings:
    """``count`` sources of ten columns with one table each."""
    settings = bare_repo(folder)
    sources = settings.repo / "sources"
    sources.mkdir()
    for number in range(count):
        name = f"source_{number:03d}"
        (sources / f"{name}.yaml").write_text(yaml.safe_dump(_generated(name), sort_keys=False))
    return settings


def _generated(name: str) -> dict[str, Any]:
    columns: list[dict[str, Any]] = [{"name": f"value_{i}", "type": "DOUBLE", "min": 0} for i in range(8)]
    return {
        "name": name,
        "description": f"Generated source {name}.",
        "owner": "bench",
        "cadence": "daily",
        "start": "2026-01-01",
        "raw": {"uri": f"../raw/{name}/{{partition}}.csv"},
        "event_timestamp": {"column": "at"},
        "columns": [{"name": "id", "type": "INT64"}, {"name": "at", "type": "TIMESTAMP"}, *columns],
        "tables": [{"name": "latest", "keys": ["id"]}],
    }


def bare_repo(folder: Path, redis: str = "127.0.0.1:1") -> Settings:
    """A repo without sources."""
    repo = folder / "feature_defs"
    repo.mkdir(parents=True)
    document = {
        "project": "bench",
        "online_store": {"type": "redis", "connection_string": redis},
        "provender": {
            "storage_root": "../storage",
            "staging": {"settle_seconds": 0},  # files are written and measured at once
            "state_dir": "../state",
            "spark": {"jars_dir": str(CHECKOUT / ".provender" / "jars")},
        },
    }
    (repo / "feature_store.yaml").write_text(yaml.safe_dump(document))
    return load_settings(repo)

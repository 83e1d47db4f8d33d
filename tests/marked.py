"""Marked secrets: a project whose every secret is a text of its own, and the places it must not be found in."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from tests.engine import CHECKOUT

MARK = "marked-"
PASSWORDS = {
    "REDIS_PASSWORD": "marked-redis-0123456789",
    "REGISTRY_PASSWORD": "marked-registry-0123456789",
    "SHOP_PASSWORD": "marked-shop-0123456789",
}
SPEC = {
    "name": "trips",
    "description": "What drivers did",
    "owner": "drivers",
    "cadence": "daily",
    "start": "2026-11-01",
    "event_timestamp": {"column": "at"},
    "columns": [
        {"name": "driver_id", "type": "INT64"},
        {"name": "at", "type": "TIMESTAMP"},
        {"name": "fare", "type": "DOUBLE"},
    ],
    "tables": [{"name": "trips", "keys": ["driver_id"]}],
}
VIEWS = """
from feast import Entity, FeatureView, ValueType
import provender

driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)
driver_trips = FeatureView(
    name="driver_trips", entities=[driver], schema=provender.schema("trips"), source=provender.source("trips"),
)
"""


@dataclass
class MarkedProject:
    """A checkout in ``folder``; secrets only in ``variables``."""

    folder: Path
    variables: dict[str, str]
    spark: dict[str, object] = field(default_factory=dict)
    said: str = ""
    """All that commands wrote to their outputs."""
    arguments: set[str] = field(default_factory=set)
    """Of processes of this machine that have a mark in them."""

    @property
    def repo(self) -> Path:
        return self.folder / "feature_defs"

    def write(self) -> MarkedProject:
        for folder in ("sources", "views"):
            (self.repo / folder).mkdir(parents=True)
        document = {
            "project": "marked",
            "provider": "local",
            "registry": {"registry_type": "sql", "path": "${REGISTRY_URL}"},
            "online_store": {"type": "redis", "connection_string": "${PROVENDER_REDIS}"},
            "offline_store": {"type": "provender.feast.offline_store.ProvenderOfflineStore"},
            "entity_key_serialization_version": 3,
            "provender": {
                "storage_root": "../storage",
                "state_dir": "../state",
                "connections": {"shop": "${SHOP_URL}"},
                "spark": self.spark,
            },
        }
        document["provender"]["connections"]["shop"] = self.variables["SHOP_URL"].replace(  # type: ignore[index]
            PASSWORDS["SHOP_PASSWORD"], "${SHOP_PASSWORD}"
        )
        (self.repo / "feature_store.yaml").write_text(yaml.safe_dump(document))
        raw = {"sql": {"connection": "shop", "table": "public.trips"}, "time_column": "at"}
        (self.repo / "sources/trips.yaml").write_text(yaml.safe_dump({**SPEC, "raw": raw}))
        (self.repo / "views/trips_views.py").write_text(VIEWS)
        return self

    def run(self, *arguments: str, **variables: str) -> int:
        """``provender …`` in a process of its own; returns its exit code."""
        environment = {**os.environ, **PASSWORDS, **self.variables, **variables}
        with self._watched():
            done = subprocess.run(
                [sys.executable, "-m", "provender", "--repo", str(self.repo), *arguments],
                env=environment,
                cwd=CHECKOUT,
                capture_output=True,
                text=True,
                check=False,
            )
        self.said += done.stdout + done.stderr
        return done.returncode

    def found(self) -> list[str]:
        """Where a mark is: outputs, arguments of processes, files."""
        places = ["an output"] if MARK in self.said else []
        places += [f"a process: {text}" for text in self.arguments]
        for path in self.folder.rglob("*"):
            if path.is_file() and MARK.encode() in path.read_bytes():
                places.append(str(path))
        return places

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Looks at the process list again and again, as somebody else on the machine would."""
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(0.02):
                self.arguments |= {text for text in _process_list() if MARK in text}

        watching = threading.Thread(target=watch)
        watching.start()
        try:
            yield
        finally:
            ended.set()
            watching.join()


def _process_list() -> Iterator[str]:
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                yield (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended meanwhile

"""Airflow for tests: a home of its own, no database, nothing that runs.

Airflow reads its home when it is first imported, so both paths are set here, before any test module is.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from provender.settings import Settings, load_settings

CHECKOUT = Path(__file__).parents[2]

os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="provender-airflow-"))
sys.path.insert(0, str(CHECKOUT / "plugins"))

SETTINGS = """
project: test
online_store: {type: redis, connection_string: "127.0.0.1:1"}
provender: {storage_root: ../storage, state_dir: ../state, staging: {settle_seconds: 0}}
"""

SPEC = """
name: {name}
description: Trips of a day.
owner: data
tags: [demo]
cadence: {cadence}
start: {start}
raw:
  uri: ../raw/{name}/{{partition}}.csv
  format: csv
delay: 1h
timeout: 2h
event_timestamp: {{column: at}}
columns:
  - {{name: driver_id, type: INT64, required: true, min: 1, description: "Who | drove"}}
  - {{name: at, type: TIMESTAMP}}
  - {{name: fare, type: DOUBLE, min: 0}}
tables:
  - {{name: trips, keys: [driver_id], description: As they are.}}
"""

WriteSpec = Callable[..., Path]


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """A feature repo without sources, in a checkout of its own."""
    folder = tmp_path / "feature_defs"
    (folder / "sources").mkdir(parents=True)
    (folder / "feature_store.yaml").write_text(SETTINGS)
    return folder


@pytest.fixture
def settings(repo: Path) -> Settings:
    return load_settings(repo)


@pytest.fixture
def write_spec(repo: Path) -> WriteSpec:
    """Writes a source's spec into the repo and returns its path."""

    def write(
        name: str = "trips", cadence: str = "daily", start: str = "2026-11-01", extra: str = ""
    ) -> Path:
        path = repo / "sources" / f"{name}.yaml"
        path.write_text(SPEC.format(name=name, cadence=cadence, start=start) + extra)
        return path

    return write

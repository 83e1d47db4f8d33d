"""A small correct spec, and a way to write variations of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from provender.errors import SpecError
from provender.specs.loader import load_source

SPEC = """\
name: trips
description: Trips of a day.
owner: travel
tags: [demo]
cadence: daily
start: 2026-01-01
raw:
  uri: ../raw/trips/{partition}.csv
  options: {nullValue: NA}
lateness: 2d
event_timestamp: {column: at}
created_timestamp: {column: made, format: epoch_ms}
columns:
  - {name: driver, type: INT64, required: true}
  - {name: city, type: STRING, allowed: [NYC, BOS]}
  - {name: fare, type: DOUBLE, min: 0, max: 1000}
  - {name: at, type: TIMESTAMP, required: true}
  - {name: made, type: TIMESTAMP}
tables:
  - name: rows
    keys: [driver]
  - name: per_city
    keys: [city]
    sql: trips_city.sql
    features:
      - {name: trips, type: INT64}
"""
SQL = "SELECT city, count(*) AS trips FROM trips GROUP BY city\n"

Write = Callable[..., Path]


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    folder = tmp_path / "feature_defs"
    (folder / "sources").mkdir(parents=True)
    (folder / "sources" / "trips_city.sql").write_text(SQL)
    return folder


@pytest.fixture
def write(repo: Path) -> Write:
    """``write(old, new, …)``: the spec with pieces replaced, as sources/trips.yaml."""

    def write_spec(*replacements: str, file: str = "trips.yaml") -> Path:
        text = SPEC
        for old, new in zip(replacements[::2], replacements[1::2], strict=True):
            assert old in text, old
            text = text.replace(old, new, 1)
        path = repo / "sources" / file
        path.write_text(text, encoding="utf-8")
        return path

    return write_spec


@pytest.fixture
def problems(write: Write) -> Callable[..., list[str]]:
    """The problem lines of a variation, without the folder."""

    def find(*replacements: str, file: str = "trips.yaml") -> list[str]:
        path = write(*replacements, file=file)
        with pytest.raises(SpecError) as caught:
            load_source(path)
        return [line.replace(f"{path.parent}/", "") for line in str(caught.value).splitlines()]

    return find

"""A repo with two sources, three views and a correct model, and a way to break it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

SOURCE = """\
name: {name}
owner: travel
cadence: {cadence}
start: 2026-01-01
raw: {{uri: "../raw/{name}/{{partition}}.csv"}}
event_timestamp: {{column: at}}
columns:
  - {{name: city, type: STRING, required: true}}
  - {{name: fare, type: DOUBLE}}
  - {{name: at, type: TIMESTAMP}}
tables: [{{name: city, keys: [city]}}]
"""
VIEWS = """\
from feast import Entity, FeatureService, FeatureView
import provender

town = Entity(name="town", join_keys=["city"])
fares = FeatureView(name="city_fares", entities=[town], source=provender.source("rides"))
tips = FeatureView(
    name="city_tips", entities=[town], schema=provender.schema("tips"), source=provender.source("tips")
)
both = FeatureService(name="both", features=[fares, tips[["fare"]]])
"""
MODEL = """\
name: dear
owner: travel
entities: {source: rides, sql: dear.sql}
label: is_dear
features: [city_fares:fare, city_tips:fare]
request: [{name: hour, type: INT32}]
window: 30d
gate: [{metric: roc_auc, min: 0.6}]
serving: {canary: [10, 50], missing: default, defaults: {city_fares__fare: 1.5}}
"""
SQL = "SELECT city, at AS event_timestamp, hour(at) AS hour, fare > 9 AS is_dear FROM rides\n"

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """``write(old, new, …)``: the repo, with pieces of the model's spec replaced."""

    def write_repo(*replacements: str, sql: str = SQL, tips_cadence: str = "daily") -> Path:
        repo = tmp_path / "feature_defs"
        for folder in ("sources", "views", "models"):
            (repo / folder).mkdir(parents=True, exist_ok=True)
        for name, cadence in (("rides", "daily"), ("tips", tips_cadence)):
            (repo / "sources" / f"{name}.yaml").write_text(SOURCE.format(name=name, cadence=cadence))
        (repo / "views" / "all.py").write_text(VIEWS)
        text = MODEL
        for old, new in zip(replacements[::2], replacements[1::2], strict=True):
            assert old in text
            text = text.replace(old, new)
        (repo / "models" / "dear.yaml").write_text(text)
        (repo / "models" / "dear.sql").write_text(sql)
        return repo

    return write_repo

"""Model specs: what they say, and everything that can be wrong with them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from provender.errors import SpecError
from provender.specs.models import ModelCatalog

Write = Callable[..., Path]


def problems(repo: Path) -> list[str]:
    return str(ModelCatalog.load(repo).broken["dear"]).splitlines()


def test_a_model_knows_its_features_and_sources(write: Write) -> None:
    catalog = ModelCatalog.load(write())
    spec = catalog.model("dear")
    assert spec.window == timedelta(days=30)
    assert spec.as_known
    assert catalog.references_of(spec) == ("city_fares:fare", "city_tips:fare")
    assert sorted(catalog.sources_of(spec)) == ["rides", "tips"]
    assert catalog.sql_of("dear").startswith("SELECT city")


def test_a_feature_service_stands_for_its_features(write: Write) -> None:
    repo = write("features: [city_fares:fare, city_tips:fare]", "feature_service: both")
    catalog = ModelCatalog.load(repo)
    assert catalog.references_of(catalog.model("dear")) == ("city_fares:fare", "city_tips:fare")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("label: is_dear\n", "", "dear.yaml:1: label is missing; add label:"),
        ("window: 30d", "windw: 30d", "dear.yaml:7: unknown key 'windw'; did you mean 'window'?"),
        ("window: 30d", "window: 30x", "dear.yaml:7: window: '30x' is not a duration"),
        (
            "city_tips:fare]",
            "city_tps:fare]",
            "dear.yaml:5: no view is called 'city_tps'; did you mean 'city_tips'?",
        ),
        ("city_tips:fare]", "city_tips:far]", "dear.yaml:5: view city_tips has no feature 'far'"),
        ("city_tips:fare]", "city_tips]", "no feature reference; write view:feature"),
        ("features: [city_fares:fare, city_tips:fare]", "feature_service: bth", "did you mean 'both'?"),
        ("features: [city_fares:fare, city_tips:fare]\n", "", "either 'features' or 'feature_service'"),
        (
            "source: rides",
            "source: ride",
            "entities.source: no source is called 'ride'; did you mean 'rides'?",
        ),
        ("sql: dear.sql", "sql: dea.sql", "entities.sql: dea.sql cannot be read"),
        ("sql: dear.sql", "uri: rows.csv", "'source' belongs to 'sql'"),
        ("min: 0.6", "mn: 0.6", "dear.yaml:8: unknown key 'mn' in gate[0]; did you mean 'min'?"),
        (", min: 0.6", "", "a rule without a limit"),
        ("[10, 50]", "[50, 10]", "canary: not rising percentages"),
        ("missing: default", "missing: zero", "serving.missing: 'zero' is not a choice"),
        (
            "city_fares__fare: 1.5",
            "city_fare: 1.5",
            "serving.defaults: 'city_fare' is no feature of the model",
        ),
        ("{name: hour,", "{name: is_dear,", "no request can bring it"),
        ("name: dear", "name: deer", "rename the file to deer.yaml"),
    ],
)
def test_what_is_wrong_has_file_line_and_remedy(write: Write, old: str, new: str, expected: str) -> None:
    assert any(expected in line for line in problems(write(old, new)))


@pytest.mark.parametrize("cadence", ["hourly", "weekly", "monthly"])
def test_cadences_that_roll_up_are_a_model(write: Write, cadence: str) -> None:
    start = {"weekly": "2026-01-05"}.get(cadence, "2026-01-01")
    repo = write(tips_cadence=cadence)
    path = repo / "sources" / "tips.yaml"
    path.write_text(path.read_text().replace("2026-01-01", start))
    assert "dear" in ModelCatalog.load(repo).models


def test_cadences_that_do_not_roll_up_are_told_with_their_line(write: Write) -> None:
    repo = write(tips_cadence="monthly")
    rides = repo / "sources" / "rides.yaml"
    daily = rides.read_text()
    rides.write_text(daily.replace("daily", "hourly"))
    [found] = problems(repo)
    assert "dear.yaml:5: hourly partitions of rides do not roll up into monthly keys" in found
    rides.write_text(daily.replace("daily", "weekly").replace("2026-01-01", "2026-01-05"))
    [found] = problems(repo)
    assert "dear.yaml:5: weekly and monthly sources have no common partitions" in found


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        (
            "SELECT city, at AS event_timestamp, hour(at) AS hour FROM rides",
            "does not return column 'is_dear'",
        ),
        (
            "SELECT at AS event_timestamp, hour(at) AS hour, true AS is_dear FROM rides",
            "does not return column 'city'",
        ),
        (
            "SELECT city, hour(at) AS hour, true AS is_dear FROM rides",
            "does not return column 'event_timestamp'",
        ),
        ("SELECT city, at AS event_timestamp, hour(ta) AS hour, 1 AS is_dear FROM rides", "no column 'ta'"),
        ("SELECT city, at AS event_timestamp, 1 AS hour, count(*) AS is_dear FROM rides", "neither grouped"),
    ],
)
def test_entity_rows_that_cannot_be_are_one_problem(write: Write, sql: str, words: str) -> None:
    [found] = problems(write(sql=sql))
    assert "dear.sql:1: " in found and words in found


def test_all_errors_come_at_once(write: Write) -> None:
    repo = write("label: is_dear\n", "", "city_tips:fare]", "city_tps:fare]", sql="SELECT rand() FROM trips")
    found = problems(repo)
    assert len(found) == 5  # the label, the view, the table, the missing FROM, the function
    assert any("dear.sql:1: reads another table: trips" in line for line in found)


def test_one_broken_model_does_not_hide_the_others(write: Write) -> None:
    repo = write()
    (repo / "models" / "worse.yaml").write_text("name: worse\n")
    catalog = ModelCatalog.load(repo)
    assert (list(catalog.models), list(catalog.broken)) == (["dear"], ["worse"])
    with pytest.raises(SpecError, match="did you mean 'dear'"):
        catalog.model("deer")


def test_entity_rows_may_look_at_several_periods_and_not_at_the_clock(write: Write) -> None:
    frame = "PARTITION BY city ORDER BY at RANGE BETWEEN INTERVAL 7 DAYS PRECEDING AND CURRENT ROW"
    window = f"SELECT city, at AS event_timestamp, hour(at) AS hour, avg(fare) OVER ({frame}) > 9 AS is_dear FROM rides"
    assert "dear" in ModelCatalog.load(write(sql=window)).models
    assert any(
        "now()" in line for line in problems(write(sql="SELECT city, now() AS event_timestamp FROM rides"))
    )

"""The catalog's facts: what is found by which words, and what somebody with few rights gets to see."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from provender.catalog import Facets, FeatureCatalog, read_catalog, search
from provender.catalog.calendar import DayState, read_calendar
from provender.cli.main import main
from provender.online.views import AppliedView, save_applied_views
from tests.engine import Project, make_project


def spec(name: str, owner: str) -> dict[str, Any]:
    return {
        "name": name,
        "owner": owner,
        "tags": ["city"],
        "cadence": "daily",
        "start": "2026-03-01",
        "raw": {"uri": f"../raw/{name}/{{partition}}.csv"},
        "event_timestamp": {"column": "at"},
        "columns": [
            {"name": "city", "type": "STRING", "required": True},
            {"name": "fare", "type": "DOUBLE"},
            {"name": "at", "type": "TIMESTAMP"},
        ],
        "tables": [
            {
                "name": "day",
                "keys": ["city"],
                "sql": f"{name}_day.sql",
                "features": [
                    {"name": "rides", "type": "INT64", "description": "How many"},
                    {"name": "mean_fare", "type": "DOUBLE", "description": "Of all rides"},
                ],
            }
        ],
    }


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = make_project(tmp_path, spark={})
    views = []
    for name, owner in (("taxis", "mobility"), ("buses", "transit")):
        sql = f"SELECT city, count(*) AS rides, avg(fare) AS mean_fare FROM {name} GROUP BY city"
        made.write_source(spec(name, owner), **{f"{name}_day": sql})
        types = {"rides": "INT64", "mean_fare": "DOUBLE"}
        views.append(AppliedView(f"{name}_city", name, "day", {"city": "STRING"}, types, {}, True, 86400.0))
    save_applied_views(made.storage, made.settings.project, views)
    return made


@pytest.fixture
def catalog(project: Project) -> FeatureCatalog:
    return read_catalog(project.settings)


def names(catalog: FeatureCatalog, query: str, facets: Facets | None = None) -> list[str]:
    return [fact.name for fact in search(catalog, query, facets or Facets())]


@pytest.mark.parametrize("query", ["mean fare", "average fare", "avg(fare)", "taxis mean", "mobility fare"])
def test_a_feature_is_found_by_name_meaning_sql_and_owner(catalog: FeatureCatalog, query: str) -> None:
    assert "taxis_city:mean_fare" in names(catalog, query)


def test_every_word_must_be_found(catalog: FeatureCatalog) -> None:
    assert names(catalog, "fare mobility nowhere") == []
    assert all(name.startswith("taxis") for name in names(catalog, "mobility"))
    assert len(names(catalog, "")) == 4


def test_facets_narrow_what_is_found(catalog: FeatureCatalog) -> None:
    assert names(catalog, "", Facets(source="buses", type="INT64")) == ["buses_city:rides"]
    assert names(catalog, "", Facets(served=True)) == []


def test_who_may_read_one_dag_sees_no_other_name(catalog: FeatureCatalog) -> None:
    seen = catalog.readable(lambda dag: dag == "features__taxis")
    assert {*seen.sources} == {"taxis"}
    assert "buses" not in repr(seen)


def test_without_deliveries_every_expected_partition_is_a_hole(project: Project) -> None:
    days = read_calendar(project.settings, "taxis", datetime(2026, 3, 4, 12, tzinfo=UTC))
    assert [day.key for day in days] == ["2026-03-03", "2026-03-02", "2026-03-01"]
    assert {day.state for day in days} == {DayState.HOLE}
    assert "--from-date 2026-03-02" in days[1].command
    assert len(read_calendar(project.settings, "taxis", datetime(2026, 3, 4, 12, tzinfo=UTC), most=2)) == 2


def test_the_command_answers_with_documents(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    repo = str(project.settings.repo)
    assert main(["--repo", repo, "catalog", "search", "fare", "--source", "taxis", "--json"]) == 0
    (first, *_) = json.loads(capsys.readouterr().out)
    assert (first["kind"], first["name"], first["ttl"]) == ("feature", "taxis_city:mean_fare", 86400.0)
    assert main(["--repo", repo, "catalog", "show", "taxi"]) == 3
    assert "taxis" in capsys.readouterr().err


def test_explaining_before_anything_is_ingested_is_no_version(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--repo", str(project.settings.repo), "explain", "taxis_city:rides", "--key"]
    assert main([*words, "city=Oslo", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["null_because"] == "no_version"
    assert main([*words, "town=Oslo"]) == 3
    assert "--key city=VALUE" in capsys.readouterr().err

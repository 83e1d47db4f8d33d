"""``provender models``: what serves, since when, and the way back."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from provender.cli.main import main
from provender.ledger import Draft, Job, Kind
from provender.model_registry.deployments import Action, Deployment
from provender.model_registry.store import ModelStore
from provender.storage import storage_at
from tests.engine import Project, make_project
from tests.manifests import ingested
from tests.models.artifacts import CREATED, write_artifact


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make_project(tmp_path, spark={})


@pytest.fixture
def versions(project: Project) -> list[str]:
    """Three versions of ``late``: deployed once, serving, rejected."""
    storage = storage_at(project.settings.storage_root)
    names = [
        write_artifact(
            storage, model=bytes([i]), created=CREATED + timedelta(days=i), metrics={"roc_auc": 0.7 + i / 100}
        )
        for i in range(3)
    ]
    log = ModelStore(storage, "late").log
    metrics = {"roc_auc": 0.71}
    log.append(Deployment("late", Action.DEPLOY, names[0], "a", "2026-03-08"))
    log.append(Deployment("late", Action.DEPLOY, names[1], "b", "2026-03-09", names[0], metrics=metrics))
    log.append(
        Deployment("late", Action.REJECT, names[2], "c", "2026-03-10", names[1], reason="roc_auc too low")
    )
    return names


def call(project: Project, *words: str) -> int:
    return main(["--repo", str(project.settings.repo), "models", *words])


def test_nothing_is_listed_before_there_is_a_model(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(project) == 0
    assert capsys.readouterr().out == "there are no models yet\n"


def test_the_overview_says_what_serves(
    project: Project, versions: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(project) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"late                     {versions[1]} serves since 20")
    assert "roc_auc 0.71" in shown


def test_a_model_is_listed_with_its_versions_newest_first(
    project: Project, versions: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(project, "late") == 0
    shown = capsys.readouterr().out
    places = [shown.index(f"\n  {name}  ") for name in reversed(versions)]
    assert places == sorted(places)
    assert f"{versions[2]}  rejected" in shown and "roc_auc too low" in shown
    assert f"{versions[0]}  deployed" in shown and "for 2026-03-08" in shown
    assert "training_sets/" in shown
    assert f"back to {versions[0]}: provender models rollback late" in shown


def test_the_same_as_json(project: Project, versions: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert call(project, "late", "--json") == 0
    (document,) = json.loads(capsys.readouterr().out)
    assert document["serving"]["version"] == versions[1]
    assert [each["state"] for each in document["versions"]] == ["rejected", "serving", "deployed"]
    assert [each["action"] for each in document["deployments"]] == ["deploy", "deploy", "reject"]
    assert document["trying"] is None


SPEC: dict[str, Any] = {
    "name": "rides",
    "owner": "tests",
    "cadence": "daily",
    "start": date(2026, 3, 1),
    "end": date(2026, 3, 4),
    "raw": {"uri": "../raw/{partition}.csv"},
    "event_timestamp": {"column": "at"},
    "columns": [{"name": "city", "type": "STRING"}, {"name": "at", "type": "TIMESTAMP"}],
    "tables": [{"name": "rides", "keys": ["city"]}],
}
MODEL = """
name: late
owner: tests
entities: {uri: rows.parquet}
label: is_late
features: [rides:fare, tips:tip]
window: 3d
"""


def test_a_model_says_which_key_is_complete_and_what_a_newer_one_lacks(
    project: Project, versions: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """rides ends after 2026-03-03; tips goes on."""
    for name, columns in (("rides", {}), ("tips", {"end": None})):
        fare = [*SPEC["columns"], {"name": "fare" if name == "rides" else "tip", "type": "DOUBLE"}]
        tables = [{"name": name, "keys": ["city"]}]
        document = SPEC | {"name": name, "columns": fare, "tables": tables} | columns
        project.write_source({key: value for key, value in document.items() if value is not None})
        recorded = datetime(2026, 3, 9, tzinfo=UTC)
        keys = ["2026-03-02", "2026-03-03", *(["2026-03-04"] if name == "tips" else [])]
        ledger = project.ledger(name)
        ledger.commit(
            Draft(
                Job.INGEST,
                "a",
                Kind.MANIFEST,
                dict.fromkeys(keys, ingested()),
                started=recorded,
                recorded_up_to=recorded,
            )
        )
        ledger.commit(
            Draft(Job.MATERIALIZE, "b", Kind.MANIFEST, {}, started=recorded, recorded_up_to=recorded)
        )
    write_definitions(project)
    assert call(project, "late") == 0
    shown = capsys.readouterr().out
    assert "newest complete key  2026-03-03" in shown
    assert "2026-03-04 is not complete: rides ends with 2026-03-03 and never covers it" in shown
    assert call(project, "late", "--json") == 0
    (document,) = json.loads(capsys.readouterr().out)
    assert document["keys"]["complete"] == "2026-03-03"
    assert document["keys"]["incomplete"] == "2026-03-04"


def write_definitions(project: Project) -> None:
    """Views of both sources, and the model on them."""
    views = """
from datetime import timedelta
from feast import Entity, FeatureView, ValueType
import provender

city = Entity(name="city", join_keys=["city"], value_type=ValueType.STRING)
"""
    for name in ("rides", "tips"):
        views += (
            f"{name} = FeatureView(name={name!r}, entities=[city], ttl=timedelta(days=1), "
            f"schema=provender.schema({name!r}), source=provender.source({name!r}))\n"
        )
    for path, text in (("views/views.py", views), ("models/late.yaml", MODEL)):
        file = project.settings.repo / path
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)


def test_a_misspelt_model_is_said(
    project: Project, versions: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(project, "lat") == 3
    assert "did you mean 'late'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ("rollback",),
        ("late", "later"),
        ("late", "--to", "x"),
        ("rollback", "a", "b"),
        ("list", "late"),
        ("show",),
    ],
)
def test_wrong_usage_is_refused(
    project: Project, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        call(project, *words)
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("usage: provender")


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_verbs_that_are_left_out_are_list_and_show(
    project: Project, versions: list[str], options: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    shown = []
    for words in ((), ("list",), ("late",), ("show", "late")):
        assert call(project, *words, *options) == 0
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1] != shown[2] == shown[3]

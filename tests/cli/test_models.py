"""``provender models``: what serves, since when, and the way back."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from provender.cli.main import main
from provender.models.deployments import Action, Deployment
from provender.models.store import ModelStore
from provender.storage import storage_at
from tests.engine import Project, make_project
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


def test_a_misspelt_model_is_said(
    project: Project, versions: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(project, "lat") == 3
    assert "did you mean 'late'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [("rollback",), ("late", "later"), ("late", "--to", "x"), ("rollback", "a", "b")]
)
def test_wrong_usage_shows_the_right_one(
    project: Project, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        call(project, *words)
    assert ended.value.code == 2
    assert "rollback NAME [--to VERSION]" in capsys.readouterr().err

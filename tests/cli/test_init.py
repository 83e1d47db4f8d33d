"""``provender init``: what it writes works, as its README says."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from provender.cli.main import main
from provender.cli.new_repo import RIDES_A_DAY, SAMPLE_DAYS, write_repo
from provender.errors import SetupError
from provender.processes.process import free_port

DAY = date(2026, 11, 27)


def edit_settings(folder: Path, **sections: dict[str, Any]) -> None:
    path = folder / "feature_defs/feature_store.yaml"
    document = yaml.safe_load(path.read_text())
    for name, values in sections.items():
        document[name] |= values
    path.write_text(yaml.safe_dump(document, sort_keys=False))


def blocks(folder: Path, language: str) -> list[str]:
    """The README's code blocks."""
    return re.findall(rf"```{language}\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)


def commands(folder: Path) -> list[list[str]]:
    """The README's commands, without the program's name."""
    (text,) = blocks(folder, "bash")
    return [line.split("#")[0].split()[1:] for line in text.splitlines()]


@pytest.mark.parametrize("project", [None, "shop"])
def test_it_names_the_project_and_gives_each_day_a_file(tmp_path: Path, project: str | None) -> None:
    written = write_repo(tmp_path / "My-shop 2", project, DAY)
    folder = tmp_path / "My-shop 2"
    assert all((folder / path).is_file() for path in written)
    settings = yaml.safe_load((folder / "feature_defs/feature_store.yaml").read_text())
    assert settings["project"] == (project or "my_shop_2")
    days = sorted(path.stem for path in (folder / "raw/rides").iterdir())
    assert (days[0], days[-1], len(days)) == ("2026-11-20", "2026-11-26", SAMPLE_DAYS)


def test_the_sample_is_the_same_for_the_same_days(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_repo(tmp_path / name, None, DAY)
    files = [(tmp_path / name / "raw/rides/2026-11-20.csv").read_bytes() for name in ("a", "b")]
    assert files[0] == files[1]
    assert len(files[0].splitlines()) == RIDES_A_DAY + 1


def test_no_placeholder_is_left(tmp_path: Path) -> None:
    for path in write_repo(tmp_path / "shop"):
        assert not re.search(r"\$(project|first|last)|\.template", (tmp_path / "shop" / path).read_text()), (
            path
        )


def test_a_folder_that_is_not_empty_is_refused_and_left_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    assert main(["init", str(tmp_path)]) == 3
    assert "name a new folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    assert main(["init", str(tmp_path / "shop")]) == 0
    (tmp_path / "other").mkdir()
    assert main(["init", str(tmp_path / "other")]) == 0


@pytest.mark.parametrize("name", ["2026", "Shop", "a-b", "drop table"])
def test_a_name_that_a_project_cannot_have_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SetupError, match="project's name"):
        write_repo(tmp_path / "shop", name)
    assert not (tmp_path / "shop").exists()


def test_its_own_tests_pass(tmp_path: Path) -> None:
    write_repo(tmp_path / "shop")
    command = [sys.executable, "-m", "pytest", "tests", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=tmp_path / "shop", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout


@pytest.fixture
def shop(tmp_path: Path, engine_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A new repo, the current folder, on the tests' Spark engine; its Redis is stopped in the end."""
    folder = tmp_path / "shop"
    write_repo(folder)
    edit_settings(
        folder,
        provender={"spark": {"remote": engine_url}},
        online_store={"connection_string": f"127.0.0.1:{free_port()}"},
    )
    monkeypatch.chdir(folder)
    yield folder
    assert main(["down"]) == 0


@pytest.mark.spark
@pytest.mark.redis
def test_the_readme_leads_from_raw_files_to_an_online_value(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in commands(shop):
        assert main(words) == 0, words
    (snippet,) = blocks(shop, "python")
    names: dict[str, Any] = {}
    exec(snippet, names)
    last = max((shop / "raw/rides").iterdir())
    with last.open(newline="") as file:
        fares = [float(row["fare"]) for row in csv.DictReader(file) if row["city"] == "Oslo"]
    answer = names["answer"]
    assert answer["rides"] == [len(fares)]
    assert answer["mean_fare"] == [pytest.approx(sum(fares) / len(fares))]
    assert_no_hole(capsys)


def assert_no_hole(capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["status", "--json"]) == 0
    (status,) = json.loads(capsys.readouterr().out)
    assert (status["holes"], status["stale"], status["not_online"]) == ([], [], [])

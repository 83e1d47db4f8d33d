from __future__ import annotations

import json
import re
import textwrap
from pathlib import Path

import pytest

from provender.cli.main import main
from provender.errors import SettingsError
from tests.specs.conftest import SPEC, SQL

DEMO = Path(__file__).parents[2] / "feature_defs"


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    folder = tmp_path / "feature_defs"
    (folder / "sources").mkdir(parents=True)
    (folder / "feature_store.yaml").write_text("project: p\nprovender: {state_dir: ../state}\n")
    (folder / "sources" / "trips.yaml").write_text(SPEC)
    (folder / "sources" / "trips_city.sql").write_text(SQL)
    return folder


def test_the_demos_definitions_are_fine(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--repo", str(DEMO), "validate"]) == 0
    assert "all is well: driver_statistics, flights, weather" in capsys.readouterr().out


def test_a_connection_that_the_settings_do_not_have_is_told(
    repo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = "raw:\n  uri: ../raw/trips/{partition}.csv\n  options: {nullValue: NA}"
    sql = "raw:\n  sql: {connection: shpo, table: trips}\n  time_column: at"
    (repo / "sources" / "trips.yaml").write_text(SPEC.replace(raw, sql))
    settings = repo / "feature_store.yaml"
    settings.write_text("project: p\nprovender: {state_dir: ../state, connections: {shop: 'sqlite://'}}\n")
    assert main(["--repo", str(repo), "validate"]) == 1
    assert "trips.yaml:8: raw.sql.connection: 'shpo'" in capsys.readouterr().err
    settings.write_text("project: p\nprovender: {state_dir: ../state, connections: {shpo: 'sqlite://'}}\n")
    assert main(["--repo", str(repo), "validate"]) == 0


def test_specs_sql_and_views_are_checked_in_one_go(repo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (repo / "sources" / "other.yaml").write_text(
        SPEC.replace("name: trips", "name: other").replace("owner", "ownr")
    )
    (repo / "sources" / "trips_city.sql").write_text("SELECT city, rand() AS trips\nFROM trips")
    (repo / "views").mkdir()
    (repo / "views" / "v.py").write_text("import provender\nprovender.source('tripz')\n")
    assert main(["--repo", str(repo), "validate"]) == 1
    lines = capsys.readouterr().err.replace(f"{repo}/", "").splitlines()
    assert [line.partition(";")[0] for line in lines] == [
        "sources/other.yaml:3: unknown key 'ownr'",
        "sources/trips_city.sql:1: rand() gives another answer each time",
        "views/v.py:2: no source is called 'tripz'",
        "3 problems",
    ]


def test_what_an_ingest_would_refuse_has_its_line_and_warnings_are_no_failure(
    repo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sql = repo / "sources" / "trips_city.sql"
    sql.write_text("SELECT city,\n  sum(fair) AS trips\nFROM trips\nGROUP BY city\n")
    assert main(["--repo", str(repo), "validate"]) == 1
    assert (
        "trips_city.sql:2: there is no column 'fair'; did you mean 'fare'?\n1 problem\n"
        in capsys.readouterr().err
    )
    sql.write_text("SELECT city, avg(CASE WHEN fare > 1 THEN 1.5 END) AS trips FROM trips GROUP BY city\n")
    assert main(["--repo", str(repo), "validate"]) == 0
    said = capsys.readouterr()
    assert "all is well: trips" in said.out
    assert said.err.startswith("warning: ") and "DECIMAL(6,5)" in said.err
    assert main(["--repo", str(repo), "validate", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["warnings"]) == 2


ODD = [
    b"cadence: {every: daily}\n",
    b"a: &a [*a]\n",
    b"name: *nothing\n",
    b"x: " + b"[" * 5000 + b"]" * 5000,
    b"start: 0001-01-01\ncadence: weekly\n",
    b"columns: [{name: {}, type: []}]\ntables: [{features: [{name: []}]}]\n",
    b"lateness: " + b"9" * 5000 + b"d\n",
    b"violations: {max_share: .nan}\n",
    b"columns: [{name: a, type: INT64, min: " + b"9" * 400 + b"}]\n",
    b"\xff\xfe\x00n",
    b"\x00",
    b"",
]


@pytest.mark.parametrize("folder", ["sources", "models"])
def test_odd_files_are_problems_and_never_a_trace(
    repo: Path, folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (repo / folder).mkdir(exist_ok=True)
    for number, content in enumerate(ODD):
        (repo / folder / f"odd{number}.yaml").write_bytes(content)
    (repo / folder / "folder.yaml").mkdir()
    (repo / folder / "gone.yaml").symlink_to("nowhere")
    (repo / "views").mkdir()
    (repo / "views" / "deep.py").write_text("x = " + "-" * 100_000 + "1\n")
    assert main(["--repo", str(repo), "validate"]) == 1
    lines = capsys.readouterr().err.splitlines()
    for name in (*(f"odd{number}" for number in range(len(ODD))), "folder", "gone"):
        assert any(f"{folder}/{name}.yaml:" in line for line in lines), name
    assert not [line for line in lines if "cannot be checked" in line or "Traceback" in line]


def test_problems_as_json(repo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (repo / "sources" / "trips.yaml").write_text(SPEC.replace("owner", "ownr"))
    assert main(["--repo", str(repo), "validate", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["sources"] == []
    assert len(document["problems"]) == 1


def test_a_wrong_repo_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--repo", str(tmp_path / "none"), "validate"]) == SettingsError.exit_code
    assert str(tmp_path / "none") in capsys.readouterr().err


def test_the_example_in_the_docs_is_a_source(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (DEMO.parent / "docs" / "sources.md").read_text(encoding="utf-8")
    blocks = dict(
        reversed(re.findall(r"```(yaml|sql|python)\n(.*?)```", text, re.DOTALL))
    )  # the first of each
    files = {"yaml": "sources/rides.yaml", "sql": "sources/rides_city.sql", "python": "views/rides.py"}
    for language, name in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(textwrap.dedent(blocks[language]), encoding="utf-8")
    (tmp_path / "feature_store.yaml").write_text("project: p\nprovender: {state_dir: state}\n")
    assert main(["--repo", str(tmp_path), "validate"]) == 0
    assert "all is well: rides" in capsys.readouterr().out

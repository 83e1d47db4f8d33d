"""The images' recipes name files, extras and programs that exist."""

from __future__ import annotations

import fnmatch
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from provender.settings import load_settings
from provender.spark_settings import IMAGE_REPO, LAUNCHER
from tests.engine import CHECKOUT

RECIPES = sorted((CHECKOUT / "deploy/images").glob("*/Dockerfile"))
EACH = pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.parent.name)


def instructions(recipe: Path) -> Iterator[tuple[str, str]]:
    """(FROM | RUN | COPY | …, the rest of its lines)."""
    text = re.sub(r"^#.*\n", "", recipe.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    for line in filter(None, text.splitlines()):
        word, _, rest = line.partition(" ")
        yield word, rest.strip()


def of(recipe: Path, word: str) -> list[str]:
    return [rest for found, rest in instructions(recipe) if found == word]


@EACH
def test_what_is_copied_is_in_the_checkout_and_sent_to_the_builder(recipe: Path) -> None:
    ignored = (CHECKOUT / ".dockerignore").read_text().split()
    defaults = dict(each.split("=") for each in of(recipe, "ARG"))
    for copied in of(recipe, "COPY"):
        if "--from=" in copied:
            continue
        *sources, _ = [word for word in shlex.split(copied) if not word.startswith("--")]
        for source in sources:
            path = re.sub(r"\$\{(\w+)\}", lambda found: defaults[found.group(1)], source)
            assert (CHECKOUT / path).exists(), path
            assert not any(fnmatch.fnmatch(path.split("/")[0], pattern) for pattern in ignored), path


@EACH
def test_environments_come_from_the_lock_files(recipe: Path) -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    syncs = re.findall(r"uv sync [^&\n]+", recipe.read_text())
    assert syncs
    for sync in syncs:
        assert "--frozen" in sync
        assert "--no-dev" in sync
        for extra in re.findall(r"--extra (\S+)", sync):
            assert extra in project["optional-dependencies"]
        for folder in re.findall(r"--project (\S+)", sync):
            assert (CHECKOUT / folder / "uv.lock").exists()


def test_all_images_are_built_by_one_uv_on_one_python() -> None:
    found = {
        (re.findall(r"uv==\S+", recipe.read_text())[0], of(recipe, "FROM")[0].split(" ")[0])
        for recipe in RECIPES
    }
    assert found == {("uv==0.13.9", "python:3.11-slim-bookworm")}


@EACH
def test_nothing_runs_as_root(recipe: Path) -> None:
    assert of(recipe, "USER")[-1] not in ("root", "0")


@EACH
def test_the_images_trust_the_authorities_that_are_put_beside_them(recipe: Path) -> None:
    assert any("deploy/images/certificates" in each for each in of(recipe, "COPY"))
    assert any("update-ca-certificates" in each for each in of(recipe, "RUN"))


@EACH
def test_what_sits_in_an_image_holds_no_secret(recipe: Path) -> None:
    assert not re.search(r"(?i)^(ARG|ENV) .*(password|secret|token)", recipe.read_text(), re.MULTILINE)


@EACH
def test_settings_that_are_built_in_are_settings(recipe: Path) -> None:
    for copied in of(recipe, "COPY"):
        if "SETTINGS" in copied:
            assert copied.endswith(f"{Path(IMAGE_REPO).name}/feature_store.yaml")
            assert "PROVENDER_REPO=/opt/provender/feature_defs" in recipe.read_text()


def test_a_spark_application_finds_its_launcher_and_its_settings_in_the_image() -> None:
    recipe = (CHECKOUT / "deploy/images/spark/Dockerfile").read_text()
    packages = re.findall(r"SPARK_HOME=(\S+)/pyspark", recipe)
    assert Path(LAUNCHER).parents[1] == Path(packages[0])
    assert (CHECKOUT / "spark_jobs" / Path(LAUNCHER).name).exists()
    assert (
        "spark_jobs"
        in tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"][
            "wheel"
        ]["packages"]
    )
    assert IMAGE_REPO == "/opt/provender/feature_defs"
    assert "WORKDIR /opt/provender" in recipe


def test_the_spark_image_holds_what_the_applications_import_at_the_platforms_versions_and_no_airflow() -> (
    None
):
    spark, platform = asked_by_extra("spark"), asked_by_extra("platform")
    assert "--extra spark --no-install-project" in (CHECKOUT / "deploy/images/spark/Dockerfile").read_text()
    assert not any("airflow" in each for each in spark)
    pinned = {each for each in spark if "==" in each}
    assert pinned <= platform and any(each.startswith("pyspark==") for each in pinned)
    registry = yaml.safe_load((CHECKOUT / "deploy/kubernetes/feature_store.yaml").read_text())["registry"]
    assert registry["registry_type"] == "sql" and any(each.startswith("sqlalchemy") for each in spark)


def asked_by_extra(name: str) -> set[str]:
    """What one of our extras asks for, those that it names included."""
    extras = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    asked: set[str] = set()
    for each in extras[name]:
        own = re.fullmatch(r"provender\[(.+)\]", each)
        asked |= {of for extra in own.group(1).split(",") for of in asked_by_extra(extra)} if own else {each}
    return asked


def test_feasts_registry_server_has_what_it_speaks() -> None:
    """Feast imports it where the server starts, and names it in an extra of its own."""
    extras = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert any(re.match(r"feast\[.*grpcio", each) for each in extras["cluster"])


def test_spark_on_the_cluster_is_the_locked_one() -> None:
    locked = re.search(r'name = "pyspark"\nversion = "([^"]+)"', (CHECKOUT / "uv.lock").read_text())
    assert locked is not None
    assert load_settings(CHECKOUT / "deploy/kubernetes").spark.kubernetes.spark_version == locked.group(1)


def test_the_training_step_that_is_sent_to_kubeflow_is_in_airflows_image() -> None:
    recipe = (CHECKOUT / "deploy/images/airflow/Dockerfile").read_text()
    assert "COPY training/pipeline.yaml training/pipeline.yaml" in recipe
    assert "PROVENDER_TRAINING=/opt/provender/training" in recipe

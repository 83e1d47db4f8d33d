"""The project's own files agree with one another."""

from __future__ import annotations

import re
import tomllib

from provender import __version__
from tests.engine import CHECKOUT


def locked_versions() -> dict[str, set[str]]:
    """Package name to the versions in the lock file."""
    versions: dict[str, set[str]] = {}
    for package in tomllib.loads((CHECKOUT / "uv.lock").read_text())["package"]:
        versions.setdefault(package["name"], set()).add(package["version"])
    return versions


def test_requirements_are_what_the_lock_file_says() -> None:
    pinned = re.findall(
        r"^([A-Za-z0-9._-]+)==(\S+)", (CHECKOUT / "requirements.txt").read_text(), re.MULTILINE
    )
    locked = locked_versions()
    assert len(pinned) > 300
    assert [(name, version) for name, version in pinned if version not in locked.get(name, set())] == []


def test_every_direct_dependency_is_among_the_requirements() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    extras = [line for lines in project["optional-dependencies"].values() for line in lines]
    lines = [*project["dependencies"], *extras]
    names = {re.match(r"[A-Za-z0-9._-]+", line).group() for line in lines} - {"provender"}  # type: ignore[union-attr]
    pinned = set(
        re.findall(r"^([A-Za-z0-9._-]+)==", (CHECKOUT / "requirements.txt").read_text(), re.MULTILINE)
    )
    assert names - pinned == set()


def test_the_version_is_written_alike() -> None:
    assert tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["version"] == __version__


def test_every_make_target_of_the_readme_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (CHECKOUT / "Makefile").read_text(), re.MULTILINE))
    asked = set(re.findall(r"\bmake ([a-z-]+)", (CHECKOUT / "README.md").read_text()))
    assert asked - targets == set()

"""The Java that Spark runs on: this machine's, or one fetched into the state directory."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from provender.errors import SetupError
from provender.settings import Settings

SUPPORTED = (17, 21)


def java_command(settings: Settings) -> Path:
    """The ``java`` to use: of ``JAVA_HOME``, on the path, or fetched by :func:`fetch`.

    Raises :class:`SetupError` if there is none of a supported version.
    """
    found = [path for path in _candidates(settings) if path.is_file()]
    versions = {path: _major_version(path) for path in found}
    for path, version in versions.items():
        if version in SUPPORTED:
            return path
    seen = ", ".join(f"{path} is {version or 'unknown'}" for path, version in versions.items())
    raise SetupError(
        f"no Java {' or '.join(map(str, SUPPORTED))} found{': ' + seen if seen else ''}",
        where="JAVA_HOME, the PATH and " + str(_home(settings)),
        remedy="install OpenJDK 17 or 21, or run: provender setup (it fetches one where it can)",
    )


def java_environment(settings: Settings) -> dict[str, str]:
    """``JAVA_HOME`` for a child process that starts Java."""
    return {"JAVA_HOME": str(java_command(settings).resolve().parent.parent)}


def fetch(settings: Settings) -> Path:
    """Downloads a Temurin 17 into the state directory. Raises :class:`SetupError` if it cannot be had."""
    import cjdk

    try:
        home = cjdk.java_home(vendor="temurin", version="17", cache_dir=settings.state_dir / "java-cache")
    except Exception as error:  # cjdk lets its downloader's many errors through
        raise SetupError(
            f"Java is not installed and could not be fetched: {error}",
            remedy="install OpenJDK 17 or 21 (Debian: apt-get install openjdk-17-jre-headless), then run again",
        ) from error
    link = _home(settings)
    link.unlink(missing_ok=True)
    link.symlink_to(home)
    return link


def ensure(settings: Settings) -> Path:
    """:func:`java_command`, fetching one first if need be."""
    try:
        return java_command(settings)
    except SetupError:
        fetch(settings)
        return java_command(settings)


def _home(settings: Settings) -> Path:
    return settings.state_dir / "java"


def _candidates(settings: Settings) -> list[Path]:
    named = os.environ.get("JAVA_HOME")
    on_path = shutil.which("java")
    homes = [Path(named) / "bin" / "java"] if named else []
    return [*homes, *([Path(on_path)] if on_path else []), _home(settings) / "bin" / "java"]


def _major_version(java: Path) -> int | None:
    done = subprocess.run([str(java), "-version"], capture_output=True, text=True, check=False)
    found = re.search(r'version "(\d+)', done.stderr + done.stdout)
    return int(found.group(1)) if found else None

"""The jars that Spark's own package does not carry: resolved once, verified, put on the class path.

Resolving at every start costs seconds and needs a network; this needs it once. Ivy, which is part of Spark,
fetches from its default repository.

    python -m provender.spark.jars [--repo FOLDER] [--into FOLDER]
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from provender.errors import SetupError
from provender.settings import Settings, load_settings
from provender.spark.java import ensure, java_command

_SCRATCH = ".fetch-"


@dataclass(frozen=True)
class Jar:
    """One artifact of a Maven repository, and the SHA-256 of its bytes."""

    group: str
    name: str
    version: str
    sha256: str
    classifier: str = ""

    @property
    def file_name(self) -> str:
        return "-".join(part for part in (self.name, self.version, self.classifier) if part) + ".jar"


JARS = (
    Jar(
        "io.delta",
        "delta-spark_4.1_2.13",
        "4.2.0",
        "8480050a55c7e50427f3bec3af9243f98fc7cbfa453a2ef55e6ea8d0b7b121ff",
    ),
    Jar(
        "io.delta",
        "delta-storage",
        "4.2.0",
        "2d84df76551f2b3cd27b120abec67ccbba324cea6ec45eb659edcc54234f99f3",
    ),
    Jar(
        "io.delta",
        "delta-kernel-api",
        "4.2.0",
        "7c5e742192794b069ac64fb40ab0933e1a70d27f1f32805bdd8c06af1d4df012",
    ),
    Jar(
        "io.delta",
        "delta-kernel-defaults",
        "4.2.0",
        "ce6cfcde63a1642fc71b836b90a4056b9b8c90d22fb66e8d103bf33f750419c7",
    ),
    Jar(
        "io.delta",
        "delta-kernel-unitycatalog",
        "4.2.0",
        "8bbdfe74de90dea403e8c749da045a62f96810378f362ab99e7e030f75963b49",
    ),
    Jar(
        "io.unitycatalog",
        "unitycatalog-client",
        "0.4.1",
        "133ac960d301f2c95ef3c763f88e04939de76938892e144393e4018d29dd3469",
    ),
    Jar(
        "org.apache.spark",
        "spark-avro_2.13",
        "4.1.1",
        "6a19d90bc3b6e88d8db0fa36a19273aa10fea2dbd7a62bb60e4cedd73051b32d",
    ),
)

GCS_JARS = (
    Jar(
        "com.google.cloud.bigdataoss",
        "gcs-connector",
        "hadoop3-2.2.26",
        "cbaa2773283c2237f933f48deb77a6f912619e367b26efe186aee74f4b35d89c",
        "shaded",
    ),
)
"""What a storage root on ``gs://`` needs besides: 38 MB that nobody else fetches or loads."""


def wanted(settings: Settings) -> tuple[Jar, ...]:
    """The jars that these settings need."""
    return JARS + (GCS_JARS if settings.storage_root.startswith("gs://") else ())


def install(settings: Settings, into: Path | None = None) -> list[Path]:
    """Makes sure that every jar is in ``into`` (default: ``<state_dir>/<jars_dir>``); fetches what is missing.

    Raises :class:`SetupError` if Java is missing, an artifact cannot be had, or its bytes are not the expected.
    """
    folder = into or settings.state_dir / settings.spark.jars_dir
    folder.mkdir(parents=True, exist_ok=True)
    with _only_one(folder):
        missing = [jar for jar in wanted(settings) if not _is_there(folder / jar.file_name, jar)]
        if missing:
            print(f"fetching {len(missing)} jars for Spark", flush=True)
            _fetch(settings, missing, folder)
    return [folder / jar.file_name for jar in wanted(settings)]


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """One process at a time fetches into ``folder``; what one that was killed has left there is removed."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        for left in folder.glob(f"{_SCRATCH}*"):
            shutil.rmtree(left)
        yield
    finally:
        os.close(descriptor)


def _is_there(path: Path, jar: Jar) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == jar.sha256


def _fetch(settings: Settings, jars: list[Jar], folder: Path) -> None:
    import pyspark

    with tempfile.TemporaryDirectory(dir=folder, prefix=_SCRATCH) as scratch:
        descriptor = Path(scratch) / "ivy.xml"
        descriptor.write_text(_ivy_module(jars))
        ivy = next((Path(pyspark.__file__).parent / "jars").glob("ivy-*.jar"))
        command = [
            str(java_command(settings)),
            f"-Divy.default.ivy.user.dir={scratch}/cache",
            "-jar",
            str(ivy),
        ]
        command += [
            "-ivy",
            str(descriptor),
            "-retrieve",
            f"{scratch}/[artifact]-[revision](-[classifier]).[ext]",
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        for jar in jars:
            fetched = Path(scratch) / jar.file_name
            if not _is_there(fetched, jar):
                raise SetupError(
                    f"{jar.group}:{jar.name}:{jar.version} could not be fetched, or is not the jar it should be",
                    where=str(folder),
                    remedy=f"check the network, then run: provender setup\n{_tail(done.stdout + done.stderr)}",
                )
            os.replace(fetched, folder / jar.file_name)


def _ivy_module(jars: list[Jar]) -> str:
    dependencies = "".join(
        f'<dependency org="{jar.group}" name="{jar.name}" rev="{jar.version}" transitive="false" conf="default">'
        f'<artifact name="{jar.name}" type="jar" ext="jar"{_maven_classifier(jar)}/></dependency>'
        for jar in jars
    )
    return (
        '<ivy-module version="2.0" xmlns:m="http://ant.apache.org/ivy/maven">'
        '<info organisation="provender" module="jars"/>'
        f'<configurations><conf name="default"/></configurations><dependencies>{dependencies}</dependencies>'
        "</ivy-module>"
    )


def _maven_classifier(jar: Jar) -> str:
    return f' m:classifier="{jar.classifier}"' if jar.classifier else ""


def _tail(text: str, lines: int = 8) -> str:
    return "\n".join(text.splitlines()[-lines:])


def main() -> int:
    parser = argparse.ArgumentParser(description="Fetches the jars Spark needs.")
    parser.add_argument("--repo", default=None)
    parser.add_argument("--into", type=Path, default=None, help="an image's folder of jars")
    parsed = parser.parse_args()
    try:
        settings = load_settings(parsed.repo)
        ensure(settings)
        install(settings, parsed.into)
    except SetupError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())

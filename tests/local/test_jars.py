from __future__ import annotations

import zipfile
from pathlib import Path
from xml.etree import ElementTree

import pytest

from provender.errors import SetupError
from provender.settings import Settings
from provender.spark import jars
from provender.spark.jars import GCS_JARS, JARS, _ivy_module, wanted
from provender.spark.server import find_jars
from tests.engine import JARS as INSTALLED


def settings_of(tmp_path: Path, root: str) -> Settings:
    return Settings(repo=tmp_path, project="p", storage_root=root, state_dir=tmp_path)


def install(tmp_path: Path, *names: str) -> None:
    (tmp_path / "jars").mkdir(exist_ok=True)
    for name in names:
        zipfile.ZipFile(tmp_path / "jars" / name, "w").close()


def test_a_folder_neither_fetches_nor_loads_the_gcs_connector(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "file:///x")
    assert wanted(settings) == JARS
    names = [jar.file_name for jar in (*JARS, *GCS_JARS)]
    install(tmp_path, *names, "mine.jar")
    assert {jar.name for jar in find_jars(settings)} == {*(jar.file_name for jar in JARS), "mine.jar"}


def test_a_bucket_needs_the_connector(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "gs://bucket/x")
    install(tmp_path, *(jar.file_name for jar in JARS))
    with pytest.raises(SetupError, match="gcs-connector-hadoop3-2.2.26-shaded.jar") as caught:
        find_jars(settings)
    assert "provender setup" in str(caught.value)
    install(tmp_path, *(jar.file_name for jar in GCS_JARS))
    assert len(find_jars(settings)) == len(JARS) + len(GCS_JARS)


def test_a_classifier_is_asked_for_as_ivy_wants_it() -> None:
    document = ElementTree.fromstring(_ivy_module([*GCS_JARS, JARS[0]]))
    artifacts = document.findall("dependencies/dependency/artifact")
    classifier = "{http://ant.apache.org/ivy/maven}classifier"
    assert [artifact.get(classifier) for artifact in artifacts] == ["shaded", None]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and not much more"], ids=["empty", "cut"])
def test_a_jar_that_was_fetched_in_part_is_named_before_java_is_started(
    tmp_path: Path, content: bytes
) -> None:
    settings = settings_of(tmp_path, "file:///x")
    install(tmp_path, *(jar.file_name for jar in JARS))
    (tmp_path / "jars" / JARS[1].file_name).write_bytes(content)
    with pytest.raises(SetupError, match="empty or cut: delta-storage") as caught:
        find_jars(settings)
    assert "provender setup" in caught.value.remedy


def test_what_a_killed_fetch_left_is_removed(tmp_path: Path) -> None:
    folder = tmp_path / "jars"
    left = folder / ".fetch-dead" / "cache"
    left.mkdir(parents=True)
    (left / "half.jar").write_bytes(b"PK")
    for jar in JARS:
        (folder / jar.file_name).symlink_to(INSTALLED / jar.file_name)
    jars.install(settings_of(tmp_path, "file:///x"))
    assert sorted(path.name for path in folder.iterdir()) == sorted(jar.file_name for jar in JARS)

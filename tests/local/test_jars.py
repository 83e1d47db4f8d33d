from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from provender.errors import SetupError
from provender.local.jars import GCS_JARS, JARS, _ivy_module, wanted
from provender.settings import Settings
from provender.spark.server import find_jars


def settings_of(tmp_path: Path, root: str) -> Settings:
    return Settings(repo=tmp_path, project="p", storage_root=root, state_dir=tmp_path)


def install(tmp_path: Path, *names: str) -> None:
    (tmp_path / "jars").mkdir(exist_ok=True)
    for name in names:
        (tmp_path / "jars" / name).touch()


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
    assert "make install" in str(caught.value)
    install(tmp_path, *(jar.file_name for jar in GCS_JARS))
    assert len(find_jars(settings)) == len(JARS) + len(GCS_JARS)


def test_a_classifier_is_asked_for_as_ivy_wants_it() -> None:
    document = ElementTree.fromstring(_ivy_module([*GCS_JARS, JARS[0]]))
    artifacts = document.findall("dependencies/dependency/artifact")
    classifier = "{http://ant.apache.org/ivy/maven}classifier"
    assert [artifact.get(classifier) for artifact in artifacts] == ["shaded", None]

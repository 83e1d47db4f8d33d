"""An artifact is whole and unchanged, or it is refused."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from provender.errors import ArtifactError
from provender.model_registry.artifact import Artifact, Example, Signature, read_artifact, version_of
from provender.storage import FileStorage
from tests.models.artifacts import signature, write_artifact

EXAMPLES = (Example({"hour": 7, "carrier_day__delay": None}, 0.25),)


@pytest.fixture
def artifact(tmp_path: Path) -> Artifact:
    storage = FileStorage(tmp_path.as_uri())
    version = write_artifact(storage, examples=EXAMPLES)
    return read_artifact(storage.uri(f"models/late/versions/{version}"))


def test_what_training_wrote_is_what_serving_reads(artifact: Artifact) -> None:
    artifact.verify()
    assert artifact.signature == signature()
    assert artifact.examples == EXAMPLES
    assert artifact.metrics == {"roc_auc": 0.7}
    assert artifact.read("model.skops") == b"a model"
    assert artifact.uri.endswith(artifact.version)


def test_a_signature_survives_json(artifact: Artifact) -> None:
    text = json.dumps(signature().to_document())
    assert Signature.from_document(json.loads(text)) == signature()
    assert signature().feature("carrier_day__delay").join_keys == ("carrier",)


def test_a_bare_path_is_as_good_as_a_uri(artifact: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(artifact.uri.removeprefix("file://"))
    monkeypatch.chdir(folder.parent)
    assert read_artifact(folder.name).version == artifact.version


def test_the_version_follows_model_signature_and_training_set_only(tmp_path: Path) -> None:
    storage = FileStorage(tmp_path.as_uri())
    version = write_artifact(storage)
    assert version == write_artifact(storage, metrics={"roc_auc": 0.9})
    others = {
        write_artifact(storage, model=b"another"),
        write_artifact(storage, signed=signature(as_known=False)),
        write_artifact(storage, training_set="f" * 16),
    }
    assert len(others | {version}) == 4


def test_the_version_is_the_documented_hash() -> None:
    hashes = {"signature.json": "bb", "model.skops": "aa", "model_card.md": "cc"}
    text = "model.skops aa\nsignature.json bb\ntraining_set 77\n"
    assert version_of(hashes, "77") == hashlib.sha256(text.encode()).hexdigest()[:16]


@pytest.mark.parametrize("name", ["model.skops", "signature.json", "artifact.json"])
def test_a_missing_file_is_named(artifact: Artifact, name: str) -> None:
    Path(artifact.uri.removeprefix("file://"), name).unlink()
    with pytest.raises(ArtifactError, match=name):
        read_artifact(artifact.uri).verify()


def test_a_changed_file_is_refused_before_anything_is_made_of_it(artifact: Artifact) -> None:
    Path(artifact.uri.removeprefix("file://"), "model.skops").write_bytes(b"changed")
    with pytest.raises(ArtifactError, match="not the file that was written"):
        read_artifact(artifact.uri).read("model.skops")


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"files": 3}', '{"format": 1, "files": {}}', '{"format": 9, "files": {"model.skops": ""}}'],
)
def test_what_is_no_artifact_is_said(tmp_path: Path, text: str) -> None:
    (tmp_path / "artifact.json").write_text(text)
    with pytest.raises(ArtifactError, match="no whole model artifact"):
        read_artifact(tmp_path.as_uri())


def test_a_signature_of_another_format_is_refused() -> None:
    with pytest.raises(ArtifactError, match="format 2"):
        Signature.from_document({**signature().to_document(), "format": 2})
    with pytest.raises(ArtifactError, match="inputs"):
        Signature.from_document({k: v for k, v in signature().to_document().items() if k != "inputs"})


def test_a_download_is_an_artifact_of_its_own(artifact: Artifact, tmp_path: Path) -> None:
    copy = artifact.download(tmp_path / "copy")
    assert read_artifact(str(copy)).version == artifact.version
    read_artifact(str(copy)).verify()


def test_training_and_serving_can_import_it_without_the_platform() -> None:
    heavy = "'pandas', 'feast', 'redis', 'pyarrow', 'psutil', 'airflow'"
    code = f"import sys, provender.model_registry.artifact; print([m for m in ({heavy}) if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

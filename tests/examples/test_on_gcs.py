"""``examples/on_gcs`` works with a bucket: checked, staged, and its state told from there."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from provender.cli.main import main
from tests.engine import CHECKOUT
from tests.gcs import GcsServer

ROWS = "ride_id,city,fare,finished_at\n1,Oslo,12.5,2026-11-01T10:00:00Z\n2,Bergen,9,2026-11-01T11:00:00Z\n"


@pytest.fixture
def repo(tmp_path: Path, gcs_server: GcsServer) -> Path:
    """The example in a folder of its own, on a bucket of the emulator with one raw file."""
    shutil.copytree(CHECKOUT / "examples/on_gcs", tmp_path / "example")
    bucket = gcs_server.new_bucket()
    gcs_server.client().bucket(bucket).blob("raw/rides/2026-11-01.csv").upload_from_string(ROWS)
    folder = tmp_path / "example/feature_defs"
    for path in (folder / "feature_store.yaml", folder / "sources/rides.yaml"):
        path.write_text(path.read_text().replace("gs://my-bucket", f"gs://{bucket}"))
    return folder


@pytest.mark.gcs
def test_a_day_is_staged_in_the_bucket(repo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--repo", str(repo), "validate"]) == 0
    capsys.readouterr()
    assert main(["--repo", str(repo), "stage", "rides", "2026-11-01", "--json"]) == 0
    (manifest,) = json.loads(capsys.readouterr().out)
    assert list(manifest["partitions"]) == ["2026-11-01"]
    assert main(["--repo", str(repo), "status", "--json"]) == 0
    (status,) = json.loads(capsys.readouterr().out)
    assert status["holes"] == ["2026-11-01", "2026-11-02"]  # staged is not ingested
    assert status["raw_changed"] == {} and status["raw_unknown"] in (None, "")

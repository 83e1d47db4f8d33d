"""What the Spark image is made of runs a job: the wheel, the jars, the entrypoint."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.engine import CHECKOUT


@pytest.mark.spark
@pytest.mark.slow
def test_the_wheel_and_the_images_entrypoint_commit_a_manifest(tmp_path: Path) -> None:
    script = CHECKOUT / "deploy/images/spark/smoke.sh"
    done = subprocess.run([script, tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "committed ingest manifest 1 of trips: staged 2, accepted 2" in done.stdout

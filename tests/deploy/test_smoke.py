"""What the Spark image is made of runs a job: the wheel, the jars, the entrypoint."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.engine import CHECKOUT


@pytest.mark.spark
@pytest.mark.slow
def test_the_wheel_and_the_images_entrypoint_commit_a_manifest(tmp_path: Path) -> None:
    script = CHECKOUT / "deploy/images/spark/smoke.sh"
    # As after a test that was a Spark Connect client in this process: the order of the tests is not part of the image.
    left_behind = {**os.environ, "SPARK_CONNECT_MODE_ENABLED": "1"}
    done = subprocess.run([script, tmp_path], capture_output=True, text=True, check=False, env=left_behind)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "committed ingest manifest 1 of trips: staged 2, accepted 2" in done.stdout + done.stderr

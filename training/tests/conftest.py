"""The training environment's own tests: ``training/.venv/bin/python -m pytest training/tests``."""

from __future__ import annotations

import sys
from pathlib import Path

TRAINING = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TRAINING), str(TRAINING / "tests")]

"""``make bench``: runs every benchmark, prints the table, writes JSON lines under ``bench/results/``."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from bench import ingesting, joining, materializing, parsing
from bench.results import keep, show
from provender.settings import load_settings
from provender.spark import server


def main() -> int:
    """0 if every target is met, else 1."""
    with tempfile.TemporaryDirectory(prefix="provender-bench-") as name:
        folder = Path(name)
        try:
            results = [*parsing.run(folder), *ingesting.run(folder), *joining.run(folder)]
            results += materializing.run(folder)
        finally:
            for repo in folder.glob("**/feature_defs"):
                server.stop(load_settings(repo))
    show(results)
    print(f"kept in {keep(results)}")
    return 0 if all(result.met for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())

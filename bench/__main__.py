"""``make bench``: runs the benchmarks, prints the table, keeps JSON lines and ``docs/benchmarks.md``.

python -m bench [--full] [SUITE …]     suites: parsing ingesting joining materializing reading serving
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from bench import ingesting, joining, materializing, parsing, reading, serving
from bench.page import write_page
from bench.results import Result, keep, show
from provender.settings import load_settings
from provender.spark import server

Suite = Callable[[Path], list[Result]]
SUITES: dict[str, Suite] = {
    "parsing": parsing.run,
    "ingesting": ingesting.run,
    "joining": joining.run,
    "materializing": materializing.run,
    "reading": reading.run,
    "serving": serving.run,
}
FULL: dict[str, Suite] = {
    "ingesting": ingesting.run_full,
    "joining": partial(joining.run, sizes=joining.FULL_SIZES),
}
"""What ``--full`` runs instead: hours, not minutes."""


def main() -> int:
    """0 if every target is met, else 1."""
    parser = argparse.ArgumentParser(description="Each figure beside its peer from the same run.")
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"of {', '.join(SUITES)}; default: all")
    parser.add_argument("--full", action="store_true", help="the large sizes, too")
    given = parser.parse_args()
    unknown = set(given.suites) - SUITES.keys()
    if unknown:
        parser.error(f"no such suite: {', '.join(sorted(unknown))}")
    found: list[Result] = []
    for name in given.suites or SUITES:
        results = _run(FULL.get(name, SUITES[name]) if given.full else SUITES[name])
        show(results)
        print(f"kept in {keep(name, results)}", flush=True)
        found += results
    print(f"written to {write_page()}")
    return 0 if all(result.met for result in found) else 1


def _run(suite: Suite) -> list[Result]:
    with tempfile.TemporaryDirectory(prefix="provender-bench-") as name:
        folder = Path(name)
        try:
            return suite(folder)
        finally:
            for repo in folder.glob("**/feature_defs"):
                server.stop(load_settings(repo))


if __name__ == "__main__":
    sys.exit(main())

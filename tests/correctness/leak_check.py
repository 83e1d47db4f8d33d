"""Breaks the rules on purpose, one at a time, and says which test notices: ``python -m tests.correctness.leak_check``.

Every mutant is a change of a few characters to a copy of the package in a temporary folder; tests run on that copy in a
process of their own. A mutant that no test catches fails the command, and so does one whose place in the code is gone.

    --only TEXT     mutants whose name or file contains the text
    --no-spark      those that need no Spark engine
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.correctness.mutants import MUTANTS, Mutant
from tests.engine import CHECKOUT, ENGINE_VARIABLE, JARS, make_project

_FAILED = re.compile(r"^(?:FAILED|ERROR) \S*?([\w/]+\.py(?:::\S+(?: [^-]\S*)*)?)", re.MULTILINE)
TIMEOUT_SECONDS = 240


def mutated(mutant: Mutant, folder: Path) -> Path:
    """A copy of the package with the mutant in it; answers the folder to import it from."""
    place = folder / re.sub(r"\W+", "-", mutant.name)
    shutil.copytree(CHECKOUT / "provender", place / "provender", ignore=shutil.ignore_patterns("__pycache__"))
    file = place / mutant.file
    text = file.read_text()
    if text.count(mutant.old) != 1:
        sys.exit(
            f"{mutant.name}: {mutant.file} holds {text.count(mutant.old)} times, not once:\n{mutant.old}\n"
            "the code has moved: bring tests/correctness/mutants.py up to date"
        )
    file.write_text(text.replace(mutant.old, mutant.new))
    return place


def caught_by(path: Path | None, tests: tuple[str, ...], engine: str) -> str | None:
    """The test that fails with ``provender`` imported from ``path`` (None: as it is); None if all pass.

    Ends the command where the tests cannot run at all.
    """
    where = f"pythonpath={path} ." if path else "pythonpath=."
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "-p", "no:cacheprovider"]
    environment = os.environ | {ENGINE_VARIABLE: engine, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [*command, "-o", where, *tests],
        cwd=CHECKOUT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
    )
    if done.returncode == 0:
        return None
    found = _FAILED.search(done.stdout)
    if done.returncode != 1 or found is None:
        sys.exit(f"the tests did not run:\n{done.stdout[-4000:]}\n{done.stderr[-2000:]}")
    return found[1].removeprefix("tests/")


@contextmanager
def spark_engine(folder: Path, wanted: bool) -> Iterator[str]:
    """One engine for all mutants: what they change is planned in the tests' own process."""
    if not wanted:
        yield ""
        return
    from provender.spark import server

    home = make_project(folder / "engine", spark={"jars_dir": str(JARS), "driver_memory": "2g"})
    with server.in_use(home.settings) as address:
        yield address.url
    server.stop(home.settings)


def check(mutants: list[Mutant]) -> list[Mutant]:
    """Prints a line for each mutant; answers those that survived."""
    survivors = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with spark_engine(folder, any(mutant.needs_spark for mutant in mutants)) as engine:
            for tests in dict.fromkeys(mutant.tests for mutant in mutants):
                if (failing := caught_by(None, tests, engine)) is not None:
                    sys.exit(f"{failing} fails without any mutant")
            for mutant in mutants:
                caught = caught_by(mutated(mutant, folder), mutant.tests, engine)
                print(f"{mutant.where:<28} {mutant.name:<58} {caught or 'SURVIVED'}", flush=True)
                survivors += [] if caught else [mutant]
    return survivors


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Which test catches which broken rule.")
    parser.add_argument("--only", default="", metavar="TEXT")
    parser.add_argument("--no-spark", action="store_true")
    given = parser.parse_args(arguments)
    chosen = [
        mutant
        for mutant in MUTANTS
        if given.only in f"{mutant.name} {mutant.file}" and not (given.no_spark and mutant.needs_spark)
    ]
    started = time.monotonic()
    print(f"{'where':<28} {'mutant':<58} caught by")
    survivors = check(chosen)
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} caught in {time.monotonic() - started:.0f} s")
    return 1 if survivors or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())

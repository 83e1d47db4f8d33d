"""Breaks the rules on purpose, one at a time, and says which test notices: ``python -m tests.correctness.leak_check``.

Every mutant is a change of a few characters to a copy of the package in a temporary folder; tests run on that copy in a
process of their own. A mutant that no test catches fails the command, and so does one whose place in the code is gone.

    --only TEXT     mutants whose name or file contains the text
    --no-spark      those that need no Spark engine
    --at-once N     this many at a time (2)
"""

from __future__ import annotations

import argparse
import compileall
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from queue import Queue

from tests.correctness.cases import ROUNDS_VARIABLE
from tests.correctness.mutants import MUTANTS, Mutant
from tests.engine import CHECKOUT, ENGINE_VARIABLE, JARS, make_project

_FAILED = re.compile(r"^(?:FAILED|ERROR) \S*?([\w/]+\.py(?:::\S+(?: [^-]\S*)*)?)", re.MULTILINE)
TIMEOUT_SECONDS = 240


class Package:
    """A copy of the package that is broken and fixed again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(CHECKOUT / "provender", folder / "provender")
        compileall.compile_dir(folder, quiet=1)

    @contextmanager
    def mutated(self, mutant: Mutant) -> Iterator[Path]:
        """The folder to import the broken package from."""
        file = self.folder / mutant.file
        text = file.read_text()
        if text.count(mutant.old) != 1:
            raise CodeMovedError(
                f"{mutant.name}: {mutant.file} holds this {text.count(mutant.old)} times, not once:\n{mutant.old}\n"
                "the code has moved: bring tests/correctness/mutants.py up to date"
            )
        for compiled in (file.parent / "__pycache__").glob(f"{file.stem}.*"):
            compiled.unlink()  # it is told apart from the mutant by second and size only
        file.write_text(text.replace(mutant.old, mutant.new))
        try:
            yield self.folder
        finally:
            file.write_text(text)


class CodeMovedError(Exception):
    """What a mutant replaces is not there."""


class NotRunError(Exception):
    """The tests could not be run at all."""


def caught_by(path: Path | None, tests: tuple[str, ...], engine: str) -> str | None:
    """The test that fails with ``provender`` imported from ``path`` (None: as it is); None if all pass.

    Raises :class:`NotRunError`.
    """
    where = f"pythonpath={path} ." if path else "pythonpath=."
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "-p", "no:cacheprovider"]
    environment = os.environ | {ENGINE_VARIABLE: engine, ROUNDS_VARIABLE: "0", "PYTHONDONTWRITEBYTECODE": "1"}
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
        raise NotRunError(f"{done.stdout[-4000:]}\n{done.stderr[-2000:]}")
    return found[1].removeprefix("tests/")


@contextmanager
def spark_engine(folder: Path, wanted: bool) -> Iterator[str]:
    """One engine for all mutants: what they change is planned in the tests' own process."""
    if not wanted:
        yield ""
        return
    from provender.spark import server

    home = make_project(folder / "engine", spark={"jars_dir": str(JARS), "driver_memory": "2g"})
    try:
        with server.in_use(home.settings) as address:
            yield address.url
    finally:
        server.stop(home.settings)


def check(mutants: list[Mutant], at_once: int) -> list[Mutant]:
    """Prints a line for each mutant; answers those that survived."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        packages: Queue[Package] = Queue()
        for number in range(at_once):
            packages.put(Package(folder / str(number)))
        with spark_engine(folder, any(mutant.needs_spark for mutant in mutants)) as engine:
            with ThreadPoolExecutor(at_once) as pool:
                suites = dict.fromkeys(mutant.tests for mutant in mutants)
                for failing in pool.map(lambda tests: caught_by(None, tests, engine), suites):
                    if failing is not None:
                        raise NotRunError(f"{failing} fails without any mutant")
                catching = pool.map(lambda mutant: _catch(mutant, packages, engine), mutants)
                return [m for m, caught in zip(mutants, catching, strict=True) if not _say(m, caught)]


def _catch(mutant: Mutant, packages: Queue[Package], engine: str) -> str | None:
    package = packages.get()
    try:
        with package.mutated(mutant) as path:
            return caught_by(path, mutant.tests, engine)
    finally:
        packages.put(package)


def _say(mutant: Mutant, caught: str | None) -> bool:
    print(f"{mutant.where:<21} {mutant.name:<62} {caught or 'SURVIVED'}", flush=True)
    return caught is not None


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Which test catches which broken rule.")
    parser.add_argument("--only", default="", metavar="TEXT")
    parser.add_argument("--no-spark", action="store_true")
    parser.add_argument("--at-once", type=int, default=2, metavar="N")
    given = parser.parse_args(arguments)
    chosen = [
        mutant
        for mutant in MUTANTS
        if given.only in f"{mutant.name} {mutant.file}" and not (given.no_spark and mutant.needs_spark)
    ]
    started = time.monotonic()
    print(f"{'where':<21} {'mutant':<62} caught by")
    try:
        survivors = check(chosen, given.at_once)
    except (CodeMovedError, NotRunError) as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} caught in {time.monotonic() - started:.0f} s")
    return 1 if survivors or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())

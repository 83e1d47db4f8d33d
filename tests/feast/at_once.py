"""Several processes that apply their repos at the same moment.

    python -m tests.feast.at_once [--feast] REPO…

Feast is imported once and every process forked from there, so that they really begin together. Each prints its exit
code and what it said as a line of JSON. ``--feast``: by Feast's own ``feast apply``, to see what it does by itself.
"""

from __future__ import annotations

import contextlib
import io
import json
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.engine import CHECKOUT


def apply_at_once(*repos: Path, feast: bool = False) -> list[dict[str, Any]]:
    """``code`` and ``said`` of every process, in the order of ``repos``."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.feast.at_once", *(["--feast"] if feast else [])]
    done = subprocess.run(
        [*command, *map(str, repos)], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return sorted(found, key=lambda each: int(each["at"]))


def _apply(at: int, repo: str, feast: bool, barrier: Any, output: Any) -> None:
    said = io.StringIO()
    barrier.wait(60)
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            code = _by_feast(repo) if feast else _by_provender(repo)
        except Exception as error:  # noqa: BLE001 (whatever it raises is what is to be seen)
            print(repr(error))
            code = 1
    output.put({"at": at, "code": code, "said": said.getvalue()})


def _by_provender(repo: str) -> int:
    from provender.feast.apply import main

    return main(["--repo", repo])


def _by_feast(repo: str) -> int:
    from feast.repo_config import load_repo_config
    from feast.repo_operations import apply_total

    os.chdir(repo)
    sys.path.insert(0, repo)
    apply_total(load_repo_config(Path(repo), Path(repo) / "feature_store.yaml"), Path(repo), True)
    return 0


def main(arguments: list[str]) -> None:
    import feast.repo_operations  # noqa: F401 (for the forked processes)

    import provender.feast.apply  # noqa: F401

    feast_itself = "--feast" in arguments
    repos = [argument for argument in arguments if argument != "--feast"]
    context = multiprocessing.get_context("fork")
    barrier, output = context.Barrier(len(repos)), context.Queue()
    processes = [
        context.Process(target=_apply, args=(at, repo, feast_itself, barrier, output))
        for at, repo in enumerate(repos)
    ]
    for process in processes:
        process.start()
    for _ in processes:
        print(json.dumps(output.get(timeout=120)), flush=True)
    for process in processes:
        process.join(60)


if __name__ == "__main__":
    main(sys.argv[1:])

"""The process from which Spark forks its Python workers (``spark.python.daemon.module``).

It makes once the imports that every worker would make, which take longer than a small materialization. Workers
outlive the job that they were forked for, so each looks before a task whether our code has changed, and forgets what
has: an edit or an upgrade counts at once.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from pyspark import daemon

from provender.processes.guard import dying_with_parent

_PRELOADED = (
    *("numpy", "pandas", "pyarrow.compute", "pyarrow.csv", "pyarrow.parquet"),
    *("provender.materialization.spark_write", "provender.ingestion.checked_rows"),
)
_OURS = "provender."
Main = Callable[[BinaryIO, BinaryIO], None]


def main() -> None:
    for name in _PRELOADED:
        importlib.import_module(name)
    program: Any = daemon
    program.worker_main = ending_with_us(with_current_code(program.worker_main))
    program.manager()


def ending_with_us(worker_main: Main) -> Main:
    """``worker_main`` for forks of this process: a worker that waits for a server would not notice our end."""
    prepare = dying_with_parent()

    def run(infile: BinaryIO, outfile: BinaryIO) -> None:
        prepare()
        worker_main(infile, outfile)

    return run


def with_current_code(worker_main: Main) -> Main:
    """``worker_main``, run with modules of ours as their files are now."""
    seen = _changed_at()

    def run(infile: BinaryIO, outfile: BinaryIO) -> None:
        nonlocal seen
        now = _changed_at()
        if any(now[name] != seen[name] for name in now.keys() & seen.keys()):
            for name in now:
                del sys.modules[name]
        worker_main(infile, outfile)
        seen = _changed_at()

    return run


def _changed_at() -> dict[str, int]:
    """When the files of our loaded modules were changed last, in nanoseconds; 0 for one that is gone."""
    loaded = {name: module for name, module in sys.modules.items() if name.startswith(_OURS)}
    files = {name: Path(module.__file__) for name, module in loaded.items() if module.__file__}
    return {name: file.stat().st_mtime_ns if file.exists() else 0 for name, file in files.items()}


if __name__ == "__main__":
    main()

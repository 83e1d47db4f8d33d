"""What a benchmark found: printed as a table, kept as JSON lines."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter

import psutil

FOLDER = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Result:
    """One comparison. ``ours`` and ``peer`` are medians in ``unit``; ``ratio`` is what the target is about."""

    name: str
    unit: str
    ours: float
    peer: float | None
    peer_name: str
    ratio: float | None
    target: str
    met: bool
    runs: int


def seconds(work: Callable[[], object]) -> float:
    """Wall seconds of one call."""
    started = perf_counter()
    work()
    return perf_counter() - started


def median(values: list[float]) -> float:
    """The middle one, so that one noisy run does not count."""
    return statistics.median(values)


def show(results: list[Result]) -> None:
    """Prints the table."""
    header = ("benchmark", "ours", "peer", "ratio", "target", "met")
    rows = [header, *(_cells(result) for result in results)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(header))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def keep(suite: str, results: list[Result]) -> Path:
    """Writes JSON lines, with the time and the machine, to a file of this run's own."""
    FOLDER.mkdir(exist_ok=True)
    now = datetime.now(UTC)
    path = FOLDER / f"{suite}-{now:%Y%m%dT%H%M%SZ}.jsonl"
    lines = [json.dumps({"measured": now.isoformat(), **_machine(), **asdict(result)}) for result in results]
    path.write_text("\n".join(lines) + "\n")
    return path


def _machine() -> dict[str, object]:
    """What the figures were measured on; ``load`` is the average of the last minute, our own work included."""
    return {
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30),
        "python": platform.python_version(),
        "load": os.getloadavg()[0],
    }


def _cells(result: Result) -> tuple[str, ...]:
    ours = f"{result.ours:.4g} {result.unit}"
    peer = "" if result.peer is None else f"{result.peer:.4g} {result.unit} ({result.peer_name})"
    ratio = "" if result.ratio is None else f"{result.ratio:.2f}"
    return (result.name, ours, peer, ratio, result.target, "yes" if result.met else "NO")

"""``docs/benchmarks.md``, made from the newest results of each suite under ``bench/results/``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

from bench.results import FOLDER

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "benchmarks.md"
PLOTS = DOCS / "benchmarks"
_HEAD = """# Benchmarks

Made by `make bench`; do not edit. Ours and its peer run on the same data in the same run, and the ratio is what a
target is about: absolute times are those of one small, noisy machine. A target that is missed says so.
"""
Line = Mapping[str, Any]


def write_page() -> Path:
    """Writes the page and a plot for each suite that has ratios; returns the page's path."""
    PLOTS.mkdir(exist_ok=True)
    PAGE.write_text("\n".join([_HEAD, *_sections()]), encoding="utf-8")
    return PAGE


def _sections() -> Iterator[str]:
    for suite in sorted({path.name.partition("-")[0] for path in FOLDER.glob("*-*.jsonl")}):
        newest = max(FOLDER.glob(f"{suite}-*.jsonl"))
        lines = [json.loads(line) for line in newest.read_text(encoding="utf-8").splitlines()]
        yield f"## {suite.capitalize()}\n"
        yield f"Measured {lines[0]['measured'][:16].replace('T', ' ')} UTC on {_machine(lines[0])}.\n"
        if any(line["ratio"] is not None for line in lines):
            plot = PLOTS / f"{suite}.svg"
            plot.write_text(_plot(lines), encoding="utf-8")
            yield f"![Ratios of {suite}](benchmarks/{suite}.svg)\n"
        yield "| benchmark | ours | peer | ratio | target | met |\n|---|---|---|---|---|---|"
        yield "\n".join(_row(line) for line in lines) + "\n"


def _machine(line: Line) -> str:
    memory = f", {line['memory_gb']} GB" if "memory_gb" in line else ""
    load = f"; load average {line['load']:.1f}" if "load" in line else ""
    return (
        f"{line['cores']} cores of {line.get('cpu', line['machine'])}{memory}, Python {line['python']}{load}"
    )


def _row(line: Line) -> str:
    peer = "" if line["peer"] is None else f"{line['peer']:.4g} {line['unit']} ({line['peer_name']})"
    ratio = "" if line["ratio"] is None else f"{line['ratio']:.2f}"
    met = "" if not line["target"] else "yes" if line["met"] else "**no**"
    cells = (line["name"], f"{line['ours']:.4g} {line['unit']}", peer, ratio, line["target"], met)
    return "| " + " | ".join(cells) + " |"


def _plot(lines: Iterable[Line]) -> str:
    """A bar for each ratio, to the power of ten: right of the middle is more than the peer, left is less."""
    from math import log10

    rows = [line for line in lines if line["ratio"]]
    reach = max(abs(log10(line["ratio"])) for line in rows) or 1.0
    height, middle, width = 22, 560, 300
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="900" height="{height * len(rows) + 24}" '
        'font-family="sans-serif" font-size="12">',
        f'<line x1="{middle}" y1="0" x2="{middle}" y2="{height * len(rows)}" stroke="#888"/>',
    ]
    for number, line in enumerate(rows):
        length = log10(line["ratio"]) / reach * width / 2
        left, y = (middle, number * height) if length >= 0 else (middle + length, number * height)
        color = "#2c66c4" if line["met"] else "#c4472c"
        label = escape(f"{line['name']} / {line['peer_name']}")
        parts.append(f'<text x="400" y="{y + 15}" text-anchor="end" fill="#888">{label[:70]}</text>')
        parts.append(
            f'<rect x="{left:.1f}" y="{y + 4}" width="{abs(length):.1f}" height="14" fill="{color}"/>'
        )
        parts.append(f'<text x="730" y="{y + 15}" fill="#888">{line["ratio"]:.2f}</text>')
    below = height * len(rows) + 16
    parts.append(f'<text x="{middle}" y="{below}" text-anchor="middle" fill="#888">equal to the peer</text>')
    parts.append("</svg>")
    return "\n".join(parts)

"""Lineage as a drawn graph: boxes by column, from files to what reads the feature."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from urllib.parse import quote

_WIDTH, _HEIGHT, _GAP_X, _GAP_Y = 190, 34, 60, 12


@dataclass(frozen=True)
class Box:
    """A box of the graph; ``path`` is the page that it links to, below the catalog's own, or empty."""

    text: str
    path: str
    x: int
    y: int


@dataclass(frozen=True)
class Graph:
    """Boxes, and lines between them as SVG paths; ``described`` says the same in words."""

    boxes: list[Box]
    lines: list[str]
    width: int
    height: int
    described: str


def draw(catalog: Any, fact: Any) -> Graph:
    """Lay out files, source, table, feature and who uses it, in columns from left to right. ``catalog`` holds only
    what the person may see."""
    source = catalog.sources[fact.source]
    users = [(name, f"models/{quote(name)}") for name in fact.models]
    users += [(name, "") for name in fact.services]
    columns = [
        [(source.raw, "")],
        [(source.name, f"sources/{quote(source.name)}")],
        [(f"{fact.table} ({fact.sql_file or 'as it is'})", "")],
        [(fact.name, f"features/{quote(fact.name)}")],
        *([users] if users else []),
    ]
    placed = [
        [
            Box(text, path, x * (_WIDTH + _GAP_X), y * (_HEIGHT + _GAP_Y))
            for y, (text, path) in enumerate(column)
        ]
        for x, column in enumerate(columns)
    ]
    lines = [_line(a, b) for left, right in pairwise(placed) for a in left for b in right]
    described = " → ".join(", ".join(text for text, _ in column) for column in columns)
    boxes = [box for column in placed for box in column]
    height = max(box.y for box in boxes) + _HEIGHT + 2
    return Graph(boxes, lines, max(box.x for box in boxes) + _WIDTH + 2, height, described)


def _line(left: Box, right: Box) -> str:
    x1, y1, x2, y2 = left.x + _WIDTH, left.y + _HEIGHT // 2, right.x, right.y + _HEIGHT // 2
    middle = (x1 + x2) // 2
    return f"M{x1} {y1} C{middle} {y1} {middle} {y2} {x2} {y2}"

"""Draw the data flow: ``python -m docs.tooling.picture`` writes ``docs/images/data-flow.svg``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path

TARGET = Path(__file__).parents[1] / "images" / "data-flow.svg"
_WIDTH, _HEIGHT = 1040, 430
_BOX = (160, 58)
_STYLE = """
text { font: 13px sans-serif; fill: #1f2933; text-anchor: middle }
.small { font-size: 11px; fill: #52606d } .on { fill: #2c66c4; font-size: 12px } .row { font-weight: bold }
rect { rx: 6; fill: #f0f4fa; stroke: #2c66c4 } .store { fill: #fdf6e3; stroke: #b58900 }
.back { fill: #ffffff; stroke: none } path { stroke: #52606d; fill: none; marker-end: url(#tip) }
"""


@dataclass(frozen=True, slots=True)
class Box:
    """A box by its center: a name, a second line, and whether it holds data."""

    x: int
    y: int
    name: str
    detail: str
    is_store: bool = False


@dataclass(frozen=True, slots=True)
class Arrow:
    """An arrow along points, with a label at ``at``."""

    points: tuple[tuple[int, int], ...]
    label: str = ""
    at: tuple[int, int] = (0, 0)


BOXES = (
    Box(90, 90, "raw data", "files, SQL, frames", True),
    Box(300, 90, "staged files", "immutable copies", True),
    Box(520, 90, "feature tables", "Delta: append-only log", True),
    Box(750, 90, "Redis", "Feast's layout", True),
    Box(945, 90, "get_online_features", "services, scripts"),
    Box(300, 220, "quarantine", "rows with reasons", True),
    Box(520, 220, "training set", "Parquet + lockfile", True),
    Box(750, 220, "model", "trained by Kubeflow", True),
    Box(945, 220, "KServe", "canary; predictions"),
    Box(520, 350, "get_historical_features", "notebooks, batch jobs"),
)
ARROWS = (
    Arrow(((170, 90), (220, 90)), "stage", (194, 80)),
    Arrow(((380, 90), (440, 90)), "ingest", (409, 80)),
    Arrow(((600, 90), (670, 90)), "materialize", (634, 80)),
    Arrow(((830, 90), (865, 90))),
    Arrow(((300, 119), (300, 189)), "contract", (334, 158)),
    Arrow(((520, 119), (520, 189)), "point-in-time join", (578, 158)),
    Arrow(((600, 220), (670, 220)), "train", (634, 210)),
    Arrow(((830, 220), (865, 220)), "gate", (846, 210)),
    Arrow(((800, 119), (895, 189)), "online values", (905, 158)),
    Arrow(((470, 119), (430, 150), (430, 290), (470, 320)), "Feast", (405, 275)),
)


def main() -> None:
    """Write the picture."""
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(draw(), encoding="utf-8")


def draw() -> str:
    """Return the picture as SVG."""
    return "\n".join(_parts()) + "\n"


def _parts() -> Iterator[str]:
    size = f'width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}"'
    yield f'<svg xmlns="http://www.w3.org/2000/svg" {size}>'
    yield "<title>How data flows through provender</title>"
    yield f"<style>{_STYLE}</style>"
    tip = '<path d="M0,0 L8,4 L0,8 z" style="fill:#52606d;stroke:none"/>'
    size = 'markerWidth="8" markerHeight="8" refX="8" refY="4" orient="auto"'
    yield f'<defs><marker id="tip" {size}>{tip}</marker></defs>'
    yield f'<rect class="back" width="{_WIDTH}" height="{_HEIGHT}"/>'
    yield '<text class="row" x="520" y="32">Airflow runs each step; a manifest is committed last: the ledger</text>'
    for arrow in ARROWS:
        points = " L".join(f"{x},{y}" for x, y in arrow.points)
        yield f'<path d="M{points}"/>'
        if arrow.label:
            yield f'<text class="on" x="{arrow.at[0]}" y="{arrow.at[1]}">{escape(arrow.label)}</text>'
    for box in BOXES:
        yield from _box(box)
    yield "</svg>"


def _box(box: Box) -> Iterator[str]:
    width, height = _BOX
    kind = ' class="store"' if box.is_store else ""
    yield f'<rect{kind} x="{box.x - width // 2}" y="{box.y - height // 2}" width="{width}" height="{height}"/>'
    yield f'<text x="{box.x}" y="{box.y - 4}">{escape(box.name)}</text>'
    yield f'<text class="small" x="{box.x}" y="{box.y + 14}">{escape(box.detail)}</text>'


if __name__ == "__main__":
    main()

"""Small inline SVG charts: no script, colors from the page's style sheet, a text for who cannot see them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from html import escape

from provender.training_sets.summary import Histogram

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 1000, 190, 52, 22, 10
_SMALL_WIDTH, _SMALL_HEIGHT = 132, 30
_MOST_LABELS = 8


def columns(values: Sequence[float], labels: Sequence[str], title: str) -> str:
    """A column for each value over a common zero line, with labels below."""
    top = max(values, default=0) or 1
    top += top % 2  # so that its half is a whole number too
    step = (_WIDTH - _LEFT) / max(len(values), 1)
    floor = _HEIGHT - _BOTTOM
    bars = []
    for i, (value, label) in enumerate(zip(values, labels, strict=True)):
        height = (floor - _TOP) * value / top
        width = max(step * 0.82, 0.8)
        bars.append(
            f'<rect class="mark" x="{_LEFT + i * step:.1f}" y="{floor - height:.1f}" width="{width:.1f}" '
            f'height="{height:.1f}" rx="1"><title>{escape(label)}: {number(value)}</title></rect>'
        )
    return _figure(title, [*_scale(0, top, number), *bars, *_below(labels, step)])


def curve(values: Sequence[float | None], labels: Sequence[str], title: str) -> str:
    """A line through shares in [0, 1] or other numbers; a gap where there is none."""
    known = [value for value in values if value is not None]
    low, high = min(known, default=0.0), max(known, default=1.0)
    span = (high - low) or 1.0
    step, floor = (_WIDTH - _LEFT) / max(len(values), 1), _HEIGHT - _BOTTOM
    points: list[str] = []
    is_open = False
    for i, value in enumerate(values):
        if value is None:
            is_open = False
            continue
        x, y = _LEFT + (i + 0.5) * step, floor - (floor - _TOP) * (value - low) / span
        points.append(f"{'L' if is_open else 'M'}{x:.1f} {y:.1f}")
        is_open = True
    path = f'<path class="curve" d="{" ".join(points)}"/>'
    return _figure(title, [*_scale(low, low + span, _short_share), path, *_below(labels, step)])


def small_histogram(histogram: Histogram | None, title: str) -> str:
    """As wide as a table's cell; empty where there is nothing to show."""
    if histogram is None:
        return ""
    top = max(histogram.counts) or 1
    step = _SMALL_WIDTH / len(histogram.counts)
    bars = [
        f'<rect class="mark" x="{i * step:.2f}" y="{_SMALL_HEIGHT - h:.1f}" width="{step * 0.86:.2f}" '
        f'height="{h:.1f}"/>'
        for i, count in enumerate(histogram.counts)
        if (h := max(_SMALL_HEIGHT * count / top, 1.0 if count else 0.0))
    ]
    view = f"0 0 {_SMALL_WIDTH} {_SMALL_HEIGHT}"
    return (
        f'<svg class="small" role="img" viewBox="{view}"><title>{escape(title)}</title>{"".join(bars)}</svg>'
    )


def share_bar(share: float, title: str) -> str:
    """How much of a whole."""
    width = _SMALL_WIDTH * min(max(share, 0.0), 1.0)
    return (
        f'<svg class="small" role="img" viewBox="0 0 {_SMALL_WIDTH} 12" style="height:12px">'
        f'<title>{escape(title)}</title><rect class="track" width="{_SMALL_WIDTH}" height="12" rx="3"/>'
        f'<rect class="mark" width="{width:.1f}" height="12" rx="3"/></svg>'
    )


def number(value: float) -> str:
    """``1,234``, ``0.1235``, ``1.23e+07``."""
    if value == int(value) and abs(value) < 1e12:
        return f"{int(value):,}"
    return f"{value:,.4g}" if abs(value) < 1e5 else f"{value:,.0f}"


def percent(part: float, whole: float) -> str:
    """``12.3%``; never 0% or 100% for what is not."""
    if not whole:
        return "–"
    share = 100 * part / whole
    if 0 < share < 0.1:
        return "<0.1%"
    return ">99.9%" if 99.9 < share < 100 else f"{share:.1f}%"


def _short_share(value: float) -> str:
    return f"{100 * value:.0f}%" if abs(value) <= 1 else number(value)


def _figure(title: str, parts: Sequence[str]) -> str:
    body = "".join(parts)
    return f'<svg role="img" viewBox="0 0 {_WIDTH} {_HEIGHT}"><title>{escape(title)}</title>{body}</svg>'


def _scale(low: float, high: float, shown: Callable[[float], str]) -> Iterator[str]:
    """Lines and numbers at both ends and in the middle."""
    floor = _HEIGHT - _BOTTOM
    for share in (0.0, 0.5, 1.0):
        y = floor - (floor - _TOP) * share
        text = shown(low + (high - low) * share)
        yield f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{text}</text>'


def _below(labels: Sequence[str], step: float) -> Iterator[str]:
    """As many labels as can be read."""
    every = max(1, -(-len(labels) // _MOST_LABELS))
    for i in range(0, len(labels), every):
        x = _LEFT + (i + 0.5) * step
        anchor = "start" if i == 0 else "middle"
        x = _LEFT if i == 0 else min(x, _WIDTH - 34)
        yield f'<text x="{x:.1f}" y="{_HEIGHT - 5}" text-anchor="{anchor}">{escape(labels[i])}</text>'

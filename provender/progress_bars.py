"""Progress bars for long work: how much is done, how fast, how much time is left.

A bar is only drawn inside :func:`shown`, which the command line enters where a person watches a terminal; everywhere
else :func:`progress` counts nothing and costs nothing. Drawn by tqdm, which comes with Feast; without it there are no
bars (``docs/decisions/0031-logs-and-progress.md``).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

Advance = Callable[[int], None]
"""Says that so many more are done."""

_is_shown = False


@contextmanager
def shown(is_watched: bool) -> Iterator[None]:
    """Draw bars on standard error during the block, if ``is_watched``."""
    global _is_shown
    before, _is_shown = _is_shown, is_watched and _tqdm() is not None
    try:
        yield
    finally:
        _is_shown = before


def is_shown() -> bool:
    """Whether somebody sees bars; where counting itself takes time, only then."""
    return _is_shown


@contextmanager
def progress(what: str, unit: str, total: int | None = None) -> Iterator[Advance]:
    """Show a bar named ``what`` during the block, of ``total`` ``unit`` (None: nobody knows how many)."""
    if not _is_shown:
        yield _ignore
        return
    with bar(what, unit, total) as drawn:
        yield drawn.update


def bar(what: str, unit: str, total: int | None) -> Any:
    """Return tqdm's own bar, for work whose total changes. Only inside of :func:`shown`."""
    return _tqdm()(
        desc=what,
        unit=f" {unit}",
        total=total,
        file=sys.stderr,
        unit_scale=True,
        leave=False,
        dynamic_ncols=True,
    )


def set_aside() -> AbstractContextManager[Any]:
    """Clear the bars during the block, in which a line is written, and draw them again."""
    if not _is_shown:
        return nullcontext()
    aside: AbstractContextManager[Any] = _tqdm().external_write_mode(file=sys.stderr)
    return aside


def _tqdm() -> Any:
    try:
        from tqdm import tqdm  # type: ignore[import-untyped]
    except ImportError:  # an installation without Feast
        return None
    return tqdm


def _ignore(_: int) -> None:
    pass

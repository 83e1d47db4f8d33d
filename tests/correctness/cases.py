"""Generated cases, and many of them in one run: each has keys of its own, so that one Spark job checks all."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

T = TypeVar("T")
ROUNDS_VARIABLE = "PROVENDER_TEST_SHRINK_ROUNDS"
"""Environment variable: in how many rounds a failing case is made smaller (8)."""


def examples(strategy: st.SearchStrategy[T], count: int, start: int = 0) -> list[T]:
    """``count`` distinct examples of a strategy, the same for the same ``start``."""
    found: dict[str, T] = {}
    while len(found) < count:
        start += 1
        # A few at a time: later ones of one run are mostly variations of earlier ones.
        found |= {repr(example): example for example in _few(strategy, start)}
    return list(found.values())[:count]


def _few(strategy: st.SearchStrategy[T], start: int) -> list[T]:
    found: list[T] = []

    @seed(start)
    @settings(
        max_examples=12,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(example: T) -> None:
        found.append(example)

    collect()
    return found


def owned(case: int, key: str | None) -> str | None:
    """The key of one case among many."""
    return None if key is None else f"{case}:{key}"


def case_of(key: str) -> int:
    return int(key.split(":")[0])


def differing(expected: dict[Any, Any], found: dict[Any, Any]) -> dict[Any, tuple[Any, Any]]:
    """What is not the same: (expected, found) by name."""
    names = sorted(expected.keys() | found.keys(), key=repr)
    pairs = {name: (expected.get(name, "nothing"), found.get(name, "nothing")) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def smallest(case: T, smaller: Callable[[T], Iterable[T]], failing: Callable[[list[T]], list[int]]) -> T:
    """Shrinks a failing case, all its smaller neighbors in one run a round: ``failing`` gives the numbers of those
    that fail, ``smaller`` gives the neighbors, the smallest first."""
    for _ in range(int(os.environ.get(ROUNDS_VARIABLE, 8))):
        neighbors = list(smaller(case))
        failed = failing(neighbors) if neighbors else []
        if not failed:
            break
        case = neighbors[min(failed)]
    return case


def without_parts(items: tuple[T, ...]) -> Iterator[tuple[T, ...]]:
    """``items`` without its halves, its quarters, … down to without each single one."""
    size = len(items)
    while size > 1:
        size = (size + 1) // 2
        for at in range(0, len(items), size):
            yield items[:at] + items[at + size :]
    if len(items) == 1:
        yield ()

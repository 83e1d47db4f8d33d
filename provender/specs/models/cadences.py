"""Which partitions make up the keys of a model: those of a finer source roll up into those of the coarsest."""

from __future__ import annotations

from collections.abc import Iterable

from provender.errors import SpecError
from provender.intervals import Cadence
from provender.specs.source import Source

_ORDER = (Cadence.HOURLY, Cadence.DAILY, Cadence.WEEKLY, Cadence.MONTHLY)
ROLL_UPS = frozenset(
    {
        (Cadence.HOURLY, Cadence.DAILY),
        (Cadence.DAILY, Cadence.WEEKLY),
        (Cadence.DAILY, Cadence.MONTHLY),
    }
)
"""Finer and coarser cadence, where Airflow knows when all finer partitions of a coarser one are there."""


def cadence_of(sources: Iterable[Source]) -> Cadence:
    """The coarsest cadence. Raises :class:`SpecError` where months and weeks meet: neither fits into the other."""
    cadences = {source.cadence for source in sources}
    if {Cadence.WEEKLY, Cadence.MONTHLY} <= cadences:
        raise SpecError(
            "weekly and monthly sources have no common partitions", remedy="give one of them daily partitions"
        )
    return max(cadences, key=_ORDER.index)


def rolls_up(source: Source, cadence: Cadence) -> None:
    """Raises :class:`SpecError` where the partitions of ``source`` do not make up keys of ``cadence``."""
    if source.cadence is not cadence and (source.cadence, cadence) not in ROLL_UPS:
        raise SpecError(
            f"{source.cadence} partitions of {source.name} do not roll up into {cadence} keys",
            remedy="Airflow rolls up hours to days, and days to weeks or months: use a source in between",
        )

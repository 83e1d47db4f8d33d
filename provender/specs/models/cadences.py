"""Which partitions make up the keys of a model: those of a finer source roll up into those of the coarsest."""

from __future__ import annotations

from collections.abc import Iterable

from provender.errors import SpecError
from provender.intervals import Cadence, Frequency
from provender.specs.source import Source

_ORDER = (Frequency.HOURLY, Frequency.DAILY, Frequency.WEEKLY, Frequency.MONTHLY)
ROLL_UPS = frozenset(
    {
        (Frequency.HOURLY, Frequency.DAILY),
        (Frequency.DAILY, Frequency.WEEKLY),
        (Frequency.DAILY, Frequency.MONTHLY),
    }
)
"""Finer and coarser frequency, where Airflow knows when all finer partitions of a coarser one are there."""


def cadence_of(sources: Iterable[Source]) -> Cadence:
    """Return the coarsest cadence.

    Raises :class:`SpecError` where months and weeks meet, since neither fits into the other, and where days begin at
    different times: no key would be complete when its day is over.
    """
    cadences = {source.cadence for source in sources}
    frequencies, zones = {cadence.frequency for cadence in cadences}, {cadence.zone for cadence in cadences}
    if len(zones) > 1:
        raise SpecError(
            f"its sources have different time zones: {', '.join(sorted(zones))}",
            remedy="give them one 'timezone', or bring the values of one into a source of the other's",
        )
    if {Frequency.WEEKLY, Frequency.MONTHLY} <= frequencies:
        raise SpecError(
            "weekly and monthly sources have no common partitions", remedy="give one of them daily partitions"
        )
    return max(cadences, key=lambda cadence: _ORDER.index(cadence.frequency))


def rolls_up(source: Source, cadence: Cadence) -> None:
    """Raises :class:`SpecError` where the partitions of ``source`` do not make up keys of ``cadence``."""
    pair = source.cadence.frequency, cadence.frequency
    if source.cadence != cadence and pair not in ROLL_UPS:
        raise SpecError(
            f"{source.cadence} partitions of {source.name} do not roll up into {cadence} keys",
            remedy="Airflow rolls up hours to days, and days to weeks or months: use a source in between",
        )

"""Cases that differ from others in one thing, of which it is plain what it may change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tests.correctness.oracle import DAY, RawRow
from tests.correctness.world import HOUR, Case, Placed, Reading, Schedule, Spread, World, day

VARIED = 10
"""So many cases of a world have variants; these are its last cases."""
VALUE = 9
NO_TIME = 5 * HOUR
"""A time of day that no generated row has."""


@dataclass(frozen=True)
class Variant:
    """A row more of key ``a``, in the last delivery of a day."""

    name: str
    day: int
    """That brings it."""
    event: datetime

    def placed(self, schedule: Schedule) -> Placed:
        last = max(at for at, number in enumerate(schedule.days) if number == self.day)
        return Placed(last, RawRow("a", self.event, VALUE, self.event if schedule.has_created else None))

    def time_in(self, table: str) -> datetime:
        """The event timestamp of the version that it makes or changes."""
        return self.event if table == "latest" else self.event.replace(hour=0) + DAY

    def may_change(self, reading: Reading, moment: datetime) -> bool:
        """Whether its version lies within ``[t − ttl, t]``: outside, it changes nothing."""
        event = self.time_in(reading.table)
        return event <= moment and (reading.ttl == timedelta(0) or moment <= event + reading.ttl)


OLD = Variant("an old row", 1, day(0) + NO_TIME)
LATE = Variant("a late row", 4, day(3) + NO_TIME)
FUTURE = Variant("a row of the last day", 4, day(4) + NO_TIME)
VARIANTS = (OLD, LATE, FUTURE)


def with_variants(schedule: Schedule, cases: Sequence[Case]) -> list[Case]:
    """The cases and, after them, of the first :data:`VARIED` ones: all spread, then all with a row more."""
    varied = list(cases)[:VARIED]
    found = [*cases, *[Spread(case) for case in varied]]
    for variant in VARIANTS:
        found += [(*case, variant.placed(schedule)) for case in varied]
    return found


def twins(world: World, place: int) -> list[tuple[int, int]]:
    """(Case, its variant) for the variants in a place: 0 are the spread ones, then as in :data:`VARIANTS`."""
    first = len(world.cases) - VARIED * (1 + len(VARIANTS)) + VARIED * place
    return [(number, first + number) for number in range(VARIED)]

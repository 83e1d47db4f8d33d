"""The whole platform as plain Python over lists: accepted raw rows in, what every reader must see out.

    deliveries ─▶ held (of each partition the newest) ─▶ desired (what its rows ask for) ─▶ log (ingest by ingest)
    log ─▶ ``lookup`` (provender.point_in_time.rule, the rule of the join) ─▶ values, and what is online

Nothing here is fast: every step looks at everything again. Words: a *group* is one (key, event timestamp); a *state*
is its features' values, or None where there is no such row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from provender.point_in_time.rule import lookup

DAY = timedelta(days=1)
LATENESS = timedelta(days=2)
MOST = 1000
FOR_EVER = datetime.max.replace(tzinfo=UTC)

State = tuple[int | None, ...] | None
Group = tuple[str, datetime]
Desired = dict[Group, dict[datetime, State]]
"""Per group: from which created timestamp on which state holds."""
Version = dict[str, Any]
Log = dict[Group, list[Version]]


@dataclass(frozen=True)
class RawRow:
    key: str | None
    event: datetime
    value: int | None
    created: datetime | None = None
    """The source's own created timestamp, if it has one."""

    @property
    def period(self) -> datetime:
        return self.event.replace(hour=0, minute=0, second=0, microsecond=0)


@dataclass(frozen=True)
class Delivery:
    """A day's file as it came one time."""

    partition: datetime
    first: datetime
    """When the partition's first delivery counts as known: its end plus the source's delay."""
    delivered: datetime
    """When this delivery's rows count as known: the same, or, for a later delivery, when it was staged."""
    rows: tuple[RawRow, ...]

    @property
    def accepted(self) -> list[RawRow]:
        return [row for row in self.rows if is_accepted(self.partition, row)]


def is_accepted(partition: datetime, row: RawRow) -> bool:
    """The contract: a key, a value in bounds, neither too late nor after its partition."""
    in_bounds = row.value is None or 0 <= row.value <= MOST
    in_time = partition <= row.period + LATENESS and row.event < partition + DAY
    return row.key is not None and in_bounds and in_time


def held(deliveries: Iterable[Delivery]) -> list[Delivery]:
    """The raw table: of each partition the newest delivery."""
    return list({delivery.partition: delivery for delivery in deliveries}.values())


def as_it_is(deliveries: Sequence[Delivery]) -> Desired:
    """Every row is a version. Of copies created at once the one delivered last counts, of one delivery's copies the
    greatest value."""
    copies = [(d.delivered, d.partition, row) for d in held(deliveries) for row in d.accepted]
    copies.sort(key=lambda c: (c[0], c[1], -1 if c[2].value is None else c[2].value))
    desired: Desired = {}
    for delivered, _, row in copies:
        desired.setdefault((str(row.key), row.event), {})[row.created or delivered] = (row.value,)
    return desired


def summed(rows: Sequence[RawRow]) -> State:
    """SELECT sum(value), count(*) … GROUP BY key HAVING count(*) % 2 = 1, for one key."""
    values = [row.value for row in rows if row.value is not None]
    return None if len(rows) % 2 == 0 else (sum(values) if values else None, len(rows))


def per_day(deliveries: Sequence[Delivery]) -> Desired:
    """A day's statistics, stamped with its end, from each time at which more of its rows were known."""
    raw = [(d.delivered, row) for d in held(deliveries) for row in d.accepted]
    desired: Desired = {}
    for period in {row.period for _, row in raw}:
        of_day = [(delivered, row) for delivered, row in raw if row.period == period]
        for key in {str(row.key) for _, row in of_day}:
            said: dict[datetime, State] = {}
            for level in sorted(_levels(deliveries, period)):
                rows = [row for delivered, row in of_day if row.key == key and delivered <= level]
                state = summed(rows)
                if state is not None or said:
                    known = max([row.created or level for row in rows] if state else [level])
                    # Never created before the one it supersedes.
                    said[max([known, *said])] = state
            if said:
                desired[key, period + DAY] = said
    return desired


def _levels(deliveries: Sequence[Delivery], period: datetime) -> set[datetime]:
    """The times at which something of the day became known, as far as the raw table can still tell: not while one of
    the partitions that may bring its rows was as an earlier delivery had it, which is replaced now."""
    reaching = [d for d in held(deliveries) if period <= d.partition <= period + LATENESS]
    again = [d for d in reaching if d.delivered != d.first]
    levels = {d.delivered for d in reaching if any(row.period == period for row in d.accepted)}
    levels |= {d.delivered for d in again}
    return {level for level in levels if not any(d.first <= level < d.delivered for d in again)}


def word(versions: Iterable[Version], moment: datetime = FOR_EVER) -> State:
    """What a group's versions say: the one created last, of equals the one recorded last."""
    known = [v for v in versions if v["created_timestamp"] <= moment]
    newest = max(known, key=lambda v: (v["created_timestamp"], v["recorded_timestamp"]), default=None)
    return newest and newest["state"]


def record(log: Log, desired: Desired, delivered: datetime, recorded: Any) -> None:
    """One ingest: afterwards the log says what is desired, at every time at which something is, and now."""
    for group in {*desired, *log}:
        versions, states = log.setdefault(group, []), desired.get(group, {})
        for created in sorted(states):
            if word(versions, created) != states[created]:
                versions.append(version(group, created, recorded, states[created]))
        now = states[max(states)] if states else None
        if word(versions) != now:
            newest = max(v["created_timestamp"] for v in versions)
            versions.append(version(group, max(newest, delivered), recorded, now))


def version(group: Group, created: datetime, recorded: Any, state: State) -> Version:
    times = {"event_timestamp": group[1], "created_timestamp": created, "recorded_timestamp": recorded}
    return {"key": group[0], **times, "deleted": state is None, "state": state}


def log_of(ingests: Sequence[Sequence[Delivery]], desire: Callable[[Sequence[Delivery]], Desired]) -> Log:
    """The log after all ``ingests`` (each one a list of deliveries), recorded at 0, 1, 2, …."""
    log: Log = {}
    for number, ingest in enumerate(ingests):
        so_far = [delivery for each in ingests[: number + 1] for delivery in each]
        record(log, desire(so_far), max(d.delivered for d in ingest), number)
    return log


def by_key(log: Log) -> dict[str, list[Version]]:
    """The same versions, by key alone."""
    keys: dict[str, list[Version]] = {}
    for (key, _), versions in log.items():
        keys.setdefault(key, []).extend(versions)
    return keys


def online(versions: Sequence[Version], key: str, expired: datetime | None = None) -> State:
    """What is online of a key: the newest row that is alive, unless its event timestamp is before ``expired``."""
    found = lookup(versions, {"key": key}, FOR_EVER)
    if found is None or (expired is not None and found["event_timestamp"] < expired):
        return None
    return found["state"]  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Online:
    """What is online of a key."""

    event: datetime
    created: datetime | None
    """None: Feast itself wrote it, and it counts as created before everything."""
    state: State


@dataclass(frozen=True)
class Write:
    """A row on its way to the online store, with the newest version that its writer knows."""

    row: Online | None
    """None: nothing is left of the key."""
    guard: tuple[datetime, datetime]


def after(online: Online | None, write: Write) -> Online | None:
    """Newest wins: what is online stays if it is newer than what the writer knows; of equals the later write wins."""
    if online is not None:
        event, created = write.guard
        if online.event > event:
            return online
        if online.event == event and online.created is not None and online.created > created:
            return online
    return write.row

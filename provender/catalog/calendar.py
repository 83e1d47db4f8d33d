"""A source's partitions as a calendar: what is done, missing, stale, quarantined or not online."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from provender.errors import SettingsError
from provender.intervals import Partition, partitions_between
from provender.ledger import Ledger
from provender.ledger.holes import backfill_command, newest_expected
from provender.ledger.status import SourceStatus, source_status
from provender.online.views import load_applied_views
from provender.settings import Settings
from provender.specs.catalog import Catalog
from provender.specs.hashing import data_hash
from provender.specs.source import Source
from provender.storage import Storage, storage_at

MOST_SHOWN = 400


class DayState(StrEnum):
    """What a partition is; of several the first that holds."""

    HOLE = "hole"
    STALE = "stale"
    NOT_ONLINE = "not online"
    QUARANTINED = "quarantined"
    DONE = "done"


@dataclass(frozen=True)
class Day:
    """One partition. ``command`` is what to type about it; empty where it is done."""

    key: str
    state: DayState
    quarantined: int
    """Rows in quarantine."""
    command: str


def read_calendar(settings: Settings, source_name: str, now: datetime, most: int = MOST_SHOWN) -> list[Day]:
    """Read the states of the newest ``most`` partitions expected by ``now``, newest first.

    Raises :class:`SpecError` for an unknown source, :class:`DamagedFileError`.
    """
    catalog, storage = Catalog.load(settings.repo), storage_at(settings.storage_root)
    source = catalog.source(source_name)
    ledger = Ledger(storage, source.name)
    online = _online_views(storage, settings.project, source.name)
    spec = data_hash(source, catalog.sql_texts(source.name))
    status = source_status(source, spec, ledger.state(), now, online)
    states = _states(status)
    return [
        Day(
            key=partition.key,
            state=states.get(partition.key, DayState.DONE),
            quarantined=_quarantined(status, partition.key),
            command=_command(status, partition.key, states)
            if states.get(partition.key) is not DayState.HOLE
            else backfill_command(source, partition, partition, reprocess="failed"),
        )
        for partition in _expected(source, now, most)
    ]


def _expected(source: Source, now: datetime, most: int) -> list[Partition]:
    """The newest ``most`` partitions whose data should be there, newest first."""
    newest = newest_expected(source, now)
    if newest is None:
        return []
    first = max(
        source.first_partition,
        Partition.holding(source.cadence, newest.start - (newest.end - newest.start) * most),
    )
    return list(partitions_between(first, newest))[::-1][:most]


def _online_views(storage: Storage, project: str, source: str) -> list[str]:
    try:
        applied = load_applied_views(storage, project)
    except SettingsError:
        return []  # nothing is applied yet
    return [view.view for view in applied if view.source == source and view.online]


def _quarantined(status: SourceStatus, key: str) -> int:
    return status.quarantined[key]["rows"] if key in status.quarantined else 0


def _states(status: SourceStatus) -> dict[str, DayState]:
    """Key to state, of every partition that is not simply done."""
    found = dict.fromkeys(status.quarantined, DayState.QUARANTINED)
    for partitions, state in (
        (status.not_online, DayState.NOT_ONLINE),
        (status.stale, DayState.STALE),
        (status.holes, DayState.HOLE),
    ):
        found |= {partition.key: state for partition in partitions}
    return found


def _command(status: SourceStatus, key: str, states: dict[str, DayState]) -> str:
    name = status.source.name
    commands = {
        DayState.STALE: f"provender ingest {name} {key}",
        DayState.NOT_ONLINE: f"provender materialize {name}",
        DayState.QUARANTINED: f"provender quarantine list {name}",
    }
    return commands.get(states.get(key, DayState.DONE), "")

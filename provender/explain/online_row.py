"""What is online of a key, beside what the log says: and what the guard makes of the difference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from provender.explain.asked import Feature
from provender.explain.ledger_facts import LedgerFacts
from provender.explain.versions import Version, newest_row
from provender.intervals import from_micros
from provender.online.reader import Reader
from provender.settings import Settings
from provender.specs.source import FeatureTable


class Decision(StrEnum):
    """What the guard (newest wins, by event and created timestamp) does with the log's row."""

    SAME = "same"
    """The row that is online is the log's."""
    NOTHING = "nothing"
    """Neither has a row."""
    NOT_ONLINE = "not_online"
    """The view is not to be online."""
    EXPIRED = "expired"
    """Older than the table's ``online_ttl``: not kept online."""
    DUE = "due"
    """The next materialization writes the log's row: nothing newer is online."""
    LOST = "lost"
    """Materialized, and not online any more."""
    KEPT_NEWER = "kept_newer"
    """What is online is newer than the log's row: the guard keeps it."""
    OTHER_VALUE = "other_value"
    """The same version with another value: somebody else wrote it."""


@dataclass(frozen=True)
class OnlineRow:
    """The online value and times of the feature (None: nothing is online), and the log's row for it."""

    decision: Decision
    value: Any
    event: datetime | None
    created: datetime | None
    log: Version | None
    materialized_to: datetime | None
    """Up to when the online store holds the log."""


def read_online(
    settings: Settings, feature: Feature, table: FeatureTable, versions: Sequence[Version], facts: LedgerFacts
) -> OnlineRow:
    """Read what is online of the key. Raises :class:`OnlineStoreError`."""
    view = feature.view
    name = f"{view.view}:{feature.name}"
    with Reader(settings.redis, settings.project, [view.layout]) as reader:
        found = reader.read([dict(feature.join_keys)], [name])
    times = found.times[view.view]
    event, created = (_moment(micros[0]) for micros in (times.event, times.created))
    value = found.values[name][0]
    log = newest_row(versions, None)
    up_to = facts.online_to
    online = OnlineRow(Decision.SAME, value, event, created, log, up_to)
    return OnlineRow(_decision(feature, table, online), value, event, created, log, up_to)


def _moment(micros: int | None) -> datetime | None:
    return None if micros is None else from_micros(micros)


def _decision(feature: Feature, table: FeatureTable, online: OnlineRow) -> Decision:
    log, event = online.log, online.event
    if not feature.view.online:
        return Decision.NOT_ONLINE
    if event is None:
        return _absent(table, online)
    if log is None:
        return Decision.KEPT_NEWER if _is_materialized(online, None) else Decision.DUE
    pair, log_pair = (event, online.created or event), (log.event, log.created)
    if pair == log_pair or (online.created is None and event == log.event):
        return Decision.SAME if _is_close(online.value, log.value) else Decision.OTHER_VALUE
    return Decision.KEPT_NEWER if pair > log_pair else Decision.DUE


def _absent(table: FeatureTable, online: OnlineRow) -> Decision:
    log = online.log
    if log is None:
        return Decision.NOTHING
    ttl = table.online_ttl
    if ttl is not None and log.event + ttl < datetime.now(UTC):
        return Decision.EXPIRED
    return Decision.LOST if _is_materialized(online, log) else Decision.DUE


def _is_materialized(online: OnlineRow, log: Version | None) -> bool:
    up_to = online.materialized_to
    return up_to is not None and (log is None or log.recorded <= up_to)


def _is_close(online: Any, log: Any) -> bool:
    """Whether both say the same; Feast keeps times as whole seconds, and NaN is NaN."""
    if isinstance(online, float) and isinstance(log, float):
        return online == log or (online != online and log != log)
    if isinstance(log, datetime):
        seconds = online if isinstance(online, datetime) else datetime.fromtimestamp(online or 0, UTC)
        return abs(seconds - log) < timedelta(seconds=1)
    return bool(online == log)

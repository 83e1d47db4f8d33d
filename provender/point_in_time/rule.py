"""The point-in-time rule, written once, slowly and plainly. Everything faster is compared with it.

For an entity row at time t and one feature table:

1. The versions that exist are those recorded up to the bound and, if asked (Feast's
   ``filter_by_created_timestamp``), created at or before t.
2. Of each (keys, event timestamp) the version with the greatest (created, recorded) is current; if that one is
   marked deleted, the row is withdrawn.
3. Of the rows left with event timestamp in ``[t - ttl, t]``, both ends included (ttl 0: no lower limit), the one
   with the greatest event timestamp is the answer.
4. No such row: null. A null key or a null t matches nothing.

``docs/semantics.md`` shows it by example.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

Row = Mapping[str, Any]


def lookup(
    versions: Sequence[Row],
    keys: Mapping[str, Any],
    moment: datetime | None,
    *,
    ttl: timedelta = timedelta(0),
    filter_by_created_timestamp: bool = False,
    recorded_up_to: datetime | None = None,
) -> Row | None:
    """The version an entity row sees, or None.

    ``versions`` have the log's columns: keys, features, ``event_timestamp``, ``created_timestamp``,
    ``recorded_timestamp`` (all three with a zone) and ``deleted``. ``keys`` are the entity row's.
    """
    if moment is None or any(value is None for value in keys.values()):
        return None
    current: dict[datetime, Row] = {}
    for version in versions:
        if any(version[name] != value for name, value in keys.items()):
            continue
        if recorded_up_to is not None and version["recorded_timestamp"] > recorded_up_to:
            continue
        if filter_by_created_timestamp and version["created_timestamp"] > moment:
            continue
        event = version["event_timestamp"]
        if event not in current or _order(version) > _order(current[event]):
            current[event] = version
    alive = [event for event, version in current.items() if not version["deleted"]]
    matching = [event for event in alive if event <= moment and (not ttl or moment - ttl <= event)]
    return current[max(matching)] if matching else None


def _order(version: Row) -> tuple[datetime, datetime]:
    return version["created_timestamp"], version["recorded_timestamp"]

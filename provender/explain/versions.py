"""The versions of one key in a feature table's log, and which of them an entity row sees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds

from provender.point_in_time.rule import lookup
from provender.tables.feature_log import CREATED, DELETED, EVENT, RECORDED, Bounds, FeatureLog

PERIOD = "period"
FIRST = datetime(1, 1, 1, tzinfo=UTC)
FOREVER = datetime(9999, 12, 31, tzinfo=UTC)


class NullRule(StrEnum):
    """Why a value is null."""

    NO_VERSION = "no_version"
    """The log has no version of the key with an event timestamp at or before t."""
    TOO_OLD = "too_old"
    """The newest row at or before t is older than the view's ttl."""
    WITHDRAWN = "withdrawn"
    """The row was there, and its raw rows were taken back."""
    NOT_YET_KNOWN = "not_yet_known"
    """The row was created after t, and only what was known then was asked for."""
    NULL_IN_RAW_ROW = "null_in_raw_row"
    """The table is taken as it is, and the raw row has no value."""
    AGGREGATE_OF_NOTHING = "aggregate_of_nothing"
    """The SQL gives null: no raw row of the period has a value that it could use."""
    COLUMN_ADDED_LATER = "column_added_later"
    """The version was written before the feature was defined, by another definition."""


@dataclass(frozen=True)
class Version:
    """One row of the log, of one feature."""

    event: datetime
    created: datetime
    recorded: datetime
    deleted: bool
    period: datetime
    value: Any

    @property
    def order(self) -> tuple[datetime, datetime]:
        """By which the newest of one event timestamp is current."""
        return self.created, self.recorded


@dataclass(frozen=True)
class Answer:
    """What an entity row sees. ``version`` None: nothing; then ``rule`` says why and ``nearest`` what came closest."""

    version: Version | None
    rule: NullRule | None = None
    nearest: Version | None = None


def read_versions(
    log: FeatureLog, keys: Mapping[str, Any], column: str, recorded_to: datetime | None
) -> list[Version]:
    """Read the versions of one key recorded up to ``recorded_to`` (None: all), by event, created and recorded time.

    Reads the columns named, and of the log's row groups those whose statistics allow the key. Raises
    :class:`LogNotFoundError` where there is no table.
    """
    data = log.dataset(Bounds(recorded_to=recorded_to))
    names = [EVENT, CREATED, RECORDED, DELETED, PERIOD, column]
    rows = data if isinstance(data, pa.Table) else _matching(data, keys, names)
    found = [
        Version(row[EVENT], row[CREATED], row[RECORDED], row[DELETED], row[PERIOD], row[column])
        for row in rows.to_pylist()
    ]
    committed = [each for each in found if recorded_to is None or each.recorded <= recorded_to]
    return sorted(committed, key=lambda each: (each.event, *each.order))


def _matching(data: ds.Dataset, keys: Mapping[str, Any], names: Sequence[str]) -> pa.Table:
    condition = ds.scalar(True)
    for name, value in keys.items():
        condition = condition & (ds.field(name) == pa.scalar(value, data.schema.field(name).type))
    return data.to_table(columns=list(dict.fromkeys(names)), filter=condition)


def answer(versions: Sequence[Version], at: datetime, ttl: timedelta, *, known_then: bool) -> Answer:
    """Find what the point-in-time rule gives at ``at`` (event timestamps in ``[at - ttl, at]``), or why nothing."""
    found = _lookup(versions, at, ttl, known_then=known_then)
    if found is not None:
        return Answer(found)
    in_time = [v for v in versions if v.event <= at and (not ttl or at - ttl <= v.event)]
    candidates = [
        (NullRule.WITHDRAWN, _withdrawn(in_time, at, known_then=known_then)),
        (NullRule.NOT_YET_KNOWN, _lookup(in_time, at, ttl, known_then=False) if known_then else None),
    ]
    nearest = [(rule, version) for rule, version in candidates if version is not None]
    if nearest:
        rule, version = max(nearest, key=lambda pair: pair[1].event if pair[1] else at)
        return Answer(None, rule, version)
    older = _lookup(versions, at, timedelta(0), known_then=known_then)
    if older is not None:
        return Answer(None, NullRule.TOO_OLD, older)
    later = [version for version in versions if version.event > at]
    return Answer(None, NullRule.NO_VERSION, later[0] if later else None)


def current(versions: Sequence[Version]) -> dict[datetime, Version]:
    """Event timestamp to the version that is current now, deleted ones included."""
    newest: dict[datetime, Version] = {}
    for version in versions:
        there = newest.get(version.event)
        if there is None or version.order > there.order:
            newest[version.event] = version
    return newest


def newest_row(versions: Sequence[Version], recorded_to: datetime | None) -> Version | None:
    """The row that is to be online once everything recorded up to ``recorded_to`` is: the latest that is not
    withdrawn."""
    known = [v for v in versions if recorded_to is None or v.recorded <= recorded_to]
    return _lookup(known, FOREVER, timedelta(0), known_then=False)


def _withdrawn(versions: Sequence[Version], at: datetime, *, known_then: bool) -> Version | None:
    known = [version for version in versions if not known_then or version.created <= at]
    gone = [version for version in current(known).values() if version.deleted]
    return max(gone, key=lambda version: version.event, default=None)


def _lookup(versions: Sequence[Version], at: datetime, ttl: timedelta, *, known_then: bool) -> Version | None:
    rows = [
        {EVENT: v.event, CREATED: v.created, RECORDED: v.recorded, DELETED: v.deleted, "version": v}
        for v in versions
    ]
    found = lookup(rows, {}, at, ttl=ttl, filter_by_created_timestamp=known_then)
    return None if found is None else found["version"]

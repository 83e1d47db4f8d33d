"""Which versions, recorded between two reads of a log, made rows of a training set differ."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import pyarrow as pa

from provender.intervals import iso
from provender.point_in_time.duckdb_join import connection, key_column, micros
from provender.settings import Settings
from provender.tables.feature_log import CREATED, DELETED, EVENT, RECORDED, Bounds
from provender.training_sets.join import log_of, lookup_of
from provender.training_sets.lockfile import LogRead


class Kind(StrEnum):
    """What a newer version is to the versions before it."""

    LATE = "late"
    """The first of its (keys, event timestamp)."""
    CORRECTED = "corrected"
    """Supersedes an older version: created later."""
    RECOMPUTED = "recomputed"
    """Supersedes a version with the same created timestamp: a changed definition was computed again."""
    WITHDRAWN = "withdrawn"
    """Marks its row deleted."""


@dataclass(frozen=True)
class NewerVersion:
    """A version that one training set saw and the other did not."""

    view: str
    kind: Kind
    keys: dict[str, Any]
    """Entity column to value."""
    event: datetime
    created: datetime
    recorded: datetime

    def __str__(self) -> str:
        keys = ", ".join(f"{name}={value}" for name, value in self.keys.items())
        times = f"true {_short(self.event)}, known {_short(self.created)}, recorded {_short(self.recorded)}"
        return f"{self.kind} in {self.view}: {keys or 'its one row'}; {times}"


def newer_versions(
    settings: Settings, log: LogRead, rows: pa.Table, timestamp: str, since: datetime, as_known: bool
) -> dict[int, list[NewerVersion]]:
    """For each row number of ``rows`` the versions recorded in ``(since, log.recorded_up_to]`` that it can see.

    ``rows`` have ``timestamp`` and the log's entity columns. Rows without any are left out.
    """
    lookup = lookup_of(settings, log)
    keys = {f"k{i}": column for i, column in enumerate(log.keys.values())}
    left = {name: key_column(rows, entity, lookup) for name, entity in zip(keys, log.keys, strict=True)}
    left |= {"row": pa.array(range(len(rows)), pa.int64()), "t": micros(rows.column(timestamp))}
    with connection() as duck:
        duck.register("entities", pa.table(left))
        duck.register("log", log_of(settings, log).dataset(Bounds(recorded_to=log.recorded_up_to)))
        found = duck.sql(_query(keys, log, since, as_known)).to_arrow_table().to_pylist()
    versions: dict[int, list[NewerVersion]] = {}
    for each in found:
        named = {entity: each[name] for name, entity in zip(keys, log.keys, strict=True)}
        version = NewerVersion(
            log.view, Kind(each["kind"]), named, each["event"], each["created"], each["recorded"]
        )
        versions.setdefault(each["row"], []).append(version)
    return versions


def _query(keys: dict[str, str], log: LogRead, since: datetime, as_known: bool) -> str:
    """Of each row of the log the version that counts among the newer ones, for the rows that can see it."""
    columns = "".join(f'"{column}" AS {name}, ' for name, column in keys.items())
    names = "".join(f"{name}, " for name in keys)
    same = "".join(f"e.{name} = v.{name} AND " for name in keys)
    micros_of_ttl = round(log.ttl_seconds * 1_000_000)
    in_time = f"AND epoch_us(v.event) >= e.t - {micros_of_ttl}" if log.ttl_seconds else ""
    known = "AND epoch_us(v.created) <= e.t" if as_known else ""
    return f"""
        WITH versions AS (
            SELECT {columns}{EVENT} AS event, {CREATED} AS created, {RECORDED} AS recorded, {DELETED} AS deleted
            FROM log WHERE {RECORDED} <= {_literal(log.recorded_up_to)}
        ),
        ordered AS (
            SELECT *, lag(created) OVER (PARTITION BY {names}event ORDER BY recorded, created) AS previous FROM versions
        ),
        newer AS (
            SELECT *, CASE WHEN deleted THEN '{Kind.WITHDRAWN}' WHEN previous IS NULL THEN '{Kind.LATE}'
                WHEN created <= previous THEN '{Kind.RECOMPUTED}' ELSE '{Kind.CORRECTED}' END AS kind
            FROM ordered WHERE recorded > {_literal(since)}
        )
        SELECT e.row, v.* FROM entities e JOIN newer v ON {same} epoch_us(v.event) <= e.t {in_time} {known}
        QUALIFY row_number() OVER (PARTITION BY e.row, v.event ORDER BY v.created DESC, v.recorded DESC) = 1
        ORDER BY e.row, v.event DESC"""


def _literal(moment: datetime) -> str:
    return f"TIMESTAMPTZ '{iso(moment)}'"


def _short(moment: datetime) -> str:
    text = iso(moment)
    return text.removesuffix(".000000Z") + "Z" if text.endswith(".000000Z") else text

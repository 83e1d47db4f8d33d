"""The SQL that is sent, and the schemas. Text only: imports no Google client.

A published table holds, of the versions recorded up to its manifest's time, those that a reader may see:

* of one (keys, event timestamp, created timestamp) the one recorded last: a definition that changed gives new values
  to old times;
* none that is marked deleted;
* nothing of a (keys, event timestamp) whose newest version is marked deleted: the row is withdrawn.

Superseded versions stay, with their created timestamps: Feast's store takes the newest one at or before the entity
row's time if it is told to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from provender.publishing.days import DayRange
from provender.specs.source import ColumnType, FeatureTable, Source
from provender.tables.feature_log import CREATED, DELETED, EVENT, RECORDED

TIMES = {
    EVENT: "when it was true",
    CREATED: "when it could be known; a correction is a row of its own with a newer one",
    RECORDED: "when the platform wrote it",
}
SQL_TYPES = {
    ColumnType.INT32: "INT64",
    ColumnType.INT64: "INT64",
    ColumnType.FLOAT: "FLOAT64",
    ColumnType.DOUBLE: "FLOAT64",
    ColumnType.STRING: "STRING",
    ColumnType.BOOL: "BOOL",
    ColumnType.BYTES: "BYTES",
    ColumnType.TIMESTAMP: "TIMESTAMP",
}
_CLUSTERED = {ColumnType.INT32, ColumnType.INT64, ColumnType.STRING, ColumnType.BOOL, ColumnType.TIMESTAMP}
_MOST_CLUSTERED = 4


def columns_of(source: Source, table: FeatureTable) -> dict[str, tuple[str, str]]:
    """BigQuery type and description by column: keys, features, times."""
    described = [*source.keys_of(table), *source.features_of(table)]
    values = {column.name: (SQL_TYPES[column.type], column.description) for column in described}
    return values | {name: ("TIMESTAMP", description) for name, description in TIMES.items()}


def clustering_of(source: Source, table: FeatureTable) -> list[str]:
    """The entity keys, the first four of those that BigQuery can cluster by."""
    keys = [key.name for key in source.keys_of(table) if key.type in _CLUSTERED]
    return keys[:_MOST_CLUSTERED]


def replace_days(
    target: str,
    staged: str,
    keys: Sequence[str],
    columns: Sequence[str],
    portion: list[DayRange],
    up_to: datetime,
) -> str:
    """One statement that makes these days of ``target`` what the versions in ``staged`` say, all or nothing.

    Run twice it changes nothing the second time. ``staged`` has the log's columns and may hold other days, versions
    recorded later, and copies.
    """
    group = ", ".join([*map(_quoted, keys), EVENT])
    names = ", ".join(map(_quoted, columns))
    return f"""MERGE `{target}` AS published
USING (
  SELECT {names}
  FROM (
    SELECT {names}, {DELETED},
      ROW_NUMBER() OVER (PARTITION BY {group}, {CREATED} ORDER BY {RECORDED} DESC) AS _copy,
      FIRST_VALUE({DELETED}) OVER (PARTITION BY {group} ORDER BY {CREATED} DESC, {RECORDED} DESC) AS _withdrawn
    FROM `{staged}`
    WHERE {RECORDED} <= {_literal(up_to)} AND ({_within("", portion)})
  )
  WHERE _copy = 1 AND NOT {DELETED} AND NOT _withdrawn
) AS due
ON FALSE
WHEN NOT MATCHED BY SOURCE AND ({_within("published.", portion)}) THEN DELETE
WHEN NOT MATCHED THEN INSERT ({names}) VALUES ({names})"""


def add_columns(target: str, columns: Mapping[str, str]) -> str:
    """``columns``: BigQuery type by name. Adds those that are not there."""
    added = ", ".join(f"ADD COLUMN IF NOT EXISTS {_quoted(name)} {kind}" for name, kind in columns.items())
    return f"ALTER TABLE `{target}` {added}"


def days_in(target: str) -> str:
    """The event dates that ``target`` has rows of: one column, ``day``."""
    return f"SELECT DISTINCT DATE({EVENT}) AS day FROM `{target}` WHERE {EVENT} IS NOT NULL"


def _within(side: str, portion: list[DayRange]) -> str:
    """Constants beside the bare column, so that BigQuery reads and changes no other partition."""
    return " OR ".join(
        f"{side}{EVENT} >= {_literal(each.start)} AND {side}{EVENT} < {_literal(each.end)}"
        for each in portion
    )


def _literal(moment: datetime) -> str:
    return f"TIMESTAMP '{moment.astimezone(UTC).strftime('%Y-%m-%d %H:%M:%S.%f')}+00:00'"


def _quoted(name: str) -> str:
    return f"`{name}`"

"""Which rows and columns of a BigQuery table or query are a partition's, as GoogleSQL.

Values are given the types that the spec declares, as :mod:`provender.staging.sql_values` does for other databases: a
column whose type does not fit is exported as text, and the contract quarantines what cannot be read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from provender.errors import ContractError
from provender.intervals import Partition
from provender.specs.source import ColumnType, Source, SqlRaw
from provender.staging.sql_time import Window, window
from provender.staging.times import time_format

Schema = Mapping[str, str]
"""Column to BigQuery's standard type (``INTEGER``, ``TIMESTAMP``, …; an array is ``ARRAY``)."""
_WHOLE, _NUMBERS = ("INTEGER", "INT64"), ("FLOAT", "FLOAT64", "NUMERIC", "BIGNUMERIC", "INTEGER", "INT64")
_FITS: dict[ColumnType, tuple[str, ...]] = {
    ColumnType.INT32: _WHOLE,
    ColumnType.INT64: _WHOLE,
    ColumnType.FLOAT: _NUMBERS,
    ColumnType.DOUBLE: _NUMBERS,
    ColumnType.STRING: ("STRING",),
    ColumnType.BOOL: ("BOOLEAN", "BOOL"),
    ColumnType.BYTES: ("BYTES",),
    ColumnType.TIMESTAMP: ("TIMESTAMP",),
}
_TEXTS = {
    "BYTES": "TO_HEX({0})",
    **dict.fromkeys(("JSON", "RECORD", "STRUCT", "ARRAY", "RANGE"), "TO_JSON_STRING({0})"),
}
_EXAMPLES: dict[str, tuple[str, Any]] = {
    "TIMESTAMP": ("TIMESTAMP", datetime(1970, 1, 1, tzinfo=UTC)),
    "DATETIME": ("DATETIME", datetime(1970, 1, 1)),  # noqa: DTZ001 (BigQuery's DATETIME has no zone)
    "INTEGER": ("INT64", 0),
    "INT64": ("INT64", 0),
}
_PLAIN_DATES = "DATE"


@dataclass(frozen=True)
class Bounds:
    """The time column's values in ``[low, high)`` are the partition's."""

    column: str
    kind: str
    low: Any
    high: Any

    @property
    def condition(self) -> str:
        return (
            f"`{self.column}` >= {self._literal(self.low)} AND `{self.column}` < {self._literal(self.high)}"
        )

    def _literal(self, value: Any) -> str:
        return str(value) if isinstance(value, int) else f"{self.kind} '{value.isoformat()}'"


def relation(raw: SqlRaw, project: str) -> str:
    """What stands behind FROM."""
    if raw.table:
        parts = raw.table.split(".")
        return f"`{'.'.join([project, *parts] if len(parts) < 3 else parts)}`"
    return f"(\n{(raw.query or '').strip().rstrip(';').rstrip()}\n)"


def selected(source: Source, schema: Schema) -> str:
    """The declared columns that are there, in the spec's order, each under its declared name."""
    there = {name.lower(): (name, kind) for name, kind in schema.items()}
    found = [
        (column, *there[column.name.lower()]) for column in source.columns if column.name.lower() in there
    ]
    return ", ".join(f"{_value(name, kind, column.type)} AS `{column.name}`" for column, name, kind in found)


def bounds(source: Source, partition: Partition, schema: Schema, where: str) -> Bounds:
    """Raises :class:`ContractError` if there is no such time column, or its values cannot be compared exactly."""
    how = time_format(source)
    kinds = {name.lower(): kind for name, kind in schema.items()}
    kind = kinds.get(how.column.lower())
    if kind is None:
        raise ContractError(
            f"{source.name}: there is no time column {how.column!r}; there are {', '.join(schema) or 'no columns'}",
            where=where,
            not_affected="what was staged before",
            remedy=f"correct raw.time_column or raw.sql in sources/{source.name}.yaml",
            source=source.name,
        )
    if kind == _PLAIN_DATES and how.zone == "UTC":
        return Bounds(how.column, _PLAIN_DATES, _first_day(partition.start), _first_day(partition.end))
    found = _window(source, partition, kind)
    if found is None or not found.is_exact:
        raise ContractError(
            f"{source.name}: the time column {how.column!r} is a {kind}, which BigQuery cannot compare with moments "
            f"by format {how.format} and zone {how.zone}",
            where=where,
            not_affected="what was staged before",
            remedy=f"make a timestamp of it in raw.sql.query: SELECT * REPLACE (TIMESTAMP(`{how.column}`, "
            f"'{how.zone}') AS `{how.column}`) FROM …",
            source=source.name,
        )
    return Bounds(how.column, _EXAMPLES[kind][0], found.low, found.high)


def _window(source: Source, partition: Partition, kind: str) -> Window | None:
    if kind not in _EXAMPLES:
        return None
    try:
        return window(source, partition, _EXAMPLES[kind][1])
    except ContractError:  # a number without an epoch format: the caller says it with BigQuery's remedy
        return None


def _first_day(moment: datetime) -> date:
    """The first date whose midnight is not before ``moment``."""
    day = moment.date()
    is_midnight = moment == datetime(day.year, day.month, day.day, tzinfo=UTC)
    return day if is_midnight else date.fromordinal(day.toordinal() + 1)


def _value(name: str, kind: str, declared: ColumnType) -> str:
    column = f"`{name}`"
    if kind not in _FITS[declared]:
        return _TEXTS.get(kind, "CAST({0} AS STRING)").format(column)
    if declared in (ColumnType.FLOAT, ColumnType.DOUBLE) and kind not in ("FLOAT", "FLOAT64"):
        return f"CAST({column} AS FLOAT64)"
    return column

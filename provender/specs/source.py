"""What a source spec says, as frozen values. Reading and checking YAML is :mod:`provender.specs.loader`.

The field docs here are the reference for ``feature_defs/sources/<name>.yaml``.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetPydanticSchema,
    model_validator,
)
from pydantic_core import CoreSchema, core_schema

from provender.intervals import Cadence, Frequency, Partition, is_zone, parse_duration

IDENTIFIER = re.compile(r"[a-z][a-z0-9_]{0,62}")
RESERVED_PREFIX = "_"
EVENT_TIMESTAMP = "event_timestamp"
CREATED_TIMESTAMP = "created_timestamp"


def _identifier(value: str) -> str:
    if not IDENTIFIER.fullmatch(value):
        raise ValueError(f"{value!r} is not a name: lower-case letters, digits and _, starting with a letter")
    return value


def _column_name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,127}", value):
        raise ValueError(f"{value!r} is not a column name: letters, digits and _, starting with a letter")
    return value


def _duration(value: Any) -> Any:
    return parse_duration(value) if isinstance(value, str) else value


def _cadence_schema(_: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
    """A cadence is written as its frequency; the source's ``timezone`` adds the rest."""
    text = core_schema.plain_serializer_function_ser_schema(str)
    frequency = core_schema.no_info_before_validator_function(_frequency, handler(Frequency))
    return core_schema.no_info_after_validator_function(Cadence, frequency, serialization=text)


def _frequency(value: Any) -> Any:
    return value.frequency if isinstance(value, Cadence) else value


def _zone(value: str) -> str:
    if not is_zone(value):
        raise ValueError(f"{value!r} is not a time zone of the IANA list; write it like Europe/Berlin")
    return value


Identifier = Annotated[str, AfterValidator(_identifier)]
ColumnName = Annotated[str, AfterValidator(_column_name)]
Duration = Annotated[timedelta, BeforeValidator(_duration)]


class ColumnType(StrEnum):
    """Feast's primitive value types that a batch column can have."""

    INT32 = "INT32"
    INT64 = "INT64"
    FLOAT = "FLOAT"
    DOUBLE = "DOUBLE"
    STRING = "STRING"
    BOOL = "BOOL"
    BYTES = "BYTES"
    TIMESTAMP = "TIMESTAMP"


class _Spec(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Column(_Spec):
    """A raw column and its contract."""

    name: ColumnName
    """Name of the raw column, matched in any letter case."""
    type: ColumnType
    """``INT32``, ``INT64``, ``FLOAT``, ``DOUBLE``, ``STRING``, ``BOOL``, ``BYTES`` or ``TIMESTAMP``."""
    description: str = ""
    """Text for people, shown in Feast."""
    required: bool = False
    """Whether a null is a violation (``null:<column>``)."""
    min: float | None = None
    """Smallest allowed value, inclusive."""
    max: float | None = None
    """Largest allowed value, inclusive."""
    allowed: tuple[str, ...] | None = None
    """The only values a string may have."""
    max_length: int | None = Field(default=None, ge=1)
    """Most characters a string may have."""
    allow_not_finite: bool = False
    """Whether NaN and infinity are values, not violations."""


class Timestamp(_Spec):
    """A timestamp column and how to read it. Its type is TIMESTAMP, or the raw value's (INT64, STRING)."""

    column: ColumnName
    """Name of the raw column."""
    format: str = "iso"
    """``iso`` (ISO 8601), ``epoch_s``, ``epoch_ms``, ``epoch_us``, or a Spark datetime pattern."""
    zone: str = "UTC"
    """IANA zone of values that name no offset. A wall time that a clock change skipped is a violation
    (``nonexistent_time``); one that occurred twice is read as the earlier."""


class SqlRaw(_Spec):
    """A table or a query of a SQL database."""

    connection: Identifier
    """A name under ``provender.connections`` in ``feature_store.yaml``: URLs and secrets stay there."""
    table: str | None = None
    """``table`` or ``schema.table``."""
    query: str | None = None
    """A SELECT, instead of a table; it is put into ``SELECT … FROM (query) WHERE <time_column> …``."""


class Raw(_Spec):
    """Where the raw rows are: files (``uri``) or a database (``sql``)."""

    uri: str = ""
    """One file or glob per partition: ``{partition}`` is the key; ``{start:%Y/%m/%d}`` and ``{end:...}`` are
    formatted. Without a placeholder it is one location whose rows are selected by ``time_column``. A path (relative
    to ``feature_store.yaml``), a ``file://`` or a ``gs://`` URI."""
    sql: SqlRaw | None = None
    """A database instead of files; ``time_column`` selects a partition's rows."""
    format: Literal["csv", "parquet", "json", "avro"] = "csv"
    """A file called ``.parquet`` or ``.avro`` is read as such in any case; what is compressed is unpacked."""
    options: dict[str, str | bool | int] = {}
    """How text is written, by Spark's names; ``docs/sources.md`` has the list."""
    max_unpacked_bytes: int | None = Field(default=None, ge=1)
    """Most bytes that one file may unpack to. Default: 100 times its size, at least 1 GiB."""
    time_column: ColumnName | None = None
    """Column by which a location without placeholders, or a database, is cut into partitions, ``[start, end)``."""
    settle: Duration | None = None
    """How long a file's size and modification time must not change before it counts as delivered. Default:
    ``provender.staging.settle_seconds`` in ``feature_store.yaml``."""

    @property
    def is_partitioned(self) -> bool:
        return "{" in self.uri


class Violations(_Spec):
    """What to do with rows that break the contract."""

    action: Literal["quarantine", "fail"] = "quarantine"
    """``quarantine`` keeps such rows apart, up to ``max_share``; ``fail`` allows none."""
    max_share: float = Field(default=0.05, ge=0.0, le=1.0)
    """Largest share of a partition's rows that may be quarantined before the run fails, inclusive."""
    max_withdrawn_share: float | None = Field(default=None, ge=0.0, le=1.0)
    """Largest share of a partition's accepted rows that a redelivery may take back before the run stops, inclusive.
    Default: 0.5, and fewer than 10 rows never stop it."""


class OutputColumn(_Spec):
    """A column that the SQL returns."""

    name: ColumnName
    """Name of the column in the query's result."""
    type: ColumnType
    """Declared type; see ``docs/sources.md`` for what fits."""
    description: str = ""
    """Text for people, shown in Feast."""


class FeatureTable(_Spec):
    """One offline table and, for a derived one, its SQL."""

    name: Identifier
    """Name of the table, unique in the source: ``provender.source("<source>", "<table>")``."""
    keys: tuple[ColumnName, ...] = Field(min_length=1)
    """Entity key columns: raw columns; a derived table's may be its SQL's own, typed in ``features``."""
    description: str = ""
    """Text for people, shown in Airflow and Feast."""
    sql: str | None = None
    """File of a Spark SQL query over the source's name, beside the spec. It sees the rows of one period."""
    features: tuple[OutputColumn, ...] = ()
    """For a derived table: the columns that the SQL returns besides the keys that are raw columns."""
    columns: tuple[ColumnName, ...] | None = None
    """For a table without SQL: which raw columns. Default: all."""
    online_ttl: Duration | None = None
    """How long a value lives in the online store, from its event timestamp. Default: no limit."""

    @property
    def is_derived(self) -> bool:
        return self.sql is not None

    @model_validator(mode="after")
    def _consistent(self) -> FeatureTable:
        if self.is_derived and not self.features:
            raise ValueError("a derived table needs 'features': the names and types its SQL gives")
        if self.is_derived and self.columns is not None:
            raise ValueError("'columns' is for tables without SQL; list the SQL's output under 'features'")
        if not self.is_derived and self.features:
            raise ValueError("'features' is for derived tables; add 'sql', or use 'columns'")
        return self


class Source(_Spec):
    """A named stream of raw rows with a cadence and a contract."""

    name: Identifier
    """Lower-case letters, digits and ``_``; the name of the file."""
    description: str = ""
    """Text for people, shown in Airflow and Feast."""
    owner: str
    """Who is responsible, shown in Airflow and Feast."""
    tags: tuple[str, ...] = ()
    """Labels, shown in Airflow and Feast."""
    cadence: Annotated[Cadence, GetPydanticSchema(_cadence_schema)]
    """``hourly``, ``daily``, ``weekly`` (from Monday) or ``monthly``."""
    timezone: Annotated[str, AfterValidator(_zone)] = "UTC"
    """Where days, weeks and months begin, as an IANA name (``Europe/Berlin``). Hourly partitions are in UTC."""
    start: datetime
    """Start of the first partition (a date in ``timezone``, or a moment on the cadence's boundary)."""
    end: datetime | None = None
    """End (exclusive) of the last partition, for a source that is closed. Default: still running."""
    raw: Raw
    """Where the raw rows are."""
    delay: Duration = timedelta(0)
    """How long after a partition's end its data is expected."""
    timeout: Duration = timedelta(days=1)
    """How long after that to wait before the run fails."""
    lateness: Duration = timedelta(0)
    """How late a raw row may arrive: the partition that brings it may start this long after the row's period."""
    event_timestamp: Timestamp
    """When a row was true (event time)."""
    created_timestamp: Timestamp | None = None
    """When a row could be known. Default: derived from the delivery."""
    columns: tuple[Column, ...] = Field(min_length=1)
    """The raw columns and their contract."""
    violations: Violations = Violations()
    """What to do with rows that break the contract."""
    tables: tuple[FeatureTable, ...] = Field(min_length=1)
    """The feature tables."""

    @model_validator(mode="after")
    def _place_cadence(self) -> Source:
        if self.cadence.frequency is Frequency.HOURLY and self.timezone != "UTC":
            raise ValueError(
                "'timezone' is for days, weeks and months: hourly partitions are in UTC; leave it out"
            )
        self.__dict__["cadence"] = Cadence(
            self.cadence.frequency, self.timezone
        )  # not assigned: it is frozen
        return self

    def path_of(self, table: FeatureTable) -> str:
        """Where a table's log is, under the storage root."""
        return f"tables/{self.name}/{table.name}"

    def table(self, name: str | None = None) -> FeatureTable:
        """The feature table called ``name``, or the only one. Raises ``KeyError``."""
        if name is None:
            if len(self.tables) != 1:
                raise KeyError(
                    f"source {self.name!r} has several tables: {', '.join(t.name for t in self.tables)}"
                )
            return self.tables[0]
        for table in self.tables:
            if table.name == name:
                return table
        raise KeyError(
            f"source {self.name!r} has no table {name!r}; it has {', '.join(t.name for t in self.tables)}"
        )

    def column(self, name: str) -> Column:
        """The raw column called ``name``. Raises ``KeyError``."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    @property
    def first_partition(self) -> Partition:
        return Partition.holding(self.cadence, self.start)

    @property
    def last_partition(self) -> Partition | None:
        """The last partition of a source that is closed (``end`` is the end of it); None for one that is not."""
        if self.end is None:
            return None
        return Partition.holding(self.cadence, self.end - timedelta(microseconds=1))

    def keys_of(self, table: FeatureTable) -> tuple[OutputColumn, ...]:
        """The entity key columns of ``table``, with types."""
        typed = {
            c.name: OutputColumn(name=c.name, type=c.type, description=c.description) for c in self.columns
        }
        typed |= {feature.name: feature for feature in table.features}
        return tuple(typed[key] for key in table.keys)

    def features_of(self, table: FeatureTable) -> tuple[OutputColumn, ...]:
        """The feature columns of ``table`` (keys and timestamps excluded), with types."""
        if table.is_derived:
            return tuple(feature for feature in table.features if feature.name not in table.keys)
        times = {self.event_timestamp.column}
        if self.created_timestamp:
            times.add(self.created_timestamp.column)
        chosen = table.columns if table.columns is not None else tuple(c.name for c in self.columns)
        return tuple(
            OutputColumn(name=c.name, type=c.type, description=c.description)
            for c in self.columns
            if c.name in chosen and c.name not in table.keys and c.name not in times
        )

"""Raw rows of one partition, selected from a SQL database by a time column.

They stream from one snapshot (REPEATABLE READ where the database has it) through a cursor on its side into a Parquet
file, so that neither the partition's size nor writers at work matter. Only declared columns are read, in the spec's
order, sorted, so that the same rows give the same bytes.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa
import pyarrow.parquet as pq

from provender.errors import ContractError, ProvenderError, SourceNotReadyError
from provender.intervals import Partition
from provender.settings import Settings
from provender.specs.source import ColumnType, Source, SqlRaw
from provender.staging.connections import engine_of
from provender.staging.groups import write_full_groups
from provender.staging.sql_time import Window, day_of, refuse_unplaced, window
from provender.staging.sql_values import MisfitError, arrow_type, to_arrow
from provender.staging.times import time_format

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection, FromClause, Select, TextClause
    from sqlalchemy.exc import DBAPIError

_BATCH_ROWS = 10_000
_USER_COLON = re.compile(r"(?<![:\w\\]):(?=\w)")
"""What SQLAlchemy would take for a parameter."""


@dataclass(frozen=True)
class SqlSelection:
    """``path``: a Parquet file with the partition's ``rows``. ``without_time``: rows of the whole table, or query,
    whose time column is null, so that they belong to no partition. ``unreadable``: those whose time column holds what
    means no moment."""

    path: Path
    rows: int
    without_time: int
    unreadable: int = 0


@contextmanager
def sql_rows(settings: Settings, source: Source, partition: Partition) -> Iterator[SqlSelection]:
    """The rows whose time column lies in the partition's ``[start, end)``; a partition without rows gives a file
    without rows.

    Raises :class:`SettingsError` and :class:`SetupError` for an invalid connection,
    :class:`SourceNotReadyError` if the database cannot be reached or the connection breaks half-way,
    :class:`ContractError` if it refuses the query or has no such time column, or if more rows than ``violations``
    allows hold no time that can be read.
    """
    from sqlalchemy.exc import DBAPIError

    assert source.raw.sql is not None
    engine = engine_of(settings, source.raw.sql.connection)
    with tempfile.TemporaryDirectory(prefix="provender-sql-") as folder:
        path = Path(folder) / "selected.parquet"
        try:
            with _snapshot(engine) as connection:
                selection = _Export(connection, source, partition, path).run()
        except DBAPIError as error:
            raise _translated(source, error, engine.url.password) from None
        finally:
            engine.dispose()
        yield selection


@contextmanager
def _snapshot(engine: Any) -> Iterator[Connection]:
    """A transaction that sees one state of the database and changes nothing."""
    with engine.connect() as connection:
        levels = engine.dialect.get_isolation_level_values(connection.connection.dbapi_connection)
        options: dict[str, Any] = {}
        wanted = next(
            (level for level in ("REPEATABLE READ", "SNAPSHOT", "SERIALIZABLE") if level in levels), None
        )
        if wanted:
            options["isolation_level"] = wanted
        if engine.dialect.name == "postgresql":
            options["postgresql_readonly"] = True
        with connection.execution_options(**options).begin():
            yield connection


@dataclass
class _Export:
    connection: Connection
    source: Source
    partition: Partition
    path: Path
    texts: set[str] = field(default_factory=set)
    """Columns that do not fit their declared type."""
    unreadable: int = 0
    """Rows seen whose time column holds what means no moment."""

    def run(self) -> SqlSelection:
        time_column = self._require_time_column()
        span = self._window(time_column)
        without_time = self._without_time(time_column)
        while True:
            try:
                self.unreadable = self._unreadable(time_column, span) if span else 0
                rows = self._write(time_column, span)
            except MisfitError as misfit:
                # The snapshot gives the same rows again.
                self.texts.add(misfit.column)
                continue
            if self.unreadable:
                where = f"connection {self._raw.connection}, {describe(self._raw)}"
                refuse_unplaced(self.source, self.unreadable, self._with_time(time_column), where)
            return SqlSelection(self.path, rows, without_time, self.unreadable)

    @property
    def _raw(self) -> SqlRaw:
        assert self.source.raw.sql is not None
        return self.source.raw.sql

    @cached_property
    def _columns(self) -> dict[str, ColumnType]:
        """Declared columns that are there, in the spec's order."""
        from sqlalchemy import literal_column, select, text

        none: Select[Any] = select(literal_column("*")).select_from(self._relation).where(text("1 = 0"))
        there = set(self.connection.execute(none).keys())
        return {column.name: column.type for column in self.source.columns if column.name in there}

    @cached_property
    def _relation(self) -> FromClause | TextClause:
        from sqlalchemy import table, text

        if self._raw.table:
            *schema, name = self._raw.table.split(".")
            return table(name, schema=".".join(schema) or None)
        query = (self._raw.query or "").strip().rstrip(";")
        return text(f"({_USER_COLON.sub(lambda _: chr(92) + ':', query)}) raw_rows")

    def _require_time_column(self) -> str:
        name = time_format(self.source).column
        if name in self._columns:
            return name
        raise ContractError(
            f"{self.source.name}: {describe(self._raw)} has no time column {name!r}; of the declared columns it has "
            f"{', '.join(self._columns) or 'none'}",
            where=f"connection {self._raw.connection}",
            not_affected="what was staged before",
            remedy=f"correct raw.time_column or raw.sql in sources/{self.source.name}.yaml",
            source=self.source.name,
        )

    def _window(self, time_column: str) -> Window | None:
        """None: there are no rows at all."""
        from sqlalchemy import column

        present = self._select([time_column]).where(column(time_column).is_not(None)).limit(1)
        row = self.connection.execute(present).first()
        return window(self.source, self.partition, row[0]) if row else None

    def _without_time(self, time_column: str) -> int:
        from sqlalchemy import column

        return self._count(column(time_column).is_(None))

    def _with_time(self, time_column: str) -> int:
        from sqlalchemy import column

        return self._count(column(time_column).is_not(None))

    def _unreadable(self, time_column: str, span: Window) -> int:
        """Rows of the whole table that no partition's window would find. (Those of a window are looked at there.)"""
        from sqlalchemy import column, func, or_, select

        times: ColumnElement[Any] = column(time_column)
        if span.by_day:
            start = func.substring if self.connection.dialect.name == "mssql" else func.substr
            days: Any = start(times, 1, 10)
            counted = select(days, func.count()).select_from(self._relation).where(times.is_not(None))
            found = self.connection.execute(counted.group_by(days))
            return sum(count for text, count in found if day_of(text) is None)
        if span.first is None:
            return 0
        return self._count(or_(times < span.first, times > span.last))

    def _count(self, condition: ColumnElement[bool]) -> int:
        from sqlalchemy import func, select

        counted = select(func.count()).select_from(self._relation).where(condition)
        return int(self.connection.execute(counted).scalar_one())

    def _select(self, names: Sequence[str]) -> Select[Any]:
        from sqlalchemy import column, select

        chosen: Any = select(*[column(name) for name in names]).select_from(self._relation)
        return cast("Select[Any]", chosen)

    def _write(self, time_column: str, span: Window | None) -> int:
        rows, waiting = 0, list[pa.Table]()
        fields = [(name, arrow_type(self._kind(name))) for name in self._columns]
        with pq.ParquetWriter(self.path, pa.schema(fields)) as writer:
            for batch in self._batches(time_column, span) if span else ():
                rows += len(batch)
                waiting = write_full_groups(writer, [*waiting, batch])
            for table in waiting:
                writer.write_table(table)
        return rows

    def _batches(self, time_column: str, span: Window) -> Iterator[pa.Table]:
        """Sorted by time, then by every other column."""
        from sqlalchemy import column

        names = list(self._columns)
        order = dict.fromkeys(chain([time_column], names))
        times: ColumnElement[Any] = column(time_column)
        query = self._select(names).where(times.is_not(None))
        if not span.is_all:
            query = query.where(times >= span.low, times < span.high)
        query = query.order_by(*[column(name) for name in order])
        result = self.connection.execute(query, execution_options={"yield_per": _BATCH_ROWS})
        for rows in result.partitions():
            values = dict(zip(names, zip(*rows, strict=True), strict=True))
            table = pa.table(
                {name: to_arrow(name, column, self._kind(name)) for name, column in values.items()}
            )
            if span.is_exact:
                yield table
                continue
            held, unreadable = span.holds(values[time_column])
            self.unreadable += unreadable
            yield table.filter(pa.array(held))

    def _kind(self, name: str) -> ColumnType | None:
        return None if name in self.texts else self._columns[name]


def describe(raw: SqlRaw) -> str:
    """The table, or that it is a query."""
    return raw.table or "the query"


def _translated(source: Source, error: DBAPIError, password: Any) -> ProvenderError:
    from sqlalchemy.exc import InterfaceError, InternalError, OperationalError

    raw = source.raw.sql
    assert raw is not None
    reason = " ".join(str(error.orig).split())[:300]
    if password:
        reason = reason.replace(str(password), "***")
    where = f"connection {raw.connection}, {describe(raw)}"
    if error.connection_invalidated or isinstance(error, OperationalError | InterfaceError | InternalError):
        return SourceNotReadyError(
            f"{source.name}: the database does not answer: {reason}",
            where=where,
            not_affected="what was staged before; nothing of this partition was staged",
            remedy="run the same command again",
            source=source.name,
        )
    return ContractError(
        f"{source.name}: the database refuses the query: {reason}",
        where=where,
        not_affected="what was staged before",
        remedy=f"correct raw.sql or the columns in sources/{source.name}.yaml (a value that cannot be sorted, such as "
        "JSON, has to be cast to text in raw.sql.query)",
        source=source.name,
    )

"""The values of a derived table in their declared types: a value that does not fit is refused, never changed.

    the SQL's columns ─▶ types that can never fit: refused by name ─▶ each value converted, or the row refused

The check of a value is part of the expression that converts it, so it costs no further look at the rows. Only when it
has failed are the rows read again, to name the first of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from provender.errors import SqlError
from provender.ingestion.slices import SLICE
from provender.intervals import Partition
from provender.specs.conversions import Conversion, conversion, is_whole
from provender.specs.source import ColumnType, Source
from provender.tables.types import DDL, quoted

_MARK = "a value does not fit its declared type: "
_NOT_AFFECTED = "everything committed before; nothing of this attempt was written"
_EXAMPLES = 3
_TWO_TO_63 = 9223372036854775808.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Declared:
    """A column of a derived table as the spec declares it, and the type that the SQL gives (Spark's name)."""

    name: str
    type: ColumnType
    given: str

    @property
    def is_checked(self) -> bool:
        """Whether some values of the given type have no place in the declared one."""
        return conversion(self.given, self.type) is Conversion.CHECKED

    @property
    def given_column(self) -> Column:
        return F.col(quoted(self.name))

    def converted(self, keys: Sequence[str]) -> Column:
        """The column in its declared type; Spark raises an error for a row whose value does not fit."""
        if not self.is_checked:
            return self.given_column.cast(DDL[self.type]).alias(self.name)
        value, lost = _narrowed(self.given_column, self.given, self.type)
        told = F.concat(
            F.lit(f"{_MARK}{self.name} is declared {self.type}, and the SQL gives "),
            self.given_column.cast("string"),
            F.lit(" for "),
            _row_key(keys),
        )
        return F.when(lost, F.raise_error(told)).otherwise(value).alias(self.name)

    def told_if_lost(self) -> Column:
        """A sentence for a value that does not fit, null for one that does."""
        _, lost = _narrowed(self.given_column, self.given, self.type)
        given = self.given_column.cast("string")
        return F.when(lost, F.concat(F.lit(f"{self.name}: "), given, F.lit(f" is no {self.type} value")))


def declared_columns(
    table: str, types: Mapping[str, ColumnType], results: DataFrame, sql_path: str
) -> list[Declared]:
    """Pair the declared ``types`` (by column name) with those that ``results`` has.

    ``table`` is what messages call it. Raises :class:`SqlError`, a line for each column whose type can never fit.
    """
    given = dict(results.dtypes)
    columns = [Declared(name, wanted, given[name]) for name, wanted in types.items()]
    refused = [each for each in columns if conversion(each.given, each.type) is Conversion.REFUSED]
    if refused:
        raise SqlError(
            "\n".join(
                f"{table}: {each.name} is declared {each.type}, and the SQL gives {each.given.upper()}"
                for each in refused
            ),
            where=sql_path,
            not_affected=_NOT_AFFECTED,
            remedy="declare the type that the SQL gives, or convert the value in the SQL, saying what it means "
            "(docs/sources.md lists what fits)",
        )
    return columns


def is_narrowing(error: PySparkException) -> bool:
    """Whether ``error`` is that of a value that does not fit its declared type."""
    return _MARK in str(error)


def narrowing_error(
    source: Source,
    table: str,
    keys: Sequence[str],
    results: DataFrame,
    columns: Sequence[Declared],
    where: str,
) -> SqlError:
    """Name the values of ``results`` that do not fit ``columns``, with the keys and periods of the first rows.

    ``results`` is what the SQL gave: ``_slice`` and the columns. Reads it again.
    """
    checked = [each for each in columns if each.is_checked]
    lost = F.array_compact(F.array(*[each.told_if_lost() for each in checked]))
    rows = results.select(SLICE, _row_key(keys).alias("key"), lost.alias("lost")).where(F.size("lost") > 0)
    number = rows.count()
    first = rows.orderBy(SLICE, "key").limit(_EXAMPLES).collect()
    lines = [
        f"{source.name}.{table}: {number} row(s) of the SQL hold values that do not fit their declared types"
    ]
    for row in first:
        period = Partition.holding(
            source.cadence, _EPOCH + timedelta(microseconds=int(row[SLICE].split("|")[0]))
        )
        lines += [f"  {told}, for {row['key']} in period {period.key}" for told in row["lost"]]
    return SqlError(
        "\n".join(lines),
        where=where,
        not_affected=_NOT_AFFECTED,
        remedy="declare a type that holds these values, or say in the SQL what is to become of them "
        "(CAST(round(x) AS BIGINT), for example)",
    )


def _row_key(keys: Sequence[str]) -> Column:
    """The row's keys as JSON."""
    return F.to_json(F.struct(*[F.col(quoted(key)) for key in keys])) if keys else F.lit("{}")


def _narrowed(given: Column, spark_type: str, declared: ColumnType) -> tuple[Column, Column]:
    """The value in its declared type, and whether it would be another value there."""
    kind = DDL[declared]
    if declared is ColumnType.FLOAT and spark_type == "double":
        value = given.cast(kind)
        infinite = F.abs(value) == F.lit(float("inf"))
        return value, F.coalesce(infinite & (F.abs(given) != F.lit(float("inf"))), F.lit(False))
    if declared in (ColumnType.FLOAT, ColumnType.DOUBLE):
        return _whole_as_fraction(given, kind)
    value = given.try_cast(kind)
    if is_whole(spark_type):
        lost = value.isNull()
    elif spark_type in ("float", "double"):
        # 2^63 itself would become 2^63 - 1, which as a double is 2^63 again.
        same = (value.cast("double") == given.cast("double")) & (given.cast("double") < F.lit(_TWO_TO_63))
        lost = value.isNull() | ~same
    else:
        lost = value.isNull() | (given % F.lit(1).cast("decimal(1,0)") != F.lit(0))
    return value, given.isNotNull() & lost


def _whole_as_fraction(given: Column, kind: str) -> tuple[Column, Column]:
    """Whole numbers in FLOAT or DOUBLE: lost where the number read back is another one."""
    value = given.cast(kind)
    wide = value.cast("double")
    back = F.when(F.abs(wide) < F.lit(_TWO_TO_63), wide.try_cast("bigint"))
    same = back.cast("decimal(38,0)") == given.cast("decimal(38,0)")
    return value, given.isNotNull() & ~F.coalesce(same, F.lit(False))

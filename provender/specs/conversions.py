"""Which type the SQL of a derived table may give for a declared one. Pure rules, without Spark.

A value is stored as it was computed or not at all: what no value of a type can become is refused before the SQL
runs, and what only some values can become is checked row by row (:mod:`provender.ingestion.narrowing`).
"""

from __future__ import annotations

import re
from enum import StrEnum

from provender.specs.source import ColumnType


class Conversion(StrEnum):
    """What becomes of the values of one type in another."""

    EXACT = "exact"
    """Every value stays what it is."""
    ROUNDED = "rounded"
    """Every value has a place; digits beyond the declared type's are rounded, as in any arithmetic with it."""
    CHECKED = "checked"
    """Some values have no place: a row with one is refused."""
    REFUSED = "refused"
    """No value means one of the declared type, or it is ambiguous which: the SQL has to say so itself."""


_SMALL_INTEGERS = ("tinyint", "smallint")
_INTEGERS = (*_SMALL_INTEGERS, "int", "bigint")
_FRACTIONS = ("float", "double")
_DECIMAL = re.compile(r"decimal\((\d+),(\d+)\)")
_TIMES = ("timestamp", "timestamp_ntz", "date")
_DOUBLE_DIGITS, _FLOAT_DIGITS = 15, 6
"""Decimal digits that any whole number of so many has in the type."""


def conversion(spark_type: str, declared: ColumnType) -> Conversion:
    """Say what becomes of values of ``spark_type`` (as ``DataFrame.dtypes`` names it) in a ``declared`` column."""
    if spark_type == "void":
        return Conversion.EXACT  # a column of nulls
    if is_number(spark_type) and declared in _OF_NUMBERS:
        return _OF_NUMBERS[declared](spark_type)
    return Conversion.EXACT if _is_same_kind(spark_type, declared) else Conversion.REFUSED


def is_number(spark_type: str) -> bool:
    """Whether ``spark_type`` is a numeric type."""
    return spark_type in (*_INTEGERS, *_FRACTIONS) or _DECIMAL.fullmatch(spark_type) is not None


def is_whole(spark_type: str) -> bool:
    """Whether ``spark_type`` is a numeric type without a fraction."""
    return spark_type in _INTEGERS or _scale(spark_type) == 0


def _is_same_kind(spark_type: str, declared: ColumnType) -> bool:
    match declared:
        case ColumnType.STRING:
            is_text = spark_type.split(" ")[0] == "string"  # "string collate …"
            return is_text or is_number(spark_type) or spark_type in ("boolean", *_TIMES)
        case ColumnType.BOOL:
            return spark_type == "boolean"
        case ColumnType.BYTES:
            return spark_type == "binary"
        case ColumnType.TIMESTAMP:
            return spark_type in _TIMES
    return False


def _to_int32(spark_type: str) -> Conversion:
    return Conversion.EXACT if spark_type in (*_SMALL_INTEGERS, "int") else Conversion.CHECKED


def _to_int64(spark_type: str) -> Conversion:
    return Conversion.EXACT if spark_type in _INTEGERS else Conversion.CHECKED


def _to_float(spark_type: str) -> Conversion:
    if spark_type in ("float", *_SMALL_INTEGERS) or _is_short(spark_type, _FLOAT_DIGITS):
        return Conversion.EXACT
    return Conversion.CHECKED if is_whole(spark_type) or spark_type == "double" else Conversion.ROUNDED


def _to_double(spark_type: str) -> Conversion:
    if spark_type in (*_FRACTIONS, *_SMALL_INTEGERS, "int") or _is_short(spark_type, _DOUBLE_DIGITS):
        return Conversion.EXACT
    return Conversion.CHECKED if is_whole(spark_type) else Conversion.ROUNDED


_OF_NUMBERS = {
    ColumnType.INT32: _to_int32,
    ColumnType.INT64: _to_int64,
    ColumnType.FLOAT: _to_float,
    ColumnType.DOUBLE: _to_double,
}


def _is_short(spark_type: str, digits: int) -> bool:
    found = _DECIMAL.fullmatch(spark_type)
    return found is not None and int(found[2]) == 0 and int(found[1]) <= digits


def _scale(spark_type: str) -> int | None:
    found = _DECIMAL.fullmatch(spark_type)
    return int(found[2]) if found else None

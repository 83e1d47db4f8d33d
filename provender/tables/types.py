"""Column types as Spark writes them."""

from __future__ import annotations

from provender.specs.source import ColumnType

DDL = {
    ColumnType.INT32: "int",
    ColumnType.INT64: "bigint",
    ColumnType.FLOAT: "float",
    ColumnType.DOUBLE: "double",
    ColumnType.STRING: "string",
    ColumnType.BOOL: "boolean",
    ColumnType.BYTES: "binary",
    ColumnType.TIMESTAMP: "timestamp",
}
"""Spark SQL type names, as ``DataFrame.dtypes`` gives them."""


def quoted(name: str) -> str:
    """``name`` as a SQL identifier."""
    return "`" + name.replace("`", "``") + "`"

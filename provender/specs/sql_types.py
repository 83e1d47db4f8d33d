"""The type that an expression of Spark SQL gives, as far as it can be known without Spark.

Only what is sure is said: everything else is :data:`UNKNOWN`, and nothing is concluded from it. Types are named like a
spec's columns (``INT64``, ``STRING``), with ``DATE``, ``DECIMAL(p,s)``, ``INTERVAL``, ``ARRAY``, ``MAP``, ``STRUCT``,
``VARIANT`` and ``NULL`` beside them. The rules are those of Spark's ANSI mode
(https://spark.apache.org/docs/latest/sql-ref-ansi-compliance.html); a test compares them with Spark's analyzer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import reduce

from sqlglot import exp

from provender.specs.sql_functions import type_rule
from provender.specs.sql_order import function_name

_MAX_PRECISION, _MIN_SCALE = 38, 6
_DIGITS = {"INT32": 10, "INT64": 20}
"""Digits of the decimal that Spark makes of a whole number."""


@dataclass(frozen=True, slots=True)
class SqlType:
    """A type; precision and scale are a decimal's."""

    name: str
    precision: int = 0
    scale: int = 0

    def __str__(self) -> str:
        return f"DECIMAL({self.precision},{self.scale})" if self.name == "DECIMAL" else self.name


UNKNOWN, NULL = SqlType("?"), SqlType("NULL")
_BOOL, _INT32, _INT64, _DOUBLE = SqlType("BOOL"), SqlType("INT32"), SqlType("INT64"), SqlType("DOUBLE")
_STRING, _INTERVAL, _TIMESTAMP = SqlType("STRING"), SqlType("INTERVAL"), SqlType("TIMESTAMP")
Columns = Callable[[exp.Column], SqlType]

_WRITTEN = {
    **dict.fromkeys(("TINYINT", "SMALLINT", "INT"), "INT32"),
    **dict.fromkeys(("TEXT", "VARCHAR", "CHAR", "NVARCHAR", "NCHAR"), "STRING"),
    **dict.fromkeys(("TIMESTAMP", "TIMESTAMPTZ", "TIMESTAMPLTZ", "TIMESTAMPNTZ"), "TIMESTAMP"),
    "BIGINT": "INT64",
    "FLOAT": "FLOAT",
    "DOUBLE": "DOUBLE",
    "BOOLEAN": "BOOL",
    "BINARY": "BYTES",
    "DATE": "DATE",
    "ARRAY": "ARRAY",
    "MAP": "MAP",
    "STRUCT": "STRUCT",
    "INTERVAL": "INTERVAL",
    "VARBINARY": "BYTES",
    "VARIANT": "VARIANT",
}
_TRUTHS = (
    *(exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.NullSafeEQ, exp.NullSafeNEQ, exp.And, exp.Or),
    *(exp.Not, exp.Is, exp.In, exp.Between, exp.Like, exp.ILike, exp.RegexpLike, exp.Exists, exp.Boolean),
    exp.Any,
)
_WRAPPERS = (exp.Alias, exp.Paren, exp.Neg, exp.BitwiseNot, exp.Filter, exp.Window, exp.IgnoreNulls)
_AS_TEXT = (exp.Substring, exp.Trim, exp.Overlay, exp.DPipe, exp.Concat)


def type_of(node: exp.Expr | None, columns: Columns) -> SqlType:
    """The type of ``node``; ``columns`` says what a column has."""
    if node is None:
        return NULL
    if isinstance(node, exp.Column):
        return columns(node)
    if isinstance(node, (*_WRAPPERS, exp.RespectNulls)):
        return type_of(node.this, columns)
    if isinstance(node, exp.Literal):
        return _STRING if node.is_string else _number(node.name)
    if isinstance(node, exp.Cast | exp.TryCast):
        return _written(node.args.get("to"))
    if isinstance(node, _TRUTHS):
        return _BOOL
    if isinstance(node, exp.Binary) and not isinstance(node, _AS_TEXT):
        return _binary(node, columns)
    return _other(node, columns)


def _other(node: exp.Expr, columns: Columns) -> SqlType:
    if isinstance(node, exp.Case):
        return common(
            [*(type_of(each.args["true"], columns) for each in node.args["ifs"]), _else(node, columns)]
        )
    if isinstance(node, exp.If):
        return common([type_of(node.args["true"], columns), type_of(node.args.get("false"), columns)])
    if isinstance(node, _AS_TEXT):
        arguments = [each for each in node.iter_expressions() if isinstance(each, exp.Column)]
        return _STRING if all(columns(each) == _STRING for each in arguments) else UNKNOWN
    if isinstance(node, exp.Null):
        return NULL
    if isinstance(node, exp.Interval):
        return _INTERVAL
    if isinstance(node, exp.StrPosition):
        return _INT32
    if isinstance(node, exp.Ceil | exp.Floor):
        is_plain = node.args.get("decimals") is None and type_of(node.this, columns) in (
            _INT32,
            _INT64,
            _DOUBLE,
        )
        return _INT64 if is_plain else UNKNOWN
    name = function_name(node)
    return _call(name, [*_arguments(node)], columns) if name else UNKNOWN


def _else(node: exp.Case, columns: Columns) -> SqlType:
    return type_of(node.args.get("default"), columns)


def _arguments(node: exp.Expr) -> Iterable[exp.Expr]:
    if isinstance(node, exp.Anonymous):
        return [each.expressions[0] if isinstance(each, exp.Distinct) else each for each in node.expressions]
    return node.iter_expressions()


def _call(name: str, arguments: list[exp.Expr], columns: Columns) -> SqlType:
    rule = type_rule(name)
    if rule.isupper():
        return SqlType(rule)
    types = [type_of(each, columns) for each in arguments] or [UNKNOWN]
    if rule == "same":
        return types[0]
    if rule == "common":
        return common(types)
    if rule == "branches":
        return common(types[1:])
    if rule == "sum":
        return _sum(types[0])
    if rule == "avg":
        return _average(types[0])
    if name == "round" and types[0].name in ("INT32", "INT64", "FLOAT", "DOUBLE"):
        return types[0]
    is_one = name == "median" or (name == "percentile" and len(types) > 1 and types[1].name != "ARRAY")
    return _DOUBLE if is_one and types[0].name in ("INT32", "INT64", "FLOAT", "DOUBLE") else UNKNOWN


def _sum(of: SqlType) -> SqlType:
    if of.name == "DECIMAL":
        return SqlType("DECIMAL", min(of.precision + 10, _MAX_PRECISION), of.scale)
    return {"INT32": _INT64, "INT64": _INT64, "FLOAT": _DOUBLE, "DOUBLE": _DOUBLE}.get(of.name, UNKNOWN)


def _average(of: SqlType) -> SqlType:
    if of.name == "DECIMAL":
        scale, precision = min(of.scale + 4, _MAX_PRECISION), min(of.precision + 4, _MAX_PRECISION)
        return SqlType("DECIMAL", precision, scale)
    return _DOUBLE if of.name in ("INT32", "INT64", "FLOAT", "DOUBLE") else UNKNOWN


def _number(text: str) -> SqlType:
    if "e" in text.lower():
        return _DOUBLE
    whole, point, fraction = text.partition(".")
    digits = len((whole + fraction).lstrip("0"))
    if point:
        return SqlType("DECIMAL", max(digits, len(fraction), 1), len(fraction))
    value = int(whole)
    return _INT32 if value < 2**31 else _INT64 if value < 2**63 else SqlType("DECIMAL", digits, 0)


def _written(to: exp.Expr | None) -> SqlType:
    if not isinstance(to, exp.DataType):
        return UNKNOWN
    kind = str(getattr(to.this, "value", to.this)).upper()
    if kind == "DECIMAL":
        sizes = [int(each.name) for each in to.expressions if each.name.isdigit()]
        return SqlType("DECIMAL", *(sizes[:2] if len(sizes) > 1 else [*sizes, 0] if sizes else [10, 0]))
    return SqlType(_WRITTEN[kind]) if kind in _WRITTEN else UNKNOWN


def common(types: Iterable[SqlType]) -> SqlType:
    """The type that holds values of all ``types``; unknown where Spark would have to guess."""
    return reduce(_wider, types, NULL)


def _wider(a: SqlType, b: SqlType) -> SqlType:
    if a == b or b == NULL:
        return a
    if a == NULL:
        return b
    names = {a.name, b.name}
    if names <= {"INT32", "INT64"}:
        return _INT64
    if names <= {"INT32", "INT64", "FLOAT", "DOUBLE", "DECIMAL"}:
        if names & {"FLOAT", "DOUBLE"}:
            return _DOUBLE
        left, right = _as_decimal(a), _as_decimal(b)
        scale = max(left.scale, right.scale)
        whole = max(left.precision - left.scale, right.precision - right.scale)
        return _bounded(whole + scale, scale)
    return _TIMESTAMP if names == {"DATE", "TIMESTAMP"} else UNKNOWN


def _as_decimal(kind: SqlType) -> SqlType:
    return kind if kind.name == "DECIMAL" else SqlType("DECIMAL", _DIGITS[kind.name], 0)


def _bounded(precision: int, scale: int) -> SqlType:
    """Spark gives up digits after the point before those in front of it, down to six."""
    if precision <= _MAX_PRECISION:
        return SqlType("DECIMAL", precision, scale)
    return SqlType(
        "DECIMAL", _MAX_PRECISION, max(_MAX_PRECISION - (precision - scale), min(scale, _MIN_SCALE))
    )


def _binary(node: exp.Binary, columns: Columns) -> SqlType:
    a, b = type_of(node.this, columns), type_of(node.expression, columns)
    names = {a.name, b.name}
    if names <= {"INT32", "INT64", "FLOAT", "DOUBLE", "DECIMAL"}:
        return _arithmetic(node, a, b)
    if names == {"TIMESTAMP", "INTERVAL"} and isinstance(node, exp.Add | exp.Sub):
        return _TIMESTAMP
    return _INTERVAL if names == {"TIMESTAMP"} and isinstance(node, exp.Sub) else UNKNOWN


def _arithmetic(node: exp.Binary, a: SqlType, b: SqlType) -> SqlType:
    if isinstance(node, exp.IntDiv):
        return _INT64
    if not isinstance(node, exp.Add | exp.Sub | exp.Mul | exp.Div | exp.Mod):
        return UNKNOWN
    wider = _wider(a, b)
    if wider.name != "DECIMAL":
        return _DOUBLE if isinstance(node, exp.Div) else wider
    left, right = (
        SqlType("DECIMAL", len(side.name), 0)
        if isinstance(side, exp.Literal) and kind.name != "DECIMAL"
        else _as_decimal(kind)
        for side, kind in ((node.this, a), (node.expression, b))
    )
    return _decimal(node, left, right)


def _decimal(node: exp.Binary, a: SqlType, b: SqlType) -> SqlType:
    if isinstance(node, exp.Mul):
        return _bounded(a.precision + b.precision + 1, a.scale + b.scale)
    if isinstance(node, exp.Div):
        scale = max(_MIN_SCALE, a.scale + b.precision + 1)
        return _bounded(a.precision - a.scale + b.scale + scale, scale)
    scale = max(a.scale, b.scale)
    if isinstance(node, exp.Mod):
        return _bounded(min(a.precision - a.scale, b.precision - b.scale) + scale, scale)
    return _bounded(max(a.precision - a.scale, b.precision - b.scale) + scale + 1, scale)

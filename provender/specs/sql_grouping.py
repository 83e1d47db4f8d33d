"""Columns that are neither grouped nor aggregated, and aggregates where single rows are seen."""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from provender.specs.sql_functions import AGGREGATES
from provender.specs.sql_grammar import TIME_UNITS
from provender.specs.sql_order import function_name

_UNIT_FIRST = frozenset(
    {"dateadd", "date_add", "datediff", "date_diff", "timestampadd", "timestampdiff", "timediff"}
)
_MODIFIERS = (exp.Filter, exp.IgnoreNulls, exp.RespectNulls, exp.WithinGroup)


def grouping_complaints(
    select: exp.Select, columns: set[str], aliases: set[str]
) -> Iterator[tuple[exp.Expr, str, str]]:
    """(where, what, remedy) for columns that are neither grouped nor aggregated, and aggregates out of place."""
    where = select.args.get("where")
    for node in parts_of(where) if where is not None else ():
        if is_aggregate(node):
            yield node, f"{function_name(node)}() in WHERE, which sees single rows", "use HAVING"
    group, having = select.args.get("group"), select.args.get("having")
    parts = [*select.expressions, *([having.this] if having is not None else [])]
    if group is None and not any(is_aggregate(node) for part in parts for node in parts_of(part)):
        return
    if group is not None and (group.args.get("all") or any(part.is_star for part in select.expressions)):
        return
    keys = _keys(select, group, {name.lower() for name in columns}) if group is not None else set()
    bare: dict[str, exp.Expr] = {}
    for part in parts:
        for column in _uncovered(part, keys):
            if column.name.lower() not in aliases or column.name.lower() in {c.lower() for c in columns}:
                bare.setdefault(column.name, column)
    if bare:
        names = ", ".join(bare)
        what = f"{names} {'is' if len(bare) == 1 else 'are'} neither grouped nor aggregated"
        remedy = f"write GROUP BY {names}" if group is None else f"add {names} to GROUP BY, or aggregate"
        yield next(iter(bare.values())), what, remedy


def is_aggregate(node: exp.Expr) -> bool:
    """Whether ``node`` is an aggregate function that is not used as a window function."""
    parent = node.parent
    if isinstance(node, exp.Any):  # any(x), not x = ANY (…)
        return not isinstance(parent, exp.Binary) and not isinstance(node.this, exp.Query)
    if function_name(node) not in AGGREGATES:
        return False
    while isinstance(parent, _MODIFIERS):
        parent = parent.parent
    return not isinstance(parent, exp.Window)


def _keys(select: exp.Select, group: exp.Expr, columns: set[str]) -> set[str]:
    """What is grouped by, written in one way: positions and aliases stand for what they name."""
    listed = list(group.expressions)
    for name in ("rollup", "cube", "grouping_sets"):
        listed += [each for part in group.args.get(name) or () for each in part.find_all(exp.Column)]
    keys = set()
    named = {each.alias.lower(): each.this for each in select.expressions if isinstance(each, exp.Alias)}
    for each in listed:
        expression = each
        if isinstance(each, exp.Literal) and not each.is_string and each.name.isdigit():
            position = int(each.name) - 1
            if position < len(select.expressions):
                expression = select.expressions[position].unalias()
        elif isinstance(each, exp.Column) and not each.table and each.name.lower() not in columns:
            expression = named.get(each.name.lower(), each)
        elif isinstance(each, exp.Rollup | exp.Cube | exp.GroupingSets | exp.Tuple):
            keys |= {_key(column) for column in each.find_all(exp.Column)}
        keys.add(_key(expression))
    return keys


def _key(node: exp.Expr) -> str:
    copy = node.copy()
    for column in copy.find_all(exp.Column):
        if len(column.parts) == 2:
            column.set("table", None)
    while isinstance(copy, exp.Paren):
        copy = copy.this
    return str(copy.sql(dialect="spark", comments=False)).lower().replace("`", "")


def _uncovered(node: exp.Expr, keys: set[str]) -> Iterator[exp.Column]:
    """Columns in ``node`` outside of aggregates and of what is grouped by."""
    inner = node
    while isinstance(
        inner, _MODIFIERS
    ):  # FILTER (WHERE …) and WITHIN GROUP (ORDER BY …) belong to the aggregate
        inner = inner.this
    if is_aggregate(inner) or isinstance(node, exp.Query) or _key(node) in keys:
        return
    if isinstance(node, exp.Column):
        yield node
        return
    children = list(node.iter_expressions())
    if function_name(node) in _UNIT_FIRST and len(children) == 3:
        children = children[1:]
    for child in children:
        yield from _uncovered(child, keys)


def parts_of(node: exp.Expr) -> Iterator[exp.Expr]:
    """The parts of an expression, not those of queries inside it nor the unit of ``timestampdiff(HOUR, …)``."""
    yield node
    if isinstance(node, exp.Query | exp.Column | exp.Hint):
        return
    children = list(node.iter_expressions())
    if function_name(node) in _UNIT_FIRST and len(children) == 3 and children[0].name.lower() in TIME_UNITS:
        children = children[1:]
    for child in children:
        yield from parts_of(child)

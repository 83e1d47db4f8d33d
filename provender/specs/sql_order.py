"""Answers that depend on the order in which rows happen to be read, and how each is made repeatable.

``collect_list(x)`` gives other arrays from run to run, ``sort_array(collect_list(x))`` does not; ``first_value(x)``
depends on the order, ``first_value(x) OVER (… ORDER BY at)`` says which. What is accepted here is what fixes the
order in the SQL itself. Ties stay the author's: two rows that are equal in the ORDER BY may change places.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from provender.specs.sql_functions import NEED_AN_ORDER, ORDER_DEPENDENT, words

_SORTED_BY = words(
    """
    sort_array array_sort array_size size cardinality array_max array_min array_contains
    """
)
"""Functions whose answer does not depend on the order of an array's elements."""
_PASSED_THROUGH = words(
    """
    array_distinct array_compact array_remove array_except array_intersect array_union filter transform coalesce
    ifnull nvl
    """
)
"""Functions that give the same elements again in the same order, so that sorting may come after them."""
_ARRAYS = frozenset({"array_agg", "collect_list", "collect_set"})
_TEXTS = frozenset({"listagg", "string_agg"})
_MODIFIERS = (exp.Filter, exp.IgnoreNulls, exp.RespectNulls, exp.WithinGroup, exp.Paren, exp.Distinct)


def function_name(node: exp.Expr) -> str:
    """Lower-case name of a function call, else empty."""
    if isinstance(node, exp.Anonymous):
        return str(node.name).lower()
    return node.sql_name().lower() if isinstance(node, exp.Func) else ""


def order_complaints(query: exp.Query) -> Iterator[tuple[exp.Expr, str, str]]:
    """(where, what, remedy) for all that depends on the order of reading."""
    for node in query.find_all(exp.Func):
        name = function_name(node)
        if name in ORDER_DEPENDENT and not _is_fixed(node, name):
            yield node, f"{name}() depends on the order in which rows happen to be read", _remedy(name)
        elif name in NEED_AN_ORDER and not _is_ordered(node):
            yield node, f"{name}() numbers rows that have no order", "give it OVER (… ORDER BY …)"
    for frame in query.find_all(exp.WindowSpec):
        window = frame.parent
        if isinstance(window, exp.Window) and _counts_rows(frame) and not _has_order(window):
            yield frame, "a ROWS frame counts rows that have no order", "add an ORDER BY to the window"
    for part in query.find_all(exp.Limit, exp.Offset):
        if part.parent is not None and part.parent.args.get("order") is None:
            what = f"{part.key.upper()} without ORDER BY takes whichever rows come first"
            yield part, what, "add an ORDER BY that leaves no ties, or remove it"


def _is_fixed(node: exp.Expr, name: str) -> bool:
    if _is_ordered(node):
        return True
    if name in _ARRAYS:
        return _is_sorted_after(node)
    if name in _TEXTS:
        return _is_sorted_by_itself(node)
    return name == "mode" and (isinstance(node.parent, exp.WithinGroup) or _is_true(node.expressions[1:2]))


def _is_true(arguments: list[exp.Expr]) -> bool:
    return bool(arguments) and isinstance(arguments[0], exp.Boolean) and bool(arguments[0].this)


def _is_ordered(node: exp.Expr) -> bool:
    """Whether it is called OVER a window with an order."""
    parent = node.parent
    while isinstance(parent, _MODIFIERS):
        parent = parent.parent
    return isinstance(parent, exp.Window) and _has_order(parent)


def _has_order(window: exp.Window) -> bool:
    if window.args.get("order") is not None:
        return True
    base = window.args.get("alias")
    select = window.find_ancestor(exp.Select)
    if base is None or select is None:
        return False
    named = {each.name.lower(): each for each in select.args.get("windows") or []}
    definition = named.get(base.name.lower())
    return isinstance(definition, exp.Window) and definition is not window and _has_order(definition)


def _counts_rows(frame: exp.WindowSpec) -> bool:
    bounds = {str(frame.args.get("start")).upper(), str(frame.args.get("end")).upper()}
    return str(frame.args.get("kind")).upper() == "ROWS" and bounds != {"UNBOUNDED"}


def _is_sorted_after(node: exp.Expr) -> bool:
    child, parent = node, node.parent
    while parent is not None:
        name = function_name(parent)
        if name in _SORTED_BY:
            is_first = isinstance(parent, exp.Anonymous) and parent.expressions[0] is child
            compares = (
                name == "array_sort" and len(parent.expressions) > 1
            )  # may call different elements equal
            return is_first and not compares
        if name not in _PASSED_THROUGH and not isinstance(parent, _MODIFIERS):
            return False
        if name in ("filter", "transform") and any(
            len(f.expressions) > 1 for f in parent.find_all(exp.Lambda)
        ):
            return False  # the second argument is the position
        child, parent = parent, parent.parent
    return False


def _is_sorted_by_itself(node: exp.Expr) -> bool:
    group = node.parent
    if not isinstance(group, exp.WithinGroup) or not node.expressions:
        return False
    value = node.expressions[0]
    if isinstance(value, exp.Distinct):
        value = value.expressions[0]
    order = group.expression
    ordered = order.expressions if isinstance(order, exp.Order) else []
    return any(isinstance(each, exp.Ordered) and each.this == value for each in ordered)


def _remedy(name: str) -> str:
    if name in _ARRAYS:
        return f"write sort_array({name}(…))"
    if name in _TEXTS:
        return (
            f"write {name}(x, ',') WITHIN GROUP (ORDER BY x), or array_join(sort_array(collect_list(x)), ',')"
        )
    if name == "mode":
        return "write mode() WITHIN GROUP (ORDER BY x), or mode(x, true): the least of the most frequent"
    return "use max_by(value, time) or min_by, or give it OVER (… ORDER BY …)"

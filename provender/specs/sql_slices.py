"""Rewrites a query over one slice's rows into one over many slices' rows at once.

    SELECT carrier, count(*) AS flights          SELECT carrier, count(*) AS flights,
    FROM flights                          →        flights._slice AS _slice, max(flights._created) AS _created
    GROUP BY carrier                             FROM flights GROUP BY carrier, flights._slice

``_slice`` joins every GROUP BY, PARTITION BY and join condition; both columns go at the END of the select
list, so that positions (``GROUP BY 1``) keep their meaning. What cannot be rewritten so (LIMIT, DISTINCT, an
aggregate of everything, a subquery in an expression, …) raises :class:`UnsupportedError`: it runs slice by slice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sqlglot import exp

from provender.specs.sql_order import function_name

SLICE, CREATED = "_slice", "_created"
_CLAUSES = {"expressions", "from_", "joins", "where", "group", "having", "order", "windows", "with_", "hint"}
AGGREGATES = {
    *(
        "any",
        "any_value",
        "approx_count_distinct",
        "approx_percentile",
        "array_agg",
        "avg",
        "bit_and",
        "bit_or",
    ),
    *(
        "bit_xor",
        "bitmap_construct_agg",
        "bitmap_or_agg",
        "bool_and",
        "bool_or",
        "collect_list",
        "collect_set",
    ),
    *(
        "corr",
        "count",
        "count_if",
        "count_min_sketch",
        "covar_pop",
        "covar_samp",
        "every",
        "first",
        "first_value",
    ),
    *("grouping", "grouping_id", "histogram_numeric", "hll_sketch_agg", "hll_union_agg", "kurtosis", "last"),
    *("last_value", "listagg", "max", "max_by", "mean", "median", "min", "min_by", "mode", "percentile"),
    *("percentile_approx", "percentile_cont", "percentile_disc", "regr_avgx", "regr_avgy", "regr_count"),
    *(
        "regr_intercept",
        "regr_r2",
        "regr_slope",
        "regr_sxx",
        "regr_sxy",
        "regr_syy",
        "skewness",
        "some",
        "std",
    ),
    *(
        "stddev",
        "stddev_pop",
        "stddev_samp",
        "string_agg",
        "sum",
        "try_avg",
        "try_sum",
        "var_pop",
        "var_samp",
    ),
    *("variance", "logical_or", "logical_and"),
}


class UnsupportedError(Exception):
    """The query is legal, but has to run slice by slice."""


def slice_query(query: exp.Query) -> exp.Query:
    """A copy of ``query`` that runs on many slices. Raises :class:`UnsupportedError`."""
    copy = query.copy()
    _rewrite(copy)
    return copy


def _rewrite(query: exp.Expr | exp.Query) -> None:
    if isinstance(query, exp.Query):
        _rewrite_ctes(query)
    if isinstance(query, exp.Union):
        _rewrite_union(query)
    elif isinstance(query, exp.Subquery):
        _only(query, {"this", "alias", "with_"})
        _rewrite(query.this)
    elif isinstance(query, exp.Select):
        _rewrite_select(query)
    else:
        raise UnsupportedError(type(query).__name__)


def _rewrite_ctes(query: exp.Query) -> None:
    with_ = query.args.get("with_")
    if with_ is None:
        return
    if with_.args.get("recursive"):
        raise UnsupportedError("WITH RECURSIVE")
    for cte in with_.expressions:
        if cte.args["alias"].args.get("columns"):
            raise UnsupportedError("column names of a WITH")
        _rewrite(cte.this)


def _rewrite_union(union: exp.Union) -> None:
    _only(union, {"this", "expression", "distinct", "by_name", "with_", "order"})
    if union.args.get("distinct") or any(side.is_star for side in (union.this, union.expression)):
        raise UnsupportedError("UNION of distinct rows or of *")
    _rewrite(union.this)
    _rewrite(union.expression)


def _rewrite_select(select: exp.Select) -> None:
    _only(select, _CLAUSES)
    _refuse_subqueries(select)
    is_grouped = _check_grouping(select)
    inputs = _inputs(select)
    windows = list(_windows(select))
    if select.is_star:
        if (
            len(inputs) > 1
            or is_grouped
            or windows
            or any(each.args.get("except_") for each in select.expressions)
        ):
            raise UnsupportedError("* beside joins, groups or windows")
        return
    slice_column = exp.column(SLICE, table=inputs[0].copy())
    created = _created(select, inputs, is_grouped, windows)
    if is_grouped and not select.args["group"].args.get("all"):
        select.args["group"].append("expressions", slice_column.copy())
    for window in windows:
        if window.args.get("alias") is None:
            window.set("partition_by", [slice_column.copy(), *(window.args.get("partition_by") or [])])
    select.append("expressions", exp.alias_(slice_column, SLICE))
    select.append("expressions", exp.alias_(created, CREATED))


def _only(node: exp.Expr, clauses: set[str]) -> None:
    others = [name for name, value in node.args.items() if value and name not in clauses]
    if others:
        raise UnsupportedError(", ".join(others))


def _refuse_subqueries(select: exp.Select) -> None:
    """A subquery in FROM is a table; one in an expression sees all slices."""
    for name in ("expressions", "where", "group", "having", "order", "windows"):
        for part in _listed(select.args.get(name)):
            if part.find(exp.Select, exp.SetOperation) is not None:
                raise UnsupportedError("a subquery in an expression")


def _check_grouping(select: exp.Select) -> bool:
    group = select.args.get("group")
    if group is None:
        if any(
            _is_aggregate(node)
            for part in (*select.expressions, *_listed(select.args.get("having")))
            for node in part.find_all(exp.Func)
        ):
            raise UnsupportedError("an aggregate of everything: a row even of no rows")
        if select.args.get("having") is not None:
            raise UnsupportedError("HAVING without GROUP BY")
        return False
    _only(group, {"expressions", "all"})
    if any(
        isinstance(each, exp.Rollup | exp.Cube | exp.GroupingSets | exp.Tuple) for each in group.expressions
    ):
        raise UnsupportedError("grouping sets")
    return True


def _is_aggregate(node: exp.Expr) -> bool:
    """Whether ``node`` is an aggregate function that is not used as a window function."""
    if not isinstance(node, exp.AggFunc) and function_name(node) not in AGGREGATES:
        return False
    window = node.parent
    while isinstance(window, exp.Filter | exp.IgnoreNulls | exp.RespectNulls | exp.WithinGroup):
        window = window.parent
    return not isinstance(window, exp.Window)


def _inputs(select: exp.Select) -> list[exp.Identifier]:
    """The names of what is read, in order, joined on ``_slice``."""
    from_ = select.args.get("from_")
    if from_ is None:
        raise UnsupportedError("no FROM")
    inputs = [_input(from_.this, 0)]
    joins = select.args.get("joins") or []
    for position, join in enumerate(joins, start=1):
        name = _input(join.this, position)
        _join_slices(join, inputs[0], name, is_only=len(joins) == 1)
        inputs.append(name)
    return inputs


def _input(node: exp.Expr, position: int) -> exp.Identifier:
    alias = node.args.get("alias")
    if alias is not None and alias.args.get("columns"):
        raise UnsupportedError("column names of a table")
    if isinstance(node, exp.Table):
        _only(node, {"this", "alias"})
        named = alias.this if alias is not None else node.this
    elif isinstance(node, exp.Subquery):
        _rewrite(node)
        if alias is None:
            node.set("alias", exp.TableAlias(this=exp.to_identifier(f"_query{position}")))
        named = node.args["alias"].this
    else:
        raise UnsupportedError(type(node).__name__)
    if not isinstance(named, exp.Identifier):
        raise UnsupportedError("a table function")
    return named


def _join_slices(join: exp.Join, first: exp.Identifier, name: exp.Identifier, *, is_only: bool) -> None:
    _only(join, {"this", "on", "using", "kind", "side"})
    kind, side = str(join.args.get("kind") or "").upper(), str(join.args.get("side") or "").upper()
    if (side, kind) not in {("", ""), ("", "INNER"), ("", "CROSS"), ("LEFT", ""), ("LEFT", "OUTER")}:
        raise UnsupportedError(f"{side} {kind} JOIN")
    if kind == "CROSS":
        join.set("kind", None)
    using, on = join.args.get("using"), join.args.get("on")
    if using:
        if not is_only:
            raise UnsupportedError("USING among several joins")
        join.set("using", [*using, exp.to_identifier(SLICE)])
        return
    if on is not None and on.find(exp.Select) is not None:
        raise UnsupportedError("a subquery in ON")
    same = exp.EQ(this=exp.column(SLICE, table=first.copy()), expression=exp.column(SLICE, table=name.copy()))
    join.set("on", same if on is None else exp.And(this=same, expression=exp.Paren(this=on.copy())))


def _windows(select: exp.Select) -> Iterator[exp.Window]:
    for name in ("expressions", "order", "having", "windows"):
        for part in _listed(select.args.get(name)):
            yield from part.find_all(exp.Window)


def _created(
    select: exp.Select, inputs: list[exp.Identifier], is_grouped: bool, windows: list[exp.Window]
) -> exp.Expr:
    """When a row could be known: the newest of all it depends on (of a window: of its whole partition)."""
    columns: list[exp.Expr] = [exp.column(CREATED, table=name.copy()) for name in inputs]
    created = _greatest(columns)
    if is_grouped:
        created = _call("max", created)
    if not windows:
        return created
    named = {each.name.lower(): each for each in _listed(select.args.get("windows"))}
    partitions = dict.fromkeys(_partition(window, named) for window in windows)
    slice_column = exp.column(SLICE, table=inputs[0].copy())
    over: list[exp.Expr] = [
        exp.Window(this=_call("max", created.copy()), partition_by=[slice_column.copy(), *_copies(parts)])
        for parts in partitions
    ]
    return _greatest(over)


def _partition(window: exp.Window, named: dict[str, exp.Expr]) -> tuple[exp.Expr, ...]:
    base = window.args.get("alias")
    if base is None:
        return tuple(window.args.get("partition_by") or ())
    definition = named.get(base.name.lower())
    if not isinstance(definition, exp.Window) or definition is window:
        raise UnsupportedError("a window that is not there")
    return _partition(definition, named)


def _greatest(values: list[exp.Expr]) -> exp.Expr:
    return values[0] if len(values) == 1 else _call("greatest", *values)


def _call(name: str, *arguments: exp.Expr) -> exp.Expr:
    return exp.Anonymous(this=name, expressions=list(arguments))


def _copies(nodes: Iterable[exp.Expr]) -> list[exp.Expr]:
    return [node.copy() for node in nodes]


def _listed(value: exp.Expr | list[exp.Expr] | None) -> list[exp.Expr]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]

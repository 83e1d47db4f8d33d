"""What a query gives, and which of its names cannot be: columns resolved through the syntax tree, without Spark.

Every query is looked at with what it reads: the source's columns, the outputs of a WITH or a subquery. Where the
columns of something are not known (a generator, a recursive WITH, a PIVOT), nothing is said about names that may come
from it: only what Spark is sure to refuse is reported.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from sqlglot import exp

from provender.specs.problems import did_you_mean
from provender.specs.sql_checks import Complaint, line_of
from provender.specs.sql_functions import words
from provender.specs.sql_grouping import grouping_complaints, parts_of
from provender.specs.sql_order import function_name
from provender.specs.sql_types import UNKNOWN, SqlType, common, type_of

_GENERATORS = words(
    """
    explode explode_outer posexplode posexplode_outer inline inline_outer stack json_tuple variant_explode
    variant_explode_outer
    """
)


@dataclass(frozen=True, slots=True)
class Output:
    """One column that a query gives."""

    name: str | None
    """None where Spark makes one up."""
    type: SqlType
    node: exp.Expr | None = None
    """Where it is written; None where a star gives it."""


Outputs = list[Output] | None
"""None: not known."""


@dataclass(slots=True)
class _Scope:
    """What the names in one SELECT may be."""

    ctes: Mapping[str, Outputs]
    outer: _Scope | None
    relations: dict[str, Outputs] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)
    """Relations that no star gives: the right side of a SEMI or ANTI join."""
    shared: set[str] = field(default_factory=set)
    """Columns that USING or NATURAL makes one of two."""
    aliases: dict[str, SqlType] = field(default_factory=dict)

    @property
    def is_open(self) -> bool:
        return None in self.relations.values() or (self.outer is not None and self.outer.is_open)

    def found(self, name: str) -> list[SqlType]:
        """The types of the columns called ``name``, one for each relation that has one."""
        each = [o for outputs in self.relations.values() for o in outputs or () if o.name is not None]
        return [output.type for output in each if str(output.name).lower() == name]

    def names(self) -> list[str]:
        return [
            str(o.name) for outputs in self.relations.values() for o in outputs or () if o.name is not None
        ]


class Analysis:
    """A query over ``source_name``, whose rows have ``columns``. Complaints are in ``found``."""

    def __init__(self, query: exp.Query, source_name: str, columns: Mapping[str, SqlType]) -> None:
        self._source = source_name.lower()
        self._columns = [Output(name, kind) for name, kind in columns.items()]
        self.found: list[Complaint] = []
        self.types: dict[int, SqlType] = {}
        """Type by ``id`` of each aggregate and division: where digits can be lost."""
        self.outputs: Outputs = self._query(query, {}, None)

    def _report(self, node: exp.Expr, what: str, remedy: str) -> None:
        if all(each.what != what for each in self.found):
            self.found.append(Complaint(what, remedy, line=line_of(node)))

    def _query(self, query: exp.Expr, ctes: Mapping[str, Outputs], outer: _Scope | None) -> Outputs:
        known = dict(ctes)
        with_ = query.args.get("with_")
        for cte in with_.expressions if isinstance(with_, exp.With) else ():
            if isinstance(with_, exp.With) and with_.args.get("recursive"):
                known[cte.alias.lower()] = None
            given = self._query(cte.this, known, outer)
            known[cte.alias.lower()] = _renamed(given, cte.args.get("alias"))
        if isinstance(query, exp.SetOperation):
            return self._set_operation(query, known, outer)
        if isinstance(query, exp.Subquery):
            return self._query(query.this, known, outer)
        return self._select(query, _Scope(known, outer)) if isinstance(query, exp.Select) else None

    def _set_operation(
        self, query: exp.SetOperation, ctes: Mapping[str, Outputs], outer: _Scope | None
    ) -> Outputs:
        left, right = self._query(query.this, ctes, outer), self._query(query.expression, ctes, outer)
        if left is None or right is None or query.args.get("by_name"):
            return None
        if len(left) != len(right):
            kind = query.key.upper()
            what = f"{kind} of {len(left)} and {len(right)} columns"
            self._report(query.expression, what, "give both sides the same columns")
            return None
        pairs = zip(left, right, strict=True)
        return [replace(a, type=common([a.type, b.type])) for a, b in pairs]

    def _select(self, select: exp.Select, scope: _Scope) -> Outputs:
        before = len(self.found)
        self._read(select, scope)
        outputs = self._projections(select, scope)
        rows = replace(scope, aliases={})  # WHERE and ON see what is read, not what is given
        for name in ("where", "group", "having", "windows", "order"):
            part = select.args.get(name)
            for each in part if isinstance(part, list) else [part]:
                if each is not None:
                    self._resolve(each, rows if name == "where" else scope)
        for join in select.args.get("joins") or ():
            if join.args.get("on") is not None:
                self._resolve(join.args["on"], rows)
        if len(self.found) == before:
            for node, what, remedy in grouping_complaints(select, set(scope.names()), set(scope.aliases)):
                self._report(node, what, remedy)
        return outputs

    # ---- what is read ------------------------------------------------------------------------------------

    def _read(self, select: exp.Select, scope: _Scope) -> None:
        from_ = select.args.get("from_")
        if from_ is not None:
            self._relation(from_.this, scope)
        for join in select.args.get("joins") or ():
            name = self._relation(join.this, scope)
            if str(join.args.get("kind") or "").upper() in ("SEMI", "ANTI"):
                scope.hidden.add(name)
            scope.shared |= {each.name.lower() for each in join.args.get("using") or ()}
            if str(join.args.get("method") or "").upper() == "NATURAL":
                scope.relations["*natural*"] = None
        for lateral in select.args.get("laterals") or ():
            self._relation(lateral, scope)

    def _relation(self, node: exp.Expr, scope: _Scope) -> str:
        outputs: Outputs = None
        if isinstance(node, exp.Table) and isinstance(node.this, exp.Identifier) and not node.args.get("db"):
            name = node.name.lower()
            outputs = scope.ctes.get(name, self._columns if name == self._source else None)
        elif isinstance(node, exp.Subquery):
            outputs = self._query(node, scope.ctes, scope.outer)
        elif isinstance(node, exp.Lateral):
            outputs = self._lateral(node, scope)
        outputs = None if node.args.get("pivots") else _renamed(outputs, node.args.get("alias"))
        alias = str(node.alias_or_name).lower() or f"*{len(scope.relations)}"
        scope.relations[alias if alias not in scope.relations else f"*{len(scope.relations)}"] = outputs
        for join in node.args.get("joins") or ():  # of a table in parentheses
            self._relation(join.this, scope)
        return alias

    def _lateral(self, node: exp.Lateral, scope: _Scope) -> Outputs:
        if isinstance(node.this, exp.Query):
            return self._query(node.this, scope.ctes, scope)
        self._resolve(node.this, scope)
        alias = node.args.get("alias")
        names = alias.args.get("columns") if alias is not None else None
        return [Output(each.name, UNKNOWN, each) for each in names] if names else None

    # ---- what is given -----------------------------------------------------------------------------------

    def _projections(self, select: exp.Select, scope: _Scope) -> Outputs:
        outputs: list[Output] = []
        is_known = True
        for node in select.expressions:
            self._resolve(node, scope)
            given = self._given(node, scope)
            is_known = is_known and given is not None
            for output in given or ():
                outputs.append(output)
                if (
                    output.name is not None
                    and output.node is not None
                    and isinstance(node, exp.Alias | exp.Aliases)
                ):
                    scope.aliases.setdefault(output.name.lower(), output.type)
        return outputs if is_known else None

    def _given(self, node: exp.Expr, scope: _Scope) -> Outputs:
        if node.is_star:
            return _starred(node, scope)
        if isinstance(node, exp.Aliases):
            return [Output(each.name, UNKNOWN, each) for each in node.expressions]
        inner = node.unalias()
        if isinstance(inner, exp.Func) and function_name(inner) in _GENERATORS and not node.alias:
            return None
        kind = type_of(node, lambda column: self._type(column, scope))
        is_named = isinstance(node, exp.Alias | exp.Column | exp.Dot)
        return [Output(node.alias_or_name or None if is_named else None, kind, node)]

    # ---- names -------------------------------------------------------------------------------------------

    def _resolve(self, node: exp.Expr, scope: _Scope) -> None:
        """Looks at every column in ``node``; queries inside it have a scope of their own."""
        for each in parts_of(node):
            if isinstance(each, exp.Query):
                self._query(each, scope.ctes, scope)
            elif isinstance(each, exp.Column):
                self._column(each, scope)
            elif isinstance(each, exp.Div) or function_name(each) in ("avg", "mean", "try_avg"):
                self.types[id(each)] = type_of(each, lambda column: self._type(column, scope))

    def _column(self, column: exp.Column, scope: _Scope) -> None:
        first, *rest = [part.name.lower() for part in column.parts]
        if column.is_star or isinstance(column.this, exp.Star):
            rest = []
        named = _relation_in(first, scope) if rest else None
        if named is not None:
            outputs = named[0]
            if outputs is not None and all(str(o.name).lower() != rest[0] for o in outputs):
                known = [str(o.name) for o in outputs if o.name is not None]
                what = f"{first} has no column {rest[0]!r}"
                self._report(column, what, did_you_mean(column.parts[1].name, known))
            return
        self._unqualified(column, first, scope)

    def _unqualified(self, column: exp.Column, name: str, scope: _Scope) -> None:
        if isinstance(column.this, exp.Star):
            return
        current: _Scope | None = scope
        while current is not None:
            found = current.found(name)
            if len(found) > 1 and not current.is_open and name not in current.shared and not current.hidden:
                what = f"the column {name!r} is in several of the joined tables"
                self._report(column, what, f"write which one is meant: <table>.{name}")
            if found or name in current.aliases:
                return
            current = current.outer
        if not scope.is_open:
            known = [*scope.names(), *scope.aliases]
            kind = "column" if len(column.parts) == 1 else "table or column"
            written = column.parts[0].name
            self._report(column, f"there is no {kind} {written!r}", did_you_mean(written, known))

    def _type(self, column: exp.Column, scope: _Scope) -> SqlType:
        parts = [part.name.lower() for part in column.parts]
        if len(parts) > 1:
            named = _relation_in(parts[0], scope)
            each = [o.type for o in (named[0] if named else None) or () if str(o.name).lower() == parts[1]]
            return each[0] if len(each) == 1 and len(parts) == 2 else UNKNOWN
        current: _Scope | None = scope
        while current is not None:
            found = current.found(parts[0])
            if found:
                return found[0] if len(found) == 1 else UNKNOWN
            if parts[0] in current.aliases:
                return current.aliases[parts[0]]
            current = current.outer
        return UNKNOWN


def _relation_in(name: str, scope: _Scope) -> tuple[Outputs] | None:
    """The relation called ``name`` here or around, as a tuple of one; None where there is none."""
    current: _Scope | None = scope
    while current is not None:
        if name in current.relations:
            return (current.relations[name],)
        current = current.outer
    return None


def _renamed(outputs: Outputs, alias: object) -> Outputs:
    """``outputs`` under the names of ``AS t (a, b)``; names alone say nothing about types."""
    columns = alias.args.get("columns") if isinstance(alias, exp.TableAlias) else None
    if not columns:
        return outputs
    if outputs is None or len(outputs) != len(columns):
        return [Output(each.name, UNKNOWN, each) for each in columns]
    return [replace(output, name=each.name) for output, each in zip(outputs, columns, strict=True)]


def _starred(node: exp.Expr, scope: _Scope) -> Outputs:
    """The columns of ``*``, ``t.*`` or ``* EXCEPT (…)``, without the places where they are written."""
    star = node.this if isinstance(node, exp.Column) else node
    if not isinstance(star, exp.Star) or star.args.get("replace") or star.args.get("rename"):
        return None
    table = node.table.lower() if isinstance(node, exp.Column) else ""
    relations = {n: o for n, o in scope.relations.items() if n not in scope.hidden and table in ("", n)}
    if None in relations.values() or not relations:
        return None
    left_out = {each.name.lower() for each in star.args.get("except_") or ()}
    given = [Output(o.name, o.type) for outputs in relations.values() for o in outputs or ()]
    once = {str(o.name).lower(): o for o in reversed(given)} if scope.shared else None
    listed: Iterable[Output] = list(reversed(once.values())) if once is not None else given
    return [output for output in listed if str(output.name).lower() not in left_out]

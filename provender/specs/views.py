"""A static look at ``feature_defs/views/*.py``: do the views fit the sources? Nothing is imported or run.

Checked: calls of ``provender.source("name"[, "table"])`` and ``provender.schema(...)`` (however they are
imported) name a source and a table that exist; the entities of a feature view give exactly the keys of its
table; fields that it lists by hand are columns of its table. What is not written out (a name computed in a
loop) is passed over here and checked when the definitions are applied.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from provender.specs.catalog import Catalog
from provender.specs.model import FeatureTable, Source
from provender.specs.problems import Problem, did_you_mean

VIEWS_FOLDER = "views"
_CALLS = ("source", "schema")
VIEW_CLASSES = ("FeatureView", "BatchFeatureView")


@dataclass(slots=True)
class Module:
    """A parsed views file."""

    path: Path
    tree: ast.Module
    provender_names: set[str] = field(default_factory=set)
    """What the module calls ``provender``."""
    call_names: dict[str, str] = field(default_factory=dict)
    """What it calls ``provender.source`` and ``provender.schema``, to their names."""
    values: dict[str, ast.expr] = field(default_factory=dict)
    """Names assigned at the top level, once, to what."""

    def __post_init__(self) -> None:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                self.provender_names |= {a.asname or a.name for a in node.names if a.name == "provender"}
            elif isinstance(node, ast.ImportFrom) and node.module == "provender":
                self.call_names |= {a.asname or a.name: a.name for a in node.names if a.name in _CALLS}
        for statement in self.tree.body:
            if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
                self.values[statement.targets[0].id] = statement.value

    def problem(self, node: ast.AST, what: str, remedy: str) -> Problem:
        return Problem(self.path, getattr(node, "lineno", 1), what, remedy)


def check(repo: Path, catalog: Catalog) -> list[Problem]:
    """Everything that is wrong with the views of ``repo``, in the order of files and lines."""
    modules, problems = parse_modules(repo)
    join_keys = join_keys_by_variable(modules)
    for module in modules:
        problems += _check_module(module, catalog, join_keys)
    return sorted(problems, key=lambda problem: (str(problem.path), problem.line))


def parse_modules(repo: Path) -> tuple[list[Module], list[Problem]]:
    """The views files of ``repo`` that are Python, and what is wrong with the others."""
    modules, problems = [], []
    for path in sorted((repo / VIEWS_FOLDER).rglob("*.py")):
        try:
            modules.append(Module(path, ast.parse(path.read_bytes(), filename=str(path))))
        except (SyntaxError, ValueError, OSError) as error:
            line = getattr(error, "lineno", None) or 1
            problems.append(
                Problem(path, line, f"not Python: {getattr(error, 'msg', error)}", "mend this line")
            )
    return modules, problems


def join_keys_by_variable(modules: list[Module]) -> dict[str, str]:
    """Variable name to join key of every ``Entity(...)``; modules may import them from one another."""
    found: dict[str, str] = {}
    for module in modules:
        for name, value in module.values.items():
            if is_call(value, "Entity"):
                keys = keyword(value, "join_keys")
                first = keys.elts[0] if isinstance(keys, ast.List | ast.Tuple) and keys.elts else None
                key = text(first) or text(keyword(value, "name"))
                if key is not None:
                    found[name] = key
    return found


def _check_module(module: Module, catalog: Catalog, join_keys: dict[str, str]) -> Iterator[Problem]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and _provender_call(module, node):
            yield from _check_reference(module, node, catalog)
        if any(is_call(node, name) for name in VIEW_CLASSES):
            yield from _check_view(module, node, catalog, join_keys)


def _check_reference(module: Module, call: ast.Call, catalog: Catalog) -> Iterator[Problem]:
    name, table = _arguments(call)
    if name is None or name in catalog.broken:
        return  # computed; or the source's own errors say what is wrong
    if name not in catalog.sources:
        known = [*catalog.sources, *catalog.broken]
        yield module.problem(call, f"no source is called {name!r}", did_you_mean(name, known))
        return
    source = catalog.sources[name]
    tables = [each.name for each in source.tables]
    if table is None and len(call.args) < 2 and not call.keywords and len(tables) > 1:
        what = f"source {name!r} has several tables"
        yield module.problem(call, what, f"write {name!r}, and one of {', '.join(map(repr, tables))}")
    if table is not None and table not in tables:
        yield module.problem(call, f"source {name!r} has no table {table!r}", did_you_mean(table, tables))


def _check_view(
    module: Module, view: ast.AST, catalog: Catalog, join_keys: dict[str, str]
) -> Iterator[Problem]:
    found = table_of(module, resolved(module, keyword(view, "source")), catalog)
    if found is None:
        return
    source, table = found
    yield from _check_entities(module, view, source, table, join_keys)
    columns = [column.name for column in (*source.keys_of(table), *source.features_of(table))]
    listed = resolved(module, keyword(view, "schema"))
    for element in listed.elts if isinstance(listed, ast.List | ast.Tuple) else ():
        name = text(keyword(element, "name")) if is_call(element, "Field") else None
        if name is not None and name not in columns:
            what = f"table {source.name}.{table.name} has no column {name!r}"
            yield module.problem(element, what, did_you_mean(name, columns))


def _check_entities(
    module: Module, view: ast.AST, source: Source, table: FeatureTable, join_keys: dict[str, str]
) -> Iterator[Problem]:
    entities = resolved(module, keyword(view, "entities"))
    if not isinstance(entities, ast.List | ast.Tuple):
        return
    given = [join_keys.get(e.id) if isinstance(e, ast.Name) else None for e in entities.elts]
    for entity, key in zip(entities.elts, given, strict=True):
        if key is not None and key not in table.keys:
            what = f"the entity's join key {key!r} is no key of table {source.name}.{table.name}"
            yield module.problem(entity, what, f"its keys are {', '.join(table.keys)}")
    missing = [key for key in table.keys if key not in given]
    if missing and None not in given and set(given) <= set(table.keys):
        keys = ", ".join(table.keys)
        what = f"table {source.name}.{table.name} is keyed by {keys}, and no entity gives {missing[0]!r}"
        yield module.problem(entities, what, f"add an Entity with join_keys=[{missing[0]!r}]")


def table_of(module: Module, node: ast.expr | None, catalog: Catalog) -> tuple[Source, FeatureTable] | None:
    if not isinstance(node, ast.Call) or _provender_call(module, node) != "source":
        return None
    name, table = _arguments(node)
    source = catalog.sources.get(name or "")
    if source is None:
        return None
    try:
        return source, source.table(table)
    except KeyError:
        return None  # reported where it is named


def _provender_call(module: Module, call: ast.Call) -> str | None:
    """``source`` or ``schema``, if ``call`` is one of provender's."""
    function = call.func
    if isinstance(function, ast.Name):
        return module.call_names.get(function.id)
    if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
        is_ours = function.value.id in module.provender_names and function.attr in _CALLS
        return function.attr if is_ours else None
    return None


def _arguments(call: ast.Call) -> tuple[str | None, str | None]:
    """The source's and the table's name, where they are written out."""
    name = call.args[0] if call.args else keyword(call, "name")
    table = call.args[1] if len(call.args) > 1 else keyword(call, "table")
    return text(name), text(table)


def is_call(node: ast.AST | None, name: str) -> bool:
    if not isinstance(node, ast.Call):
        return False
    function = node.func
    return (isinstance(function, ast.Name) and function.id == name) or (
        isinstance(function, ast.Attribute) and function.attr == name
    )


def keyword(node: ast.AST | None, name: str) -> ast.expr | None:
    keywords = node.keywords if isinstance(node, ast.Call) else []
    return next((keyword.value for keyword in keywords if keyword.arg == name), None)


def resolved(module: Module, node: ast.expr | None) -> ast.expr | None:
    """What a name stands for, if it is assigned at the top level."""
    return module.values.get(node.id, node) if isinstance(node, ast.Name) else node


def text(node: ast.AST | None) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None

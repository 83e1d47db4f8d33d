"""A static look at ``feature_defs/views/*.py``: do the views fit the sources? Nothing is imported or run.

Checked: calls of ``provender.source("name"[, "table"])`` and ``provender.schema(...)`` (however they are
imported) name a source and a table that exist; the entities of a feature view give exactly the keys of its
table, with their types; fields that it lists by hand are columns of its table, with their types; a feature service
has no view twice under one name. What is not written out (a name computed in a
loop) is passed over here and checked when the definitions are applied.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

from provender.specs.catalog import Catalog
from provender.specs.problems import Problem, did_you_mean
from provender.specs.source import FeatureTable, Source
from provender.specs.view_module import CALLS, Module, is_call, keyword, parse_modules, resolved, text
from provender.specs.view_services import check_service
from provender.specs.view_types import EntityText, check_entity_types, check_field, entities_by_variable

VIEW_CLASSES = ("FeatureView", "BatchFeatureView")
OTHER_SOURCES = (
    *("FileSource", "SparkSource", "BigQuerySource", "RedshiftSource", "SnowflakeSource", "TrinoSource"),
    *("AthenaSource", "PostgreSQLSource", "MsSqlServerSource", "ClickhouseSource", "CouchbaseColumnarSource"),
)


def check(repo: Path, catalog: Catalog) -> list[Problem]:
    """Everything that is wrong with the views of ``repo``, in the order of files and lines."""
    modules, problems = parse_modules(repo)
    known = entities_by_variable(modules)
    for module in modules:
        problems += _check_module(module, catalog, known)
    return sorted(problems, key=lambda problem: (str(problem.path), problem.line))


def _check_module(module: Module, catalog: Catalog, known: Mapping[str, EntityText]) -> Iterator[Problem]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and _provender_call(module, node):
            yield from _check_reference(module, node, catalog)
        if any(is_call(node, name) for name in VIEW_CLASSES):
            yield from _check_view(module, node, catalog, known)
        if is_call(node, "FeatureService"):
            yield from check_service(module, node)


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
    module: Module, view: ast.AST, catalog: Catalog, known: Mapping[str, EntityText]
) -> Iterator[Problem]:
    source_node = resolved(module, keyword(view, "source"))
    yield from _check_kind(module, view, source_node)
    found = table_of(module, source_node, catalog)
    if found is None:
        return
    if module.renames:
        return  # columns have other names in Feast: checked when the definitions are applied
    source, table = found
    yield from _check_entities(module, view, source, table, known)
    columns = [column.name for column in (*source.keys_of(table), *source.features_of(table))]
    listed = resolved(module, keyword(view, "schema"))
    for element in listed.elts if isinstance(listed, ast.List | ast.Tuple) else ():
        name = text(keyword(element, "name")) if is_call(element, "Field") else None
        if name is not None and name not in columns:
            what = f"table {source.name}.{table.name} has no column {name!r}"
            yield module.problem(element, what, did_you_mean(name, columns))
        elif is_call(element, "Field"):
            yield from check_field(module, element, source, table)


def _check_kind(module: Module, view: ast.AST, source: ast.expr | None) -> Iterator[Problem]:
    """Views over other sources than ours, and views that compute: Feast takes them, and the jobs cannot."""
    other = next((name for name in OTHER_SOURCES if is_call(source, name)), None)
    if other is not None:
        remedy = 'write source=provender.source("<name>"), or keep the view in a feature repo of its own'
        yield module.problem(view, f"the view's source is a {other}, which is not one of provender's", remedy)
    computed = keyword(view, "aggregations")
    if isinstance(computed, ast.List | ast.Tuple) and computed.elts:
        what = "the view computes its features itself, which the offline store does not do"
        yield module.problem(computed, what, "compute them in the SQL of a table, or in an on-demand view")


def _check_entities(
    module: Module, view: ast.AST, source: Source, table: FeatureTable, known: Mapping[str, EntityText]
) -> Iterator[Problem]:
    entities = resolved(module, keyword(view, "entities"))
    if not isinstance(entities, ast.List | ast.Tuple):
        return
    named = [known.get(e.id) if isinstance(e, ast.Name) else None for e in entities.elts]
    given = [entity.join_key if entity is not None else None for entity in named]
    for entity, key in zip(entities.elts, given, strict=True):
        if key is not None and key not in table.keys:
            what = f"the entity's join key {key!r} is no key of table {source.name}.{table.name}"
            yield module.problem(entity, what, f"its keys are {', '.join(table.keys)}")
    missing = [key for key in table.keys if key not in given]
    if missing and None not in given and set(given) <= set(table.keys):
        keys = ", ".join(table.keys)
        what = f"table {source.name}.{table.name} is keyed by {keys}, and no entity gives {missing[0]!r}"
        yield module.problem(entities, what, f"add an Entity with join_keys=[{missing[0]!r}]")
    yield from check_entity_types(module, entities, source, table, known)


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
        is_ours = function.value.id in module.provender_names and function.attr in CALLS
        return function.attr if is_ours else None
    return None


def _arguments(call: ast.Call) -> tuple[str | None, str | None]:
    """The source's and the table's name, where they are written out."""
    name = call.args[0] if call.args else keyword(call, "name")
    table = call.args[1] if len(call.args) > 1 else keyword(call, "table")
    return text(name), text(table)

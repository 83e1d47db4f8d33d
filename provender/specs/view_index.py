"""Which views and feature services ``feature_defs/views/*.py`` define, read without importing Feast.

A DAG file has to know which sources a model depends on, and parses in milliseconds. What is not written out
(a view made in a loop) is not in the index; a model's spec then names its sources itself, under ``sources``.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from provender.specs.catalog import Catalog
from provender.specs.source import FeatureTable, Source
from provender.specs.view_module import Module, is_call, keyword, parse_modules, resolved, text
from provender.specs.view_types import entities_by_variable
from provender.specs.views import VIEW_CLASSES, table_of


@dataclass(frozen=True, slots=True)
class IndexedView:
    """One feature view over one of our feature tables."""

    name: str
    source: Source
    table: FeatureTable
    join_keys: tuple[str, ...]
    """Where they are written out; else the table's keys."""
    features: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ViewIndex:
    """Views by name, and each feature service's references, ``view:feature``."""

    views: dict[str, IndexedView] = field(default_factory=dict)
    services: dict[str, tuple[str, ...]] = field(default_factory=dict)


def index_views(repo: Path, catalog: Catalog) -> ViewIndex:
    """The views and services that are written out. Files that are not Python are passed over here."""
    modules, _ = parse_modules(repo)
    keys = {name: entity.join_key for name, entity in entities_by_variable(modules).items()}
    views: dict[str, IndexedView] = {}
    variables: dict[str, IndexedView] = {}
    for module in modules:
        for variable, value in module.values.items():
            view = _view(module, value, catalog, keys)
            if view is not None:
                views[view.name] = variables[variable] = view
    services = {name: refs for module in modules for name, refs in _services(module, variables)}
    return ViewIndex(views, services)


def _view(module: Module, node: ast.expr, catalog: Catalog, keys: dict[str, str]) -> IndexedView | None:
    if not any(is_call(node, name) for name in VIEW_CLASSES):
        return None
    name = text(keyword(node, "name"))
    found = table_of(module, resolved(module, keyword(node, "source")), catalog)
    if name is None or found is None:
        return None
    source, table = found
    entities = resolved(module, keyword(node, "entities"))
    listed = entities.elts if isinstance(entities, ast.List | ast.Tuple) else []
    given = tuple(keys[e.id] for e in listed if isinstance(e, ast.Name) and e.id in keys)
    return IndexedView(
        name, source, table, given or table.keys, _features(module, node, source, table, given)
    )


def _features(
    module: Module, node: ast.expr, source: Source, table: FeatureTable, keys: tuple[str, ...]
) -> tuple[str, ...]:
    schema = resolved(module, keyword(node, "schema"))
    if isinstance(schema, ast.List | ast.Tuple):
        names = [text(keyword(e, "name")) for e in schema.elts if is_call(e, "Field")]
        if None not in names and len(names) == len(schema.elts):
            return tuple(name for name in names if name is not None and name not in keys)
    return tuple(column.name for column in source.features_of(table))


def _services(module: Module, variables: dict[str, IndexedView]) -> Iterator[tuple[str, tuple[str, ...]]]:
    for value in module.values.values():
        name = text(keyword(value, "name")) if is_call(value, "FeatureService") else None
        features = resolved(module, keyword(value, "features"))
        if name is None or not isinstance(features, ast.List | ast.Tuple):
            continue
        chosen = [_chosen(element, variables) for element in features.elts]
        if None not in chosen:
            yield name, tuple(reference for part in chosen if part for reference in part)


def _chosen(element: ast.expr, variables: dict[str, IndexedView]) -> list[str] | None:
    """References of ``view`` or ``view[["feature", …]]``; None for what is not written out."""
    if isinstance(element, ast.Name) and element.id in variables:
        view = variables[element.id]
        return [f"{view.name}:{feature}" for feature in view.features]
    if (
        isinstance(element, ast.Subscript)
        and isinstance(element.value, ast.Name)
        and element.value.id in variables
        and isinstance(element.slice, ast.List)
    ):
        names = [text(each) for each in element.slice.elts]
        return [f"{variables[element.value.id].name}:{name}" for name in names] if None not in names else None
    return None

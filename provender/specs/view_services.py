"""Feature services in ``feature_defs/views/*.py`` that Feast registers and cannot compare afterwards."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from provender.specs.problems import Problem
from provender.specs.view_module import Module, keyword, resolved, text

ALIAS_REMEDY = "give each its own name: view.with_name('…')"


def repeated_views(chosen: Iterable[tuple[str, str | None]]) -> list[str]:
    """Views that are there more than once, and not each time under an alias of its own, in order.

    ``chosen``: view and alias. Feast sorts a service's views by these two whenever it compares it with the registry,
    and a missing alias cannot be sorted beside one.
    """
    aliases: dict[str, list[str | None]] = {}
    for view, alias in chosen:
        aliases.setdefault(view, []).append(alias)
    return [
        view
        for view, given in aliases.items()
        if len(given) > 1 and (None in given or len(set(given)) < len(given))
    ]


def check_service(module: Module, service: ast.AST) -> Iterator[Problem]:
    """One view several times without names of its own."""
    features = resolved(module, keyword(service, "features"))
    if not isinstance(features, ast.List | ast.Tuple):
        return
    found = [(element, *_chosen(element)) for element in features.elts]
    written = [(element, view, alias) for element, view, alias in found if view is not None]
    for repeated in repeated_views((view, alias) for _, view, alias in written):
        place = [element for element, view, _ in written if view == repeated][-1]
        yield module.problem(
            place, f"the service has view {repeated!r} more than once under one name", ALIAS_REMEDY
        )


def _chosen(element: ast.expr) -> tuple[str | None, str | None]:
    """The variable of the view in ``view``, ``view[[…]]`` or ``view.with_name("…")``, and the alias.

    An alias that is computed counts as one of its own.
    """
    node, alias = element, None
    while not isinstance(node, ast.Name):
        if isinstance(node, ast.Subscript):
            node = node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr == "with_name":
                name = node.args[0] if node.args else keyword(node, "name")
                alias = text(name) or ast.dump(node)
            node = node.func.value
        else:
            return None, None
    return node.id, alias

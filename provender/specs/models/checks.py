"""Does a model spec fit the sources, views and SQL around it?

Reads the plain document, as :mod:`provender.specs.checks` does, so that everything is reported at once.
"""

from __future__ import annotations

from collections.abc import Iterator

from provender.specs.catalog import Catalog
from provender.specs.document import Document
from provender.specs.plain import is_text, mapping, texts
from provender.specs.problems import Location, did_you_mean
from provender.specs.sql import entity_problems
from provender.specs.view_index import ViewIndex


def check_model(document: Document, catalog: Catalog, index: ViewIndex) -> None:
    """Adds everything that does not fit to the document's problems."""
    _check_entities(document, catalog)
    for location, what, remedy in (*_features(document, index), *_defaults(document, index)):
        document.report(location, what, remedy)


def _check_entities(document: Document, catalog: Catalog) -> None:
    entities = mapping(document.values, "entities")
    source, sql = entities.get("source"), entities.get("sql")
    if not is_text(source) or not is_text(sql) or source in catalog.broken:
        return  # reported by the shape's check, or the source's own errors say what is wrong
    if source not in catalog.sources:
        known = [*catalog.sources, *catalog.broken]
        what = f"entities.source: no source is called {source!r}"
        document.report(("entities", "source"), what, did_you_mean(source, known))
        return
    path = document.path.parent / sql
    try:
        document.problems += entity_problems(path.read_text(encoding="utf-8-sig"), source, path)
    except (OSError, UnicodeDecodeError) as error:
        what = f"entities.sql: {sql} cannot be read: {getattr(error, 'strerror', None) or error}"
        document.report(("entities", "sql"), what, "write it beside the spec")


def _features(document: Document, index: ViewIndex) -> Iterator[tuple[Location, str, str]]:
    service = document.values.get("feature_service")
    if is_text(service) and service not in index.services:
        what = f"no feature service is called {service!r}"
        yield ("feature_service",), what, did_you_mean(service, index.services)
    for position, reference in texts(document.values, "features"):
        view, _, feature = reference.partition(":")
        at = ("features", position)
        if view not in index.views:
            yield at, f"no view is called {view!r}", did_you_mean(view, index.views)
        elif feature and feature not in index.views[view].features:
            yield (
                at,
                f"view {view} has no feature {feature!r}",
                did_you_mean(feature, index.views[view].features),
            )


def _defaults(document: Document, index: ViewIndex) -> Iterator[tuple[Location, str, str]]:
    service = document.values.get("feature_service")
    references = [text for _, text in texts(document.values, "features")]
    references += index.services.get(service, ()) if is_text(service) else ()
    names = [reference.replace(":", "__") for reference in references]
    for name in mapping(mapping(document.values, "serving"), "defaults"):
        if names and name not in names:
            what = f"serving.defaults: {name!r} is no feature of the model"
            yield ("serving", "defaults", name), what, did_you_mean(name, names)

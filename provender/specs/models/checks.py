"""Does a model spec fit the sources, views and SQL around it?

Reads the plain document, as :mod:`provender.specs.checks` does, so that everything is reported at once.
"""

from __future__ import annotations

from collections.abc import Iterator

from provender.errors import SpecError
from provender.specs.catalog import Catalog
from provender.specs.document import Document
from provender.specs.models.cadences import cadence_of, rolls_up
from provender.specs.plain import entries, is_text, mapping, texts
from provender.specs.problems import Location, Problem, did_you_mean
from provender.specs.sql_outputs import entity_findings
from provender.specs.view_index import ViewIndex


def check_model(document: Document, catalog: Catalog, index: ViewIndex) -> list[Problem]:
    """Adds everything that does not fit to the document's problems; gives what runs and may surprise."""
    warnings = _check_entities(document, catalog, index)
    _check_cadences(document, catalog, index)
    for location, what, remedy in (*_features(document, index), *_defaults(document, index)):
        document.report(location, what, remedy)
    return warnings


def _check_entities(document: Document, catalog: Catalog, index: ViewIndex) -> list[Problem]:
    entities = mapping(document.values, "entities")
    source, sql = entities.get("source"), entities.get("sql")
    if not is_text(source) or not is_text(sql) or source in catalog.broken:
        return []  # reported by the shape's check, or the source's own errors say what is wrong
    if source not in catalog.sources:
        known = [*catalog.sources, *catalog.broken]
        what = f"entities.source: no source is called {source!r}"
        document.report(("entities", "source"), what, did_you_mean(source, known))
        return []
    path = document.path.parent / sql
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        what = f"entities.sql: {sql} cannot be read: {getattr(error, 'strerror', None) or error}"
        document.report(("entities", "sql"), what, "write it beside the spec")
        return []
    found = entity_findings(text, catalog.sources[source], _wanted(document, index), path)
    document.problems += found.problems
    return found.warnings


def _wanted(document: Document, index: ViewIndex) -> dict[str, str]:
    """The columns that the entity rows have to have: the label, what a request brings, the features' join keys.

    Their types are what the rows say, and are compared with the rows when a training set is built.
    """
    label = document.values.get("label")
    names = [label] if is_text(label) else []
    names += [
        column["name"] for _, column in entries(document.values, "request") if is_text(column.get("name"))
    ]
    views = dict.fromkeys(reference.partition(":")[0] for reference in _references(document, index))
    names += [key for view in views if view in index.views for key in index.views[view].join_keys]
    return dict.fromkeys(names, "?")


def _references(document: Document, index: ViewIndex) -> list[str]:
    service = document.values.get("feature_service")
    references = [text for _, text in texts(document.values, "features")]
    return references + list(index.services.get(service, ()) if is_text(service) else ())


def _check_cadences(document: Document, catalog: Catalog, index: ViewIndex) -> None:
    """The sources' partitions have to make up the model's keys, as Airflow rolls them up."""
    views = {reference.partition(":")[0] for reference in _references(document, index)}
    sources = {
        index.views[view].source.name: index.views[view].source for view in views if view in index.views
    }
    entities = mapping(document.values, "entities").get("source")
    if is_text(entities) and entities in catalog.sources:
        sources[entities] = catalog.sources[entities]
    if not sources:
        return
    at = "features" if "features" in document.values else "feature_service"
    try:
        key = cadence_of(sources.values())
        for name in sorted(sources):
            rolls_up(sources[name], key)
    except SpecError as error:
        document.report((at,), error.what, error.remedy)


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
    names = [reference.replace(":", "__") for reference in _references(document, index)]
    for name in mapping(mapping(document.values, "serving"), "defaults"):
        if names and name not in names:
            what = f"serving.defaults: {name!r} is no feature of the model"
            yield ("serving", "defaults", name), what, did_you_mean(name, names)

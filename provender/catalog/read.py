"""A catalog, read from the specs, the applied views, the models and what is deployed. No manifest is read."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from provender.catalog.facts import FeatureCatalog, FeatureFact, ModelFact, SourceFact
from provender.errors import SettingsError, SpecError
from provender.model_registry.store import ModelStore
from provender.online.views import AppliedView, load_applied_views
from provender.settings import Settings
from provender.specs.catalog import Catalog
from provender.specs.models.catalog import ModelCatalog
from provender.specs.models.spec import ModelSpec
from provender.specs.source import Source
from provender.storage import Storage, storage_at

_TRAINING_SETS = "training_sets"


def read_catalog(settings: Settings) -> FeatureCatalog:
    """Read what there is. A definition that is broken is left out; without an apply there are no features yet.

    Raises :class:`SettingsError` if the settings are broken, :class:`DamagedFileError`.
    """
    storage = storage_at(settings.storage_root)
    specs = Catalog.load(settings.repo)
    catalog = ModelCatalog.load(settings.repo, specs)
    models = {name: _model(storage, catalog, spec) for name, spec in sorted(catalog.models.items())}
    services = _services(catalog)
    features = {
        fact.name: fact
        for view in _applied(storage, settings.project)
        if view.source in specs.sources
        for fact in _features(specs, view, services, models)
    }
    sources = {name: _source(source, features, models) for name, source in sorted(specs.sources.items())}
    return FeatureCatalog(dict(sorted(features.items())), sources, models)


def _applied(storage: Storage, project: str) -> list[AppliedView]:
    try:
        return load_applied_views(storage, project)
    except SettingsError:
        return []


def _services(catalog: ModelCatalog) -> Mapping[str, tuple[str, ...]]:
    try:
        return catalog.views.services
    except SpecError:
        return {}


def _model(storage: Storage, catalog: ModelCatalog, spec: ModelSpec) -> ModelFact:
    store = ModelStore(storage, spec.name)
    return ModelFact(
        name=spec.name,
        description=spec.description,
        owner=spec.owner,
        tags=spec.tags,
        features=tuple(catalog.references_of(spec)),
        sources=tuple(catalog.sources_of(spec)),
        serving=store.state().version,
        versions=tuple(store.version_names()),
        training_sets=tuple(storage.names(f"{_TRAINING_SETS}/{spec.name}")),
    )


def _source(
    source: Source, features: Mapping[str, FeatureFact], models: Mapping[str, ModelFact]
) -> SourceFact:
    return SourceFact(
        name=source.name,
        description=source.description,
        owner=source.owner,
        tags=source.tags,
        cadence=str(source.cadence),
        raw=source.raw.sql.connection if source.raw.sql else source.raw.uri,
        columns=tuple(column.name for column in source.columns),
        tables=tuple(table.name for table in source.tables),
        features=tuple(name for name, fact in sorted(features.items()) if fact.source == source.name),
        models=tuple(name for name, model in models.items() if source.name in model.sources),
    )


def _features(
    specs: Catalog,
    view: AppliedView,
    services: Mapping[str, tuple[str, ...]],
    models: Mapping[str, ModelFact],
) -> list[FeatureFact]:
    source = specs.sources[view.source]
    tables = {table.name: table for table in source.tables}
    if view.table not in tables:
        return []
    table = tables[view.table]
    described = {column.name: column.description for column in source.features_of(table)}
    sql = _sql(specs, source.name, table.name) if table.is_derived else ""
    return [
        FeatureFact(
            view=view.view,
            feature=feature,
            type=kind,
            description=described.get(view.column(feature), "") or table.description,
            keys=tuple(view.join_keys),
            source=source.name,
            table=table.name,
            owner=source.owner,
            tags=source.tags,
            cadence=str(source.cadence),
            online=view.online,
            ttl=None if view.ttl_seconds is None else timedelta(seconds=view.ttl_seconds),
            sql_file=table.sql or "",
            sql=sql,
            columns=tuple(column.name for column in source.columns),
            services=_users(services, f"{view.view}:{feature}"),
            models=tuple(n for n, m in models.items() if f"{view.view}:{feature}" in m.features),
            served_by=tuple(
                n for n, m in models.items() if m.serving and f"{view.view}:{feature}" in m.features
            ),
        )
        for feature, kind in view.features.items()
    ]


def _sql(specs: Catalog, source: str, table: str) -> str:
    try:
        return specs.sql_of(source, table)
    except SpecError:
        return ""  # `provender validate` says what is wrong with it


def _users(services: Mapping[str, tuple[str, ...]], name: str) -> tuple[str, ...]:
    return tuple(service for service, references in sorted(services.items()) if name in references)

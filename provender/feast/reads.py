"""What a lockfile says of a feature view: how its log was read, in words that need no Feast."""

from __future__ import annotations

from collections.abc import Sequence

from feast import FeatureStore, FeatureView
from feast.errors import FeastObjectNotFoundException

from provender.errors import TrainingSetError
from provender.feast.registry import open_store
from provender.feast.retrieval import ProvenderRetrievalJob
from provender.feast.tables import Table
from provender.point_in_time.duckdb_join import Lookup
from provender.settings import Settings
from provender.specs.catalog import Catalog
from provender.specs.hashing import table_hash
from provender.training_sets.lockfile import FeatureColumn, LogRead
from provender.training_sets.rows import Rows


def log_read(
    view: FeatureView, table: Table, catalog: Catalog, features: Sequence[str], lookup: Lookup
) -> LogRead:
    """``lookup``, which reads ``features`` of ``view`` (in the order of its outputs), for a lockfile."""
    source, spec = table.source, table.spec
    sql = catalog.sql_of(source.name, spec.name) if spec.is_derived else None
    outputs = zip(features, lookup.features.items(), strict=True)
    assert lookup.recorded_up_to is not None
    return LogRead(
        view=view.name,
        source=source.name,
        table=spec.name,
        path=source.path_of(spec),
        table_id=table.log.table_id,
        recorded_up_to=lookup.recorded_up_to,
        definition=table_hash(source, spec, sql),
        ttl_seconds=lookup.ttl.total_seconds(),
        keys=dict(lookup.keys),
        key_types={name: str(table.columns[column]) for name, column in lookup.keys.items()},
        columns={
            output: FeatureColumn(feature, column, str(table.columns[column]))
            for feature, (output, column) in outputs
        },
    )


def resolve_features(
    settings: Settings, rows: Rows, features: Sequence[str] | str, *, full_feature_names: bool
) -> tuple[LogRead, ...]:
    """How the logs behind ``features`` (``view:feature``, or a feature service's name) are read now.

    Raises :class:`TrainingSetError` for what is not applied and for on-demand views, and what
    ``FeatureStore.get_historical_features`` raises for views and entity rows that do not fit.
    """
    store = open_store(settings)
    _refuse_on_demand_views(store, features)
    try:
        wanted = store.get_feature_service(features) if isinstance(features, str) else list(features)
        job = store.get_historical_features(
            rows.table.slice(0, 0).to_pandas(), wanted, full_feature_names=full_feature_names
        )
    except FeastObjectNotFoundException as error:
        raise TrainingSetError(
            f"it is not applied: {error}",
            where=str(settings.repo),
            remedy="correct the name, or: provender apply",
        ) from error
    assert isinstance(job, ProvenderRetrievalJob), "the views' offline store is ours, or it has refused them"
    return job.reads


def _refuse_on_demand_views(store: FeatureStore, features: Sequence[str] | str) -> None:
    on_demand = {view.name for view in store.list_on_demand_feature_views()}
    if isinstance(features, str):
        services = {service.name: service for service in store.list_feature_services()}
        projections = services[features].feature_view_projections if features in services else []
        wanted = {projection.name for projection in projections}
    else:
        wanted = {reference.partition(":")[0] for reference in features}
    if on_demand & wanted:
        raise TrainingSetError(
            f"on-demand views cannot be in a training set: {', '.join(sorted(on_demand & wanted))}",
            where=str(store.repo_path),
            not_affected="everything: nothing was read",
            remedy="name the views they stand on; the model's own preprocessing computes the rest",
        )

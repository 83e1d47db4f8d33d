"""What a Feast feature view says about its feature table: which column is which, and whether that can be."""

from __future__ import annotations

from feast import Entity, FeatureView
from feast.feature_view import DUMMY_ENTITY_NAME
from feast.types import PrimitiveFeastType, from_value_type
from feast.value_type import ValueType

from provender.errors import SpecError
from provender.feast.sources import FEAST_TYPES
from provender.feast.tables import Table
from provender.online.views import AppliedView
from provender.specs.source import ColumnType

_COLUMN_TYPES = {feast: ours for ours, feast in FEAST_TYPES.items()}


def columns_of_view(view: FeatureView) -> dict[str, str]:
    """Feast's names -> the table's columns, where a field mapping makes them differ."""
    mapping = view.batch_source.field_mapping if view.batch_source is not None else {}
    return {name: column for column, name in mapping.items()}


def join_keys_of_view(view: FeatureView, table: Table) -> dict[str, str]:
    """Column of the entity rows (after ``with_join_key_map``) -> key column of the table.

    Raises :class:`SpecError` unless the view's join keys are exactly the table's keys: by fewer, one entity row would
    match rows of several keys, and which of them wins would be chance.
    """
    renamed = view.projection.join_key_map
    keys = _keys_by_name(view, [column.name for column in view.entity_columns], table)
    return {renamed.get(name, name): column for name, column in keys.items()}


def _keys_by_name(view: FeatureView, names: list[str], table: Table) -> dict[str, str]:
    if getattr(view, "feature_transformation", None) or getattr(view, "aggregations", None):
        raise SpecError(
            f"view {view.name!r} computes its features itself, which this offline store does not do",
            remedy=f"compute them in the SQL of a table of source {table.source.name!r}, or in an on-demand view",
        )
    columns = columns_of_view(view)
    keys = {name: columns.get(name, name) for name in names}
    if sorted(keys.values()) != sorted(table.spec.keys):
        raise SpecError(
            f"view {view.name!r} joins by ({', '.join(sorted(keys.values())) or 'nothing'}), "
            f"but table {table.name} has one row per ({', '.join(sorted(table.spec.keys))})",
            remedy=f"give the view entities whose join keys are {', '.join(table.spec.keys)}",
        )
    return keys


def applied_view(view: FeatureView, entities: dict[str, Entity], table: Table) -> AppliedView:
    """A view as its file defines it, for jobs that do not import Feast; ``entities`` are the repo's, by name.

    Raises :class:`SpecError` for invalid keys, columns or types.
    """
    columns = columns_of_view(view)
    keys = _key_types(view, entities, table)
    features = {f.name: _type(view, f.name, f.dtype) for f in view.schema if f.name not in keys}
    unknown = [name for name in features if columns.get(name, name) not in table.columns]
    if unknown:
        raise SpecError(
            f"view {view.name!r} has features that table {table.name} has not: {', '.join(unknown)}",
            remedy=f"its columns are {', '.join(table.columns)}",
        )
    for name, kind in (keys | features).items():
        _check_type(view, table, name, columns.get(name, name), kind)
    mapped = {name: column for name, column in columns.items() if name in keys or name in features}
    applied = AppliedView(
        view=view.name,
        source=table.source.name,
        table=table.spec.name,
        join_keys={name: str(kind) for name, kind in keys.items()},
        features={name: str(kind) for name, kind in features.items()},
        columns=mapped,
        online=view.online,
        ttl_seconds=view.ttl.total_seconds() if view.ttl else 0,
    )
    assert applied.layout is not None  # a key type that cannot be online is refused here
    return applied


def _key_types(view: FeatureView, entities: dict[str, Entity], table: Table) -> dict[str, ColumnType]:
    """Join keys with the types that Feast will read them by: the schema's, else the entity's, else the column's."""
    joined = [entities[name] for name in view.entities if name in entities and name != DUMMY_ENTITY_NAME]
    names = [entity.join_key for entity in joined]
    columns = _keys_by_name(view, names, table)
    types = {entity.join_key: from_value_type(entity.value_type) for entity in joined if _has_type(entity)}
    types |= {field.name: field.dtype for field in view.schema if field.name in names}
    return {
        name: _type(view, name, types[name]) if name in types else table.columns[columns[name]]
        for name in names
    }


def _has_type(entity: Entity) -> bool:
    return entity.value_type not in (None, ValueType.UNKNOWN)


def _type(view: FeatureView, name: str, dtype: object) -> ColumnType:
    kind = _COLUMN_TYPES.get(dtype) if isinstance(dtype, PrimitiveFeastType) else None
    if kind is None:
        raise SpecError(
            f"field {name!r} of view {view.name!r} has type {dtype}, which a batch column cannot have",
            remedy=f"use one of {', '.join(ColumnType)}",
        )
    found: ColumnType = kind
    return found


def _check_type(view: FeatureView, table: Table, name: str, column: str, kind: ColumnType) -> None:
    has = table.columns[column]
    if kind is not has:
        raise SpecError(
            f"field {name!r} of view {view.name!r} is declared {kind}, "
            f"column {column!r} of table {table.name} is {has}",
            remedy=f"use schema=provender.schema({table.source.name!r}, {table.spec.name!r})",
        )

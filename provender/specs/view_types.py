"""Types in ``feature_defs/views/*.py``, read from the text: of entities and fields, against the table's columns."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from provender.specs.problems import Problem
from provender.specs.source import ColumnType, FeatureTable, Source
from provender.specs.view_module import Module, is_call, keyword, resolved, text

_FIELD_TYPES = {
    "Int32": ColumnType.INT32,
    "Int64": ColumnType.INT64,
    "Float32": ColumnType.FLOAT,
    "Float64": ColumnType.DOUBLE,
    "String": ColumnType.STRING,
    "Bool": ColumnType.BOOL,
    "Bytes": ColumnType.BYTES,
    "UnixTimestamp": ColumnType.TIMESTAMP,
}
"""Names in ``feast.types`` to a spec's."""
_VALUE_TYPES = {str(kind): kind for kind in ColumnType} | {"UNIX_TIMESTAMP": ColumnType.TIMESTAMP}
_VALUE_TYPES.pop("TIMESTAMP")
_UNTYPED = frozenset({"UNKNOWN"})
_OTHER_TYPES = frozenset({"Invalid", "Array", "Set", "Map", "Struct", "Json", "Uuid", "Decimal", "PdfBytes"})


@dataclass(frozen=True, slots=True)
class EntityText:
    """An ``Entity(...)`` as it is written: its join key, and the name of its value type where it has one."""

    join_key: str
    value_type: str | None


def entities_by_variable(modules: list[Module]) -> dict[str, EntityText]:
    """Variable name to every ``Entity(...)``; modules may import them from one another."""
    found: dict[str, EntityText] = {}
    for module in modules:
        for name, value in module.values.items():
            if not is_call(value, "Entity"):
                continue
            keys = keyword(value, "join_keys")
            first = keys.elts[0] if isinstance(keys, ast.List | ast.Tuple) and keys.elts else None
            key = text(first) or (text(keyword(value, "name")) if keys is None else None)
            if key is not None:
                found[name] = EntityText(key, _last_name(keyword(value, "value_type")))
    return found


def check_entity_types(
    module: Module,
    entities: ast.expr | None,
    source: Source,
    table: FeatureTable,
    known: Mapping[str, EntityText],
) -> Iterator[Problem]:
    """Entities of another type than the key of the table that they give."""
    types = {key.name: key.type for key in source.keys_of(table)}
    for element in entities.elts if isinstance(entities, ast.List | ast.Tuple) else ():
        entity = known.get(element.id) if isinstance(element, ast.Name) else None
        if entity is None or entity.value_type is None or entity.join_key not in types:
            continue
        kind = types[entity.join_key]
        if entity.value_type not in _UNTYPED and _VALUE_TYPES.get(entity.value_type) is not kind:
            what = f"the entity's type is {entity.value_type}, and key {entity.join_key!r} of table "
            what += f"{source.name}.{table.name} is {kind}"
            yield module.problem(element, what, f"write value_type=ValueType.{kind}, or leave it out")


def check_field(module: Module, field: ast.expr, source: Source, table: FeatureTable) -> Iterator[Problem]:
    """A ``Field(...)`` of another type than its column."""
    name, dtype = text(keyword(field, "name")), resolved(module, keyword(field, "dtype"))
    columns = {column.name: column.type for column in (*source.keys_of(table), *source.features_of(table))}
    kind = columns.get(name or "")
    written = _last_name(dtype.func if isinstance(dtype, ast.Call) else dtype)
    if kind is None or written is None or (written not in _FIELD_TYPES and written not in _OTHER_TYPES):
        return  # computed, or reported as a column that is not there
    if _FIELD_TYPES.get(written) is not kind:
        wanted = next(feast for feast, ours in _FIELD_TYPES.items() if ours is kind)
        what = f"field {name!r} is declared {written}, and the column of table {source.name}.{table.name} is {kind}"
        yield module.problem(
            field, what, f"write dtype={wanted}, or schema=provender.schema({source.name!r}, …)"
        )


def _last_name(node: ast.AST | None) -> str | None:
    """``Int32`` of ``Int32`` and of ``types.Int32``."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else None

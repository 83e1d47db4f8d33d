"""The signature of a model: from the lockfile of its training set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from provender.errors import TrainingSetError
from provender.model_registry.artifact import Column, FeatureInput, Output, Signature
from provender.training_sets.lockfile import Inputs

_TYPES = {
    "bool": "BOOL",
    "int8": "INT32",
    "int16": "INT32",
    "int32": "INT32",
    "int64": "INT64",
    "uint8": "INT32",
    "uint16": "INT32",
    "uint32": "INT64",
    "float": "FLOAT",
    "double": "DOUBLE",
    "string": "STRING",
    "large_string": "STRING",
    "binary": "BYTES",
    "large_binary": "BYTES",
}
"""Arrow's name of a type to :class:`provender.specs.source.ColumnType`'s."""


def signature_of(model: str, mode: str, locked: Inputs, classes: Sequence[object] = ()) -> Signature:
    """What a model trained on this takes and gives. ``classes``: both labels of a classification, in order."""
    keys = locked.entities.keys
    request = tuple(
        Column(name, keys.get(name) or _type(name, locked.entities.columns)) for name in locked.request
    )
    return Signature(
        model=model,
        mode=mode,
        label=str(locked.label),
        entities=tuple(Column(name, kind) for name, kind in keys.items()),
        request=request,
        features=_features(locked),
        inputs=(*locked.request, *locked.outputs),
        output=(_output(str(locked.label), mode, classes),),
        as_known=locked.as_known,
    )


def input_columns(signature: Signature) -> tuple[Column, ...]:
    """The model's inputs with their types, in its order."""
    types = {column.name: column.type for column in signature.request}
    types |= {feature.name: feature.type for feature in signature.features}
    return tuple(Column(name, types[name]) for name in signature.inputs)


def _features(locked: Inputs) -> tuple[FeatureInput, ...]:
    return tuple(
        FeatureInput(name, log.view, column.feature, column.type, tuple(log.keys), log.ttl_seconds)
        for log in locked.logs
        for name, column in log.columns.items()
    )


def _output(label: str, mode: str, classes: Sequence[object]) -> Output:
    if mode == "regression":
        return Output(label, "DOUBLE", f"{label}, predicted")
    return Output(label, "DOUBLE", f"probability that {label} is {classes[1]}, not {classes[0]}")


def _type(name: str, columns: Mapping[str, str]) -> str:
    kind = columns.get(name, "missing")
    if kind.startswith("timestamp"):
        return "TIMESTAMP"
    if kind not in _TYPES:
        raise TrainingSetError(
            f"request column {name!r} is of Arrow type {kind}, which a model cannot take",
            where="the training set's entity rows",
            remedy="make a number, text, time or boolean of it in the SQL of the entity rows",
        )
    return _TYPES[kind]

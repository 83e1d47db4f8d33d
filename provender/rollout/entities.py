"""The rows a deployment is tried with: the newest entities of the model's own training set."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from provender.errors import DeployError
from provender.model_registry.artifact import Artifact
from provender.storage import Storage
from provender.training_sets.lockfile import ENTITIES_FILE, Lockfile

_SEARCHED_ROWS = 20_000
Row = dict[str, Any]


def newest_entities(storage: Storage, artifact: Artifact, lockfile: Lockfile, count: int) -> list[Row]:
    """At most ``count`` rows of the training set, the newest of each entity, newest first.

    A row holds the join keys and request columns of the signature, no timestamp. Rows with a null join key are
    left out. Raises :class:`DeployError` if the training set is not there or has no such row.
    """
    signature = artifact.signature
    keys = [column.name for column in signature.entities]
    wanted = list(dict.fromkeys([*keys, *(column.name for column in signature.request)]))
    moment = lockfile.inputs.event_timestamp
    table = _read(storage, lockfile, [*wanted, moment])
    order = pc.sort_indices(table, sort_keys=[(moment, "descending")])
    newest = table.take(order[:_SEARCHED_ROWS]).select(wanted).to_pylist()
    distinct: dict[tuple[Any, ...], Row] = {}
    for row in newest:
        entity = tuple(row[key] for key in keys)
        if None not in entity:
            distinct.setdefault(entity, row)
    if not distinct:
        raise DeployError(
            "the training set has no entity to try the model with",
            where=lockfile.path,
            remedy="train it again",
        )
    return list(distinct.values())[:count]


def _read(storage: Storage, lockfile: Lockfile, columns: list[str]) -> pa.Table:
    path = f"{lockfile.path}/{ENTITIES_FILE}"
    try:
        with storage.open(path) as file:
            return pq.read_table(file, columns=columns)
    except FileNotFoundError as error:
        raise DeployError(
            "the training set of this version is not there, so there is nothing to try it with",
            where=storage.uri(path),
            not_affected="whatever serves now",
            remedy="build it again from its lockfile, or train the model again",
        ) from error

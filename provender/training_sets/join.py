"""From what a lockfile says to the joined rows: the one place where training sets meet the join."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from provender.engine_settings import EngineChoice
from provender.errors import TrainingSetError
from provender.online.layout import ARROW_TYPES
from provender.point_in_time.duckdb_join import Lookup
from provender.point_in_time.join import PointInTimeJoin
from provender.settings import Settings
from provender.specs.source import ColumnType
from provender.storage import storage_at
from provender.tables.feature_log import CREATED, DELETED, EVENT, RECORDED, FeatureLog
from provender.training_sets.checksum import STAMP, canonical
from provender.training_sets.lockfile import Inputs, LogRead


def joined(
    settings: Settings, entities: pa.Table, inputs: Inputs, choice: EngineChoice | None = None
) -> pa.Table:
    """``entities`` with each log's columns beside them and, last, its :func:`matched_column`.

    Canonical types. ``choice``: which engine joins (default: by size); the result is the same. Raises
    :class:`TrainingSetError` where a log is no longer what was read.
    """
    lookups = [lookup_of(settings, log) for log in inputs.logs]
    found = PointInTimeJoin(
        settings,
        entities,
        inputs.event_timestamp,
        lookups,
        inputs.as_known,
        choice or settings.join,
    ).run()
    matched = [matched_column(log) for log in inputs.logs]
    return canonical(found.select([*entities.column_names, *inputs.outputs, *matched]))


def matched_column(log: LogRead) -> str:
    """The column of the matched version's event timestamp; null: no version matched."""
    return f"__event__{'__'.join([log.view, *log.keys])}"


def lookup_of(settings: Settings, log: LogRead) -> Lookup:
    """The lookup as it was when the log was read. Raises :class:`TrainingSetError` if that cannot be any more."""
    columns = {name: column.column for name, column in log.columns.items()}
    return Lookup(
        log_of(settings, log),
        log.keys,
        {**columns, matched_column(log): EVENT},
        log.ttl,
        log.recorded_up_to,
        described=log.described,
    )


def log_of(settings: Settings, log: LogRead) -> FeatureLog:
    """The log, checked to be the one that was read."""
    found = FeatureLog(storage_at(settings.storage_root).uri(log.path), declared_schema(log))
    if found.table_id != log.table_id and log.table_id:
        raise TrainingSetError(
            f"table {log.source}.{log.table} was recreated: what view {log.view!r} was built from is gone"
            if found.table_id
            else f"table {log.source}.{log.table} is gone",
            where=found.uri,
            not_affected="the training set's own files",
            remedy="use the data as it is, or restore the table from a backup",
        )
    gone = [each for each in _columns(log) if each not in found.schema.names]
    if gone:
        raise TrainingSetError(
            f"table {log.source}.{log.table} has no column {', '.join(gone)} any more",
            where=found.uri,
            not_affected="the training set's own files",
            remedy="use the data as it is, or restore the table from a backup",
        )
    return found


def declared_schema(log: LogRead) -> pa.Schema:
    """What the log looks like if no row ever came."""
    kinds = {log.keys[name]: kind for name, kind in log.key_types.items()}
    kinds |= {column.column: column.type for column in log.columns.values()}
    fields = {name: _arrow(kind) for name, kind in kinds.items()}
    return pa.schema(
        list((fields | dict.fromkeys((EVENT, CREATED, RECORDED), STAMP) | {DELETED: pa.bool_()}).items())
    )


def _columns(log: LogRead) -> Iterable[str]:
    return dict.fromkeys([*log.keys.values(), *(column.column for column in log.columns.values())])


def _arrow(kind: str) -> pa.DataType:
    """Text and bytes in the width that Delta gives them."""
    narrow = {"STRING": pa.string(), "BYTES": pa.binary()}
    return narrow.get(kind) or ARROW_TYPES[ColumnType(kind)]

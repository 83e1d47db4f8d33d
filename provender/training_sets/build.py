"""Build a training set: entity rows staged, features joined, the lockfile written last.

    request → rows → inputs (their hash is the id) → entities.parquet → data.parquet, report.html → lockfile.json

The same inputs again are found, and nothing is written. An attempt that dies before the lockfile leaves files that
nobody sees and that the next attempt at the same id writes over.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

import pyarrow as pa

from provender.errors import AlreadyExistsError
from provender.ledger.ledger import code_version
from provender.settings import Settings
from provender.storage import Storage, read_document, storage_at
from provender.storage.disk import scratch_errors
from provender.training_sets.checksum import table_checksum
from provender.training_sets.folder import ATTEMPTS, ROOT, TrainingSet, open_training_set, write_parquet
from provender.training_sets.join import joined
from provender.training_sets.lockfile import (
    DATA_FILE,
    ENTITIES_FILE,
    LOCKFILE,
    REPORT_FILE,
    EntityRows,
    Inputs,
    Lockfile,
    LogRead,
    StoredTable,
)
from provender.training_sets.report import null_features, render
from provender.training_sets.request import Request, SqlRows
from provender.training_sets.rows import Rows, read_rows, with_types, without_gaps_in_time
from provender.training_sets.summary import Summary, summarize

logger = logging.getLogger(__name__)


@scratch_errors()
def build_from(
    settings: Settings,
    request: Request,
    rows: Rows,
    reads: tuple[LogRead, ...],
    attempt: str,
) -> TrainingSet:
    """Build or find the training set of ``request``, whose entity rows and lookups are at hand.

    :func:`provender.feast.training_set.build` finds both with Feast's registry."""
    inputs = _inputs(settings, request, rows, reads)
    storage = storage_at(settings.storage_root)
    built = _write(settings, storage, inputs, rows.table)
    _take_down(storage, inputs, attempt, built.is_new)
    return built


def attempts_set(settings: Settings, name: str, attempt: str) -> TrainingSet | None:
    """The training set that ``attempt`` ended in; None if it did not end well."""
    storage = storage_at(settings.storage_root)
    try:
        found = read_document(
            storage,
            _receipt(name, attempt),
            lambda receipt: str(receipt["id"]),
            what="the receipt of an attempt at a training set",
            remedy="build it again: the same inputs give the same set",
        )
    except FileNotFoundError:
        return None
    return open_training_set(storage, found)


def make_report(settings: Settings, training_set: TrainingSet) -> str:
    """The URI of the report; it is recreated from the logs if it is gone."""
    folder = storage_at(training_set.uri)
    if not folder.exists(REPORT_FILE):
        found = joined(settings, training_set.entities(), training_set.lockfile.inputs)
        _write_report(folder, REPORT_FILE, training_set.lockfile, found)
    return training_set.report_uri


def _write_report(storage: Storage, path: str, lockfile: Lockfile, found: pa.Table) -> Summary:
    summary = summarize(lockfile.inputs, found)
    with storage.writing(path) as file:
        file.write(render(lockfile, summary).encode())
    return summary


def entity_rows(settings: Settings, request: Request, attempt: str) -> Rows:
    """Read the entity rows of ``request``; for a training run those whose features have gaps in time are left out.

    Raises :class:`TrainingSetError` for rows that cannot be used, and what Spark raises where they come from SQL.
    """
    rows = _raw_rows(settings, request.entities, attempt)
    if not request.is_for_training:
        return rows
    required = [request.label] if request.label else []
    return without_gaps_in_time(with_types(rows, request.request, required))


def _raw_rows(settings: Settings, entities: SqlRows | str | Rows, attempt: str) -> Rows:
    if isinstance(entities, Rows):
        return entities
    if isinstance(entities, str):
        return read_rows(entities)
    from provender.training_sets.spark_rows import rows_by_sql

    return rows_by_sql(settings, entities, attempt)


def _inputs(settings: Settings, request: Request, rows: Rows, reads: tuple[LogRead, ...]) -> Inputs:
    keys = {name: kind for read in reads for name, kind in read.key_types.items()}
    stored = _stored(ENTITIES_FILE, rows.table)
    entities = EntityRows(stored.file, stored.rows, stored.checksum, stored.columns, keys, rows.origin)
    return Inputs(
        name=request.name,
        project=settings.project,
        code=code_version(),
        entities=entities,
        event_timestamp=rows.timestamp,
        label=request.label,
        request=tuple(request.request),
        full_feature_names=request.full_feature_names,
        as_known=request.as_known,
        logs=reads,
    )


def _write(settings: Settings, storage: Storage, inputs: Inputs, entities: pa.Table) -> TrainingSet:
    folder = f"{ROOT}/{inputs.name}/{inputs.id}"
    if storage.exists(f"{folder}/{LOCKFILE}"):
        logger.info(f"found {inputs.name} {inputs.id}: the same inputs, nothing to do")
        return open_training_set(storage, inputs.id)
    write_parquet(storage, f"{folder}/{ENTITIES_FILE}", entities)
    found = joined(settings, entities, inputs)
    data = found.select([*entities.column_names, *inputs.outputs])
    write_parquet(storage, f"{folder}/{DATA_FILE}", data)
    lockfile = Lockfile(inputs, datetime.now(UTC), _stored(DATA_FILE, data))
    summary = _write_report(storage, f"{folder}/{REPORT_FILE}", lockfile, found)
    try:
        storage.create(f"{folder}/{LOCKFILE}", lockfile.to_bytes())
    except AlreadyExistsError:
        return open_training_set(storage, inputs.id)  # somebody built the same set meanwhile
    logger.info(f"built {inputs.name} {inputs.id}: {len(data)} rows, {len(inputs.outputs)} features")
    for name in null_features(summary):
        logger.info(f"  {name} is null in every row: a model can learn nothing of it (the report shows why)")
    return TrainingSet(storage.uri(folder), lockfile, is_new=True)


def _stored(file: str, table: pa.Table) -> StoredTable:
    columns = {field.name: str(field.type) for field in table.schema}
    return StoredTable(file, len(table), table_checksum(table), columns)


def _take_down(storage: Storage, inputs: Inputs, attempt: str, is_new: bool) -> None:
    """Says which training set an attempt ended in, for whoever started it."""
    with storage.writing(_receipt(inputs.name, attempt)) as file:
        file.write(json.dumps({"attempt": attempt, "id": inputs.id, "is_new": is_new}).encode())


def _receipt(name: str, attempt: str) -> str:
    return f"{ROOT}/{name}/{ATTEMPTS}/{attempt}.json"

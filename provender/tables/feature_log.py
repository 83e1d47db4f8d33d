"""A feature table's log as a reader sees it: its Delta files, pruned by their statistics before any is opened.

Columns (see ``docs/semantics.md``): keys, features, ``event_timestamp``, ``created_timestamp``,
``recorded_timestamp`` (timestamps in UTC, microseconds), ``deleted`` (bool), ``period`` (timestamp).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from provender.errors import DamagedFileError, LogNotFoundError, ProvenderError, StorageError
from provender.storage.readers import arrow_filesystem, delta_options

EVENT = "event_timestamp"
CREATED = "created_timestamp"
RECORDED = "recorded_timestamp"
DELETED = "deleted"

_STATISTICS_CUT = timedelta(milliseconds=1)
"""Delta's statistics of timestamps are cut to milliseconds, the greatest too: it may be this much more."""


_FILES_TO_ASK = 500
_PARTS_TO_SAMPLE = 16


@dataclass(frozen=True)
class Bounds:
    """Which versions can matter, ends inclusive; None: no limit. Every deletion has the event timestamp of the
    row it withdraws, so no bound separates the two."""

    event_from: datetime | None = None
    event_to: datetime | None = None
    recorded_to: datetime | None = None
    recorded_after: datetime | None = None
    """Not inclusive."""


@dataclass(frozen=True)
class FeatureLog:
    """One feature table at the version it had when first read."""

    uri: str
    declared: pa.Schema | None = None
    """The schema to show, without rows, where no table exists; None: then that is an error."""

    @cached_property
    def delta(self) -> DeltaTable:
        """The Delta table. Raises :class:`LogNotFoundError`, :class:`DamagedFileError`, :class:`StorageError`."""
        try:
            return DeltaTable(self.uri, storage_options=delta_options(self.uri))
        except TableNotFoundError as error:
            raise LogNotFoundError("there is no such feature table yet", where=self.uri) from error
        except DeltaError as error:
            raise _unreadable(self.uri, error) from error

    @cached_property
    def schema(self) -> pa.Schema:
        """Column names and Arrow types, newest columns included."""
        if self.declared is not None and not self.exists:
            return self.declared
        return pa.schema(self.delta.schema().to_arrow())

    @cached_property
    def exists(self) -> bool:
        try:
            return self.delta is not None
        except LogNotFoundError:
            return False

    @property
    def version(self) -> int:
        return self.delta.version()

    @cached_property
    def table_id(self) -> str:
        """Delta's id of the table: another one means that it was recreated; empty if there is none."""
        return str(self.delta.metadata().id) if self.exists else ""

    def files(self, bounds: Bounds) -> list[str]:
        """Paths, relative to the table, of the files that can hold a version within ``bounds``."""
        if self.declared is not None and not self.exists:
            return []
        actions = pa.table(self.delta.get_add_actions(flatten=True))
        return [row["path"] for row in actions.to_pylist() if _may_hold(row, bounds)]

    def rows(self, bounds: Bounds) -> int:
        """At most how many versions are within ``bounds``, told by the files' statistics without reading any."""
        if self.declared is not None and not self.exists:
            return 0
        actions = pa.table(self.delta.get_add_actions(flatten=True))
        return sum(_most_rows(row) for row in actions.to_pylist() if _may_hold(row, bounds))

    def withdrawn(self, bounds: Bounds) -> int | None:
        """How many versions within ``bounds`` are marked deleted; None where so many files would have to be asked
        that a reader had better expect some. Most files answer by the statistics of their row groups."""
        if len(self.files(bounds)) > _FILES_TO_ASK:
            return None
        data = self.dataset(bounds)
        if isinstance(data, pa.Table):
            return 0
        return int(data.count_rows(filter=ds.field(DELETED)))

    def sample(self, bounds: Bounds, columns: Sequence[str], rows: int) -> pa.Table:
        """About ``rows`` of the versions within ``bounds``, each as likely as any other as far as the row groups that
        are read (a few, evenly from all) are like the rest."""
        data = self.dataset(bounds)
        if isinstance(data, pa.Table):
            return data.select(columns)
        groups = [group for file in _some(list(data.get_fragments())) for group in file.split_by_row_group()]
        parts = [group.to_table(columns=list(columns), schema=self.schema) for group in _some(groups)]
        table = pa.concat_tables(parts)
        share = rows / max(len(table), 1)
        if share >= 1:
            return table
        return table.filter(pa.array(np.random.default_rng(0).random(len(table)) < share))

    def dataset(self, bounds: Bounds) -> ds.Dataset | pa.Table:
        """The files within ``bounds`` as one dataset with the table's schema; a column a file lacks is null."""
        files = self.files(bounds)
        if not files:
            return self.schema.empty_table()
        filesystem, root = arrow_filesystem(self.uri)
        paths = [f"{root}/{unquote(path)}" for path in files]
        parquet = ds.ParquetFileFormat(coerce_int96_timestamp_unit="us")
        return ds.dataset(paths, schema=self.schema, format=parquet, filesystem=filesystem)


def _unreadable(uri: str, error: DeltaError) -> ProvenderError:
    what = f"the table's log cannot be read: {str(error).splitlines()[0][:300]}"
    where, not_affected = f"{uri}/_delta_log", "the staged files and the manifests"
    if "object store" in str(error):
        return StorageError(
            what, where=where, not_affected=not_affected, remedy="check the storage root, then run again"
        )
    remedy = (
        "run the source's next ingest: it removes what an attempt that died has left there; if it says that a manifest "
        "names the damaged file, put that back from a backup"
    )
    return DamagedFileError(what, where=where, not_affected=not_affected, remedy=remedy)


def _some(parts: list[Any]) -> list[Any]:
    """At most :data:`_PARTS_TO_SAMPLE` of them, evenly from first to last."""
    return parts[:: -(-len(parts) // _PARTS_TO_SAMPLE)] if parts else []


def _most_rows(file: dict[str, Any]) -> int:
    """A row takes a byte at least, where nobody has counted them."""
    counted = file["num_records"]
    return int(file["size_bytes"] if counted is None else counted)


def _may_hold(file: dict[str, object], bounds: Bounds) -> bool:
    """Whether a file's statistics allow a version within ``bounds``; without statistics it must be read."""
    least_event, greatest_event = _limits(file, EVENT)
    least_recorded, greatest_recorded = _limits(file, RECORDED)
    if bounds.event_to and least_event and least_event > bounds.event_to:
        return False
    if bounds.event_from and greatest_event and greatest_event + _STATISTICS_CUT < bounds.event_from:
        return False
    after = bounds.recorded_after
    if after and greatest_recorded and greatest_recorded + _STATISTICS_CUT <= after:
        return False
    return not (bounds.recorded_to and least_recorded and least_recorded > bounds.recorded_to)


def _limits(file: dict[str, object], column: str) -> tuple[datetime | None, datetime | None]:
    least, greatest = file.get(f"min.{column}"), file.get(f"max.{column}")
    return (
        least if isinstance(least, datetime) else None,
        greatest if isinstance(greatest, datetime) else None,
    )

"""The training set: read, checked against its lockfile, and split by time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from provender.errors import TrainingSetError
from provender.intervals import iso
from provender.storage import storage_at
from provender.training_sets.checksum import canonical, in_canonical_order, table_checksum
from provender.training_sets.lockfile import LOCKFILE, Lockfile

_BUILD_AGAIN = "build the training set again: provender training-set verify says what is wrong with this one"


@dataclass(frozen=True)
class Rows:
    """Rows of a training set, by time, with their labels; none of these is null."""

    table: pa.Table
    """The columns of the training set, with canonical types."""
    event_timestamp: str
    label: str

    def __len__(self) -> int:
        return len(self.table)

    @cached_property
    def times(self) -> list[datetime]:
        found: list[datetime] = self.table.column(self.event_timestamp).to_pylist()
        return found

    @cached_property
    def labels(self) -> np.ndarray[Any, Any]:
        """As numpy has them: numbers, booleans or objects."""
        return np.asarray(self.table.column(self.label).to_pylist())

    def columns(self, names: list[str] | tuple[str, ...]) -> dict[str, list[Any]]:
        """Column name to Python values."""
        return {name: self.table.column(name).to_pylist() for name in names}

    def span(self) -> dict[str, Any]:
        """``rows``, and the first and last event timestamp: ``from``, ``to``, both inclusive."""
        return {"rows": len(self), "from": iso(self.times[0]), "to": iso(self.times[-1])}


def read_training_set(folder: str, lockfile_uri: str = "") -> tuple[pa.Table, Lockfile, bytes]:
    """The joined rows of the training set in ``folder``, its lockfile, and the lockfile's bytes.

    Raises :class:`TrainingSetError` if either is not there, or if the data is not what the lockfile says.
    """
    text, where = _read_lockfile(lockfile_uri or f"{folder.rstrip('/')}/{LOCKFILE}")
    lockfile = Lockfile.from_bytes(text, where)
    table = _read_table(folder, lockfile.result.file)
    found = table_checksum(table)
    if found != lockfile.result.checksum:
        raise TrainingSetError(
            f"the data is not what the lockfile says: {len(table)} rows with {found}, "
            f"locked are {lockfile.result.rows} with {lockfile.result.checksum}",
            where=f"{folder}/{lockfile.result.file}",
            not_affected="whatever serves now; nothing was trained",
            remedy=_BUILD_AGAIN,
        )
    return table, lockfile, text


def labelled(table: pa.Table, lockfile: Lockfile) -> Rows:
    """All rows that have a label, by time; rows of one time in canonical order, so that the file's does not matter.

    Raises :class:`TrainingSetError` for a training set without a label column.
    """
    label, time = lockfile.inputs.label, lockfile.inputs.event_timestamp
    if label is None:
        raise TrainingSetError(
            "the training set has no label: there is nothing to learn",
            where=lockfile.path,
            remedy="name the label when it is built",
        )
    kept = table.filter(pc.and_(pc.is_valid(table.column(label)), pc.is_valid(table.column(time))))
    return Rows(in_canonical_order(canonical(kept), first=time), time, label)


def split(rows: Rows, test_share: float) -> tuple[Rows, Rows]:
    """Train and test part: the latest ``test_share`` of the rows is held out, rows of one time stay together.

    Every test row is later than every training row. Raises :class:`TrainingSetError` if one part would be empty.
    """
    cut = round(len(rows) * (1 - test_share))
    times = rows.times
    first, last = cut, cut
    while 0 < first < len(rows) and times[first - 1] == times[first]:
        first -= 1
    while 0 < last < len(rows) and times[last - 1] == times[last]:
        last += 1
    possible = [place for place in (first, last) if 0 < place < len(rows)]
    if not possible:
        raise TrainingSetError(
            f"{len(rows)} rows with a label cannot be split by time into training and test rows",
            where=f"test_share {test_share}, column {rows.event_timestamp}",
            not_affected="whatever serves now; nothing was trained",
            remedy="take a longer window, or another test_share: rows of one time stay together",
        )
    nearest = min(possible, key=lambda place: abs(place - cut))
    return _part(rows, rows.table.slice(0, nearest)), _part(rows, rows.table.slice(nearest))


def _part(rows: Rows, table: pa.Table) -> Rows:
    return Rows(table, rows.event_timestamp, rows.label)


def _read_lockfile(uri: str) -> tuple[bytes, str]:
    folder, _, name = uri.rpartition("/")
    try:
        return storage_at(folder).read(name), uri
    except (FileNotFoundError, NotADirectoryError) as error:
        raise TrainingSetError(
            "there is no training set: no lockfile",
            where=uri,
            not_affected="whatever serves now; nothing was trained",
            remedy="name the folder of a training set; provender training-set build makes one",
        ) from error


def _read_table(folder: str, name: str) -> pa.Table:
    try:
        with storage_at(folder).open(name) as file:
            return pq.read_table(file)
    except (FileNotFoundError, pa.ArrowInvalid) as error:
        raise TrainingSetError(
            f"the training set's rows cannot be read: {error}",
            where=f"{folder}/{name}",
            not_affected="whatever serves now; nothing was trained",
            remedy=_BUILD_AGAIN,
        ) from error

"""Where training sets lie, and how they are found: by id, by path, by URI."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from provender.errors import TrainingSetError
from provender.storage import Storage, storage_at
from provender.training_sets.lockfile import DATA_FILE, ENTITIES_FILE, LOCKFILE, REPORT_FILE, Lockfile

ROOT = "training_sets"
ATTEMPTS = "attempts"
_WRITER = {"coerce_timestamps": "us", "compression": "zstd", "use_dictionary": True}


@dataclass(frozen=True)
class TrainingSet:
    """A training set that is there: its folder and its lockfile."""

    uri: str
    """Of the folder."""
    lockfile: Lockfile
    is_new: bool = False
    """Whether the call that answered this wrote it."""

    @property
    def data_uri(self) -> str:
        return f"{self.uri}/{DATA_FILE}"

    @property
    def lockfile_uri(self) -> str:
        return f"{self.uri}/{LOCKFILE}"

    @property
    def report_uri(self) -> str:
        return f"{self.uri}/{REPORT_FILE}"

    def entities(self) -> pa.Table:
        """The staged entity rows."""
        return read_parquet(storage_at(self.uri), ENTITIES_FILE)

    def data(self) -> pa.Table:
        """The entity rows with the features beside them."""
        return read_parquet(storage_at(self.uri), DATA_FILE)


def open_training_set(storage: Storage, reference: str) -> TrainingSet:
    """The training set that ``reference`` names: an id, a folder or a lockfile, the latter two by path or URI.

    Raises :class:`TrainingSetError` if there is none.
    """
    for name in storage.names(ROOT):
        if storage.exists(f"{ROOT}/{name}/{reference}/{LOCKFILE}"):
            return _read(storage.uri(f"{ROOT}/{name}/{reference}"))
    folder = reference.removesuffix(LOCKFILE).rstrip("/") or "."
    return _read(folder if "://" in folder else Path(folder).resolve().as_uri())


def training_sets(storage: Storage, name: str | None = None) -> Iterator[TrainingSet]:
    """Every training set (of that name), whole ones only."""
    for folder in [name] if name else storage.names(ROOT):
        for each in storage.names(f"{ROOT}/{folder}"):
            if storage.exists(f"{ROOT}/{folder}/{each}/{LOCKFILE}"):
                yield _read(storage.uri(f"{ROOT}/{folder}/{each}"))


def write_parquet(storage: Storage, path: str, table: pa.Table) -> None:
    """Writes ``table`` whole or not at all, with microsecond timestamps: Spark refuses finer ones."""
    with storage.writing(path) as file:
        pq.write_table(table, file, **_WRITER)


def read_parquet(storage: Storage, path: str) -> pa.Table:
    """The whole file. Raises :class:`TrainingSetError` if it is not there or no Parquet."""
    try:
        with storage.open(path) as file:
            return pq.read_table(file)
    except (FileNotFoundError, pa.ArrowInvalid) as error:
        raise TrainingSetError(f"cannot be read: {error}", where=storage.uri(path)) from error


def _read(folder: str) -> TrainingSet:
    where = f"{folder}/{LOCKFILE}"
    try:
        data = storage_at(folder).read(LOCKFILE)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise TrainingSetError(
            "there is no training set: no lockfile",
            where=where,
            remedy="name its id, its folder or its lockfile.json; provender training-set list shows what is there",
        ) from error
    return TrainingSet(folder, Lockfile.from_bytes(data, where))

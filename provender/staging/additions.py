"""Rows that were added to a partition beside what was delivered: files of their own, which later deliveries leave.

A delivered file replaces the partition's other files; an added one stands beside them, until a DataFrame replaces the
whole partition.
"""

from __future__ import annotations

from functools import partial

from provender.ledger.records import StagedFile, StagedPartition
from provender.staging.raw_file import RawFile
from provender.storage import Storage

_PREFIX = "added-"


def added_name(sha256: str) -> str:
    """The name of a Parquet file of added rows: the same rows are the same file."""
    return f"{_PREFIX}{sha256[:16]}.parquet"


def is_added(name: str) -> bool:
    return name.startswith(_PREFIX)


def staged_files(storage: Storage, entry: StagedPartition | None) -> dict[str, RawFile]:
    """The files of a staged partition by name; none of a partition that never was."""
    return {file.name: _staged(storage, entry.folder, file) for file in entry.files} if entry else {}


def _staged(storage: Storage, folder: str, file: StagedFile) -> RawFile:
    path = f"{folder}/{file.name}"
    return RawFile(file.name, path, file.bytes, partial(storage.open, path))


def additions(storage: Storage, entry: StagedPartition | None) -> dict[str, RawFile]:
    """Those of them that hold added rows."""
    return {name: file for name, file in staged_files(storage, entry).items() if is_added(name)}

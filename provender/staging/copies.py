"""Staged copies that are gone, cut or changed since they were staged: found before they are ingested.

The raw file is staged again where it is still there and still the same; else one error says what to do.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping

from provender.errors import ProvenderError, StagedCopyError
from provender.intervals import Partition
from provender.ledger.records import StagedFile, StagedPartition
from provender.records.unpack import chunks
from provender.settings import Settings
from provender.specs.source import Source
from provender.staging.additions import is_added
from provender.staging.connections import bigquery_connection
from provender.staging.found import found_files
from provender.staging.raw_file import RawFile
from provender.staging.settle import changed
from provender.storage import Storage


def restore_copies(
    settings: Settings, storage: Storage, source: Source, staged: Mapping[str, StagedPartition]
) -> list[str]:
    """Check every staged file of the partitions ``staged`` (key to the stage manifest's entry), and replace those that
    are not as they were staged by the same raw bytes.

    Existence and size are checked everywhere, the checksum in a folder: an object on ``gs://`` cannot change in place,
    and Google checks its bytes. Returns notes for people. Raises :class:`StagedCopyError` where the bytes are nowhere
    available any more; then no copy of that partition was touched.
    """
    notes = []
    for key, entry in sorted(staged.items()):
        faults = {file.name: fault for file in entry.files if (fault := _fault(storage, entry, file))}
        if faults:
            _restore(settings, storage, source, Partition.parse(source.cadence, key), entry, faults)
            notes += [
                f"{key}: the staged copy of {name} {fault}: it was staged again from the same raw bytes"
                for name, fault in faults.items()
            ]
    return notes


def copy_again(storage: Storage, file: RawFile, target: str, sha256: str) -> None:
    """Copy ``file`` to ``target``, whatever is there, if it has the checksum. Raises :class:`SourceNotReadyError` if it
    has not; then ``target`` is as it was."""
    sha = hashlib.sha256()
    with file.open() as raw, storage.writing(target) as staged:
        for chunk in chunks(raw):
            sha.update(chunk)
            staged.write(chunk)
        if sha.hexdigest() != sha256:
            raise changed(file)


def _fault(storage: Storage, entry: StagedPartition, file: StagedFile) -> str:
    """What is wrong with a staged file; empty if nothing is."""
    try:
        with storage.open(f"{entry.folder}/{file.name}") as opened:
            size = opened.seek(0, os.SEEK_END)
            if size != file.bytes:
                return f"has {size} bytes instead of {file.bytes}"
            if storage.root.startswith("gs://"):
                return ""
            opened.seek(0)
            sha = hashlib.sha256()
            for chunk in chunks(opened):
                sha.update(chunk)
    except FileNotFoundError:
        return "is gone"
    return "" if sha.hexdigest() == file.sha256 else "has other bytes than were staged"


def _restore(
    settings: Settings,
    storage: Storage,
    source: Source,
    partition: Partition,
    entry: StagedPartition,
    faults: dict[str, str],
) -> None:
    checksums = {file.name: file.sha256 for file in entry.files}
    if any(map(is_added, faults)) or _is_on_bigquery(settings, source):
        raise _lost(storage, source, partition, entry, faults)
    try:
        with found_files(settings, source, partition, [], {}) as files:
            if not faults.keys() <= files.keys():
                raise _lost(storage, source, partition, entry, faults)
            for name in faults:
                copy_again(storage, files[name], f"{entry.folder}/{name}", checksums[name])
    except StagedCopyError:
        raise
    except ProvenderError as error:
        raise _lost(storage, source, partition, entry, faults) from error


def _is_on_bigquery(settings: Settings, source: Source) -> bool:
    """Two exports of the same rows are different bytes."""
    sql = source.raw.sql
    return sql is not None and bigquery_connection(settings, sql.connection) is not None


def _lost(
    storage: Storage, source: Source, partition: Partition, entry: StagedPartition, faults: dict[str, str]
) -> StagedCopyError:
    name, fault = next(iter(faults.items()))
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return lost_copy(storage, source, partition, f"{entry.folder}/{name}", f"{fault}{more}")


def lost_copy(
    storage: Storage, source: Source, partition: Partition, path: str, fault: str
) -> StagedCopyError:
    """The error of a staged copy at ``path`` whose bytes are nowhere else; ``fault`` says what is wrong with it."""
    name = path.rpartition("/")[2]
    if is_added(name):
        remedy = f"ingest a DataFrame with all rows of {partition.key}, without add=True: it replaces the partition"
    else:
        remedy = (
            f"deliver the raw data of {partition.key} (a DataFrame: ingest it again), then run: provender ingest "
            f"{source.name} {partition.key}; the same bytes restore the copy, others are a new delivery"
        )
    return StagedCopyError(
        f"{source.name} {partition.key}: the staged copy of {name} {fault}, and the raw bytes it was copied from are "
        "not there any more",
        where=storage.uri(path),
        not_affected="every table, and what was ingested before",
        remedy=remedy,
        source=source.name,
        partitions=(partition.key,),
    )

"""Stage: raw files copied byte for byte into an immutable place named by their content.

    raw/…/2013-12-01.csv  →  staging/<source>/<partition>/<content hash>/2013-12-01.csv

The manifest comes last. Staging the same bytes again writes no file and commits a receipt. A partition
whose bytes changed is a new **delivery**: what it changes was not known before it was staged.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from provender import metrics
from provender.errors import SourceNotReadyError
from provender.intervals import Partition, iso
from provender.ledger import Draft, Job, Kind, Ledger, Manifest, digest
from provender.ledger.progress import staged_partitions
from provender.settings import Settings
from provender.specs.deliverable import require_deliverable
from provender.specs.model import Source
from provender.staging.additions import additions, is_added
from provender.staging.connections import BigQueryConnection, bigquery_connection
from provender.staging.delivery import require_delivery, require_location
from provender.staging.locate import raw_files, require_raw_files
from provender.staging.profile import profile
from provender.staging.raw_file import RawFile, local_file
from provender.staging.select import selected_rows
from provender.staging.sql import sql_rows
from provender.staging.unpack import CHUNK_BYTES
from provender.storage import Storage, storage_at

LOCK_TIMEOUT_SECONDS = 1800.0


Deliver = Callable[[Partition], AbstractContextManager[dict[str, RawFile]]]
"""Gives a partition's raw files for the time of copying them: name to be staged under, and file."""


def stage(
    settings: Settings,
    source: Source,
    partitions: Iterable[Partition],
    attempt: str,
    deliver: Deliver | None = None,
) -> Manifest:
    """Stages ``partitions`` and commits one manifest (a receipt if every partition was staged already).

    The manifest's ``partitions`` say for each key: ``content`` (hash), ``files`` (name, bytes, sha256 and
    profile), ``delivery`` (1 for the first), ``delivered`` (ISO time from which its rows count as known).
    ``deliver`` gives all the files; by default they are where the spec says, and rows that were added stay beside.
    A partition whose files have gone since it was staged stays as it is staged. Raises
    :class:`SourceNotReadyError` if a partition's files were never there, :class:`PartitionError` for a partition that
    has not ended or lies outside of the source's ``[start, end)``; then nothing is committed.
    """
    started = datetime.now(UTC)
    partitions = list(partitions)
    for partition in partitions:
        require_deliverable(source, partition, started)
    storage = storage_at(settings.storage_root)
    warehouse = bigquery_connection(settings, source.raw.sql.connection) if source.raw.sql else None
    with storage.lock(f"{source.name}.stage", attempt, timeout_seconds=LOCK_TIMEOUT_SECONDS):
        ledger = Ledger(storage, source.name)
        before = staged_partitions(ledger)
        staged: dict[str, dict[str, Any]] = {}
        notes: list[str] = []
        for partition in partitions:
            held = before.get(partition.key)
            if held is not None and deliver is None and _has_gone(settings, source, partition):
                notes.append(
                    f"the raw files of {partition.key} are not there any more: its staged copy stays"
                )
                staged[partition.key] = held
                continue
            if deliver is None and warehouse is not None:
                work = _FromBigQuery(storage, warehouse, source, attempt, notes)
                staged[partition.key] = work.stage(partition, held)
                continue
            with (deliver or (lambda p: _raw_files(settings, source, p, notes)))(partition) as files:
                beside = {} if deliver else additions(storage, held)
                staged[partition.key] = _stage_one(storage, source, partition, {**files, **beside}, held)
        changed = [key for key, entry in staged.items() if entry != before.get(key)]
        draft = Draft(
            job=Job.STAGE,
            attempt=attempt,
            kind=Kind.MANIFEST if changed else Kind.RECEIPT,
            partitions=staged,
            started=started,
            notes=list(dict.fromkeys(notes)),
            counts={
                "files": sum(len(staged[key]["files"]) for key in changed),
                "bytes": sum(file["bytes"] for key in changed for file in staged[key]["files"]),
            },
        )
        manifest = ledger.commit(draft)
    metrics.job_done(settings, manifest)
    return manifest


def _has_gone(settings: Settings, source: Source, partition: Partition) -> bool:
    return source.raw.is_partitioned and not raw_files(settings, source, partition)


def _stage_one(
    storage: Storage,
    source: Source,
    partition: Partition,
    files: dict[str, RawFile],
    before: dict[str, Any] | None,
) -> dict[str, Any]:
    profiles = [_profiled(file, name, source) for name, file in files.items()]
    for entry in profiles:
        require_delivery(source, files[entry["name"]], entry)
    content = digest([[p["name"], p["bytes"], p["sha256"]] for p in profiles])[:32]
    if before is not None and before["content"] == content:
        # The same bytes; but the spec may say now that they are to be read in another way.
        return before if before["files"] == profiles else {**before, "files": profiles}
    folder = f"staging/{source.name}/{partition.key}/{content}"
    for entry in profiles:
        _copy(storage, files[entry["name"]], f"{folder}/{entry['name']}", entry["sha256"])
    delivery = 1 if before is None else before["delivery"] + 1
    delivered = partition.end + source.delay if delivery == 1 else datetime.now(UTC)
    return {
        "content": content,
        "folder": folder,
        "files": profiles,
        "delivery": delivery,
        "delivered": iso(delivered),
    }


@dataclass(frozen=True)
class _FromBigQuery:
    """The entry of a partition has ``rows`` besides: the fingerprint of what BigQuery had, in any order."""

    storage: Storage
    connection: BigQueryConnection
    source: Source
    attempt: str
    notes: list[str]

    def stage(self, partition: Partition, held: dict[str, Any] | None) -> dict[str, Any]:
        from provender.staging.bigquery import exported  # Google's client takes a second to import

        with exported(self.connection, self.source, partition, self.attempt) as found:
            if found.without_time:
                self.notes.append(_without_time(self.source, found.without_time))
            if held is not None and held.get("rows") == found.fingerprint:
                return held
            files = {**found.files, **additions(self.storage, held)}
            staged = _stage_one(self.storage, self.source, partition, files, held)
            return {**staged, "rows": found.fingerprint}


def _without_time(source: Source, rows: int) -> str:
    return (
        f"{rows} raw rows have no {source.raw.time_column!r}: they belong to no partition and were not staged"
    )


@contextmanager
def _raw_files(
    settings: Settings, source: Source, partition: Partition, notes: list[str]
) -> Iterator[dict[str, RawFile]]:
    """Names to give the staged files, and the files to copy; adds to ``notes``."""
    if source.raw.is_partitioned:
        yield _distinct_names(require_raw_files(settings, source, partition))
        return
    if source.raw.sql is not None:
        with sql_rows(settings, source, partition) as found:
            if found.without_time:
                notes.append(_without_time(source, found.without_time))
            yield {found.path.name: local_file(found.path)}
        return
    for file in raw_files(settings, source, partition):
        require_location(source, file)
    with selected_rows(settings, source, partition) as selection:
        if selection.unplaced:
            notes.append(
                f"{selection.unplaced} of {selection.rows} raw rows name no moment in {source.raw.time_column!r}, "
                "or have too few or too many fields: they belong to no partition and were not staged"
            )
        yield {selection.path.name: local_file(selection.path)}


def _distinct_names(files: list[RawFile]) -> dict[str, RawFile]:
    """Names that no reader takes for a pattern, a hidden file or another folder."""
    names = [re.sub(r"[^A-Za-z0-9._=+-]", "-", file.name).lstrip("._") or "file" for file in files]
    names = [f"file-{name}" if is_added(name) else name for name in names]
    if len(set(names)) == len(names):
        return dict(zip(names, files, strict=True))
    return {f"{at:05d}-{name}": path for at, (name, path) in enumerate(zip(names, files, strict=True))}


def _profiled(file: RawFile, name: str, source: Source) -> dict[str, Any]:
    with file.open() as opened:
        return {"name": name, **profile(opened, name, source.raw)}


def _copy(storage: Storage, file: RawFile, target: str, sha256: str) -> None:
    if storage.exists(target):
        return
    try:
        if not storage.copy(file.where, target):
            _stream(storage, file, target, sha256)
    except FileNotFoundError as error:
        raise _changed(file) from error


def _stream(storage: Storage, file: RawFile, target: str, sha256: str) -> None:
    sha = hashlib.sha256()
    with file.open() as raw, storage.writing(target) as staged:
        while chunk := raw.read(CHUNK_BYTES):
            sha.update(chunk)
            staged.write(chunk)
        if sha.hexdigest() != sha256:
            raise _changed(file)


def _changed(file: RawFile) -> SourceNotReadyError:
    return SourceNotReadyError(
        "the raw file changed while it was being staged",
        where=file.where,
        unharmed="everything staged before",
        remedy="wait until its delivery has ended, then run the same command again",
    )

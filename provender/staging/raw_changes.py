"""Which raw files are no longer as they were staged: replaced, added to, or gone.

Told by size and time (or an object's generation); a file is read only where its time differs and its size does not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from provender.errors import PartitionError, SourceNotReadyError
from provender.intervals import Partition
from provender.ledger.records import RawStamp, StagedFile, StagedPartition
from provender.records.unpack import chunks
from provender.settings import Settings
from provender.specs.deliverable import require_within
from provender.specs.source import Source
from provender.staging.additions import is_added
from provender.staging.found import distinct_names
from provender.staging.locate import raw_files, raw_location
from provender.staging.raw_file import RawFile
from provender.staging.settle import stamp

_MOST_LISTED = 100
"""Of partitions whose files are found by listing (a glob, a bucket) only the newest are looked at."""
_MOST_HASHED_BYTES = 64 << 20
_AT_ONCE = 16
_FRAME = {"frame.parquet"}


@dataclass(frozen=True)
class RawChanges:
    """What became of the raw files of a source's staged partitions."""

    changed: dict[str, list[str]]
    """Per partition key the files that are new, or not as they were staged."""
    gone: list[Partition]
    """Partitions that have no raw file any more: their staged copies stay."""


def raw_changes(settings: Settings, source: Source, staged: Mapping[str, StagedPartition]) -> RawChanges:
    """Compare the raw files of ``staged`` (partition key to the stage manifest's entry) with what was staged.

    Nothing is told of locations that are cut by a time column, which change every day, of databases, and of partitions
    that came as a DataFrame. Manifests from before times were recorded are compared by size.
    """
    if not source.raw.is_partitioned:
        return RawChanges({}, [])
    partitions = list(_compared(source, staged))
    if partitions and _is_listed(raw_location(settings, source, partitions[-1][0])):
        partitions = partitions[-_MOST_LISTED:]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = list(pool.map(lambda each: _differing(settings, source, *each), partitions))
    named = [(partition, names) for (partition, _), names in zip(partitions, found, strict=True)]
    changed = {partition.key: names for partition, names in named if names}
    return RawChanges(changed, [partition for partition, names in named if names is None])


def _compared(
    source: Source, staged: Mapping[str, StagedPartition]
) -> Iterator[tuple[Partition, StagedPartition]]:
    """The partitions that came as files, in order; those outside of the source's start and end are nobody's now."""
    for key, entry in sorted(staged.items()):
        if not entry.files or _came_as_frame(entry):
            continue
        with suppress(PartitionError):
            partition = Partition.parse(source.cadence, key)
            require_within(source, partition)
            yield partition, entry


def _is_listed(location: str) -> bool:
    return location.startswith("gs://") or any(sign in location for sign in "*?[")


def _came_as_frame(entry: StagedPartition) -> bool:
    delivered = {file.name for file in entry.files if not is_added(file.name)}
    return entry.raw is None and delivered <= _FRAME


def _differing(
    settings: Settings, source: Source, partition: Partition, entry: StagedPartition
) -> list[str] | None:
    """Names of the files that differ; None if there is no file at all."""
    there = distinct_names(source, raw_files(settings, source, partition))
    if not there:
        return None
    staged = {file.name: file for file in entry.files if not is_added(file.name)}
    before = entry.raw or {name: RawStamp(bytes=file.bytes) for name, file in staged.items()}
    return [
        name
        for name in sorted(there.keys() | before.keys())
        if name not in there or name not in before or _differs(there[name], before[name], staged.get(name))
    ]


def _differs(file: RawFile, before: RawStamp, staged: StagedFile | None) -> bool:
    try:
        now = stamp(file)
        if all(getattr(now, name) == getattr(before, name) for name in before.model_fields_set):
            return False
        if now.bytes != before.bytes or staged is None or file.bytes > _MOST_HASHED_BYTES:
            return True
        sha = hashlib.sha256()
        with file.open() as opened:
            for chunk in chunks(opened):
                sha.update(chunk)
    except (SourceNotReadyError, OSError):
        return True  # replaced while it was looked at, or not to be read: staging says which
    return sha.hexdigest() != staged.sha256

"""Where a partition's raw files are."""

from __future__ import annotations

import time

from provender.errors import SourceNotReadyError
from provender.intervals import Partition
from provender.ledger import Ledger
from provender.settings import Settings
from provender.specs.raw_uri import expand
from provender.specs.source import Source
from provender.staging.raw_file import RawFile, find
from provender.staging.settle import is_settled, quiet_seconds
from provender.storage import local_path, storage_at


def raw_location(settings: Settings, source: Source, partition: Partition) -> str:
    """The path, ``gs://`` URI or glob of the partition's raw files, absolute; for a database its connection."""
    if source.raw.sql is not None:
        return f"connection {source.raw.sql.connection}"
    uri = expand(source.raw.uri, partition)
    if uri.startswith("gs://"):
        return uri
    path = local_path(uri)
    return str(path if path.is_absolute() else (settings.repo / path).resolve())


def raw_files(settings: Settings, source: Source, partition: Partition) -> list[RawFile]:
    """The partition's raw files, sorted; empty if none has arrived."""
    return find(raw_location(settings, source, partition))


def arrived(settings: Settings, source: Source, partition: Partition) -> bool:
    """Whether the partition's raw files are there and stand still, or were there once and are staged.

    For a location cut by a time column: whether that is there and stands still. A database is always there: whether it
    answers shows when it is asked.
    """
    if source.raw.sql is not None:
        return True
    if files := raw_files(settings, source, partition):
        return is_settled(files, quiet_seconds(settings, source), time.time())
    ledger = Ledger(storage_at(settings.storage_root), source.name)
    return source.raw.is_partitioned and partition.key in ledger.state().staged


def require_raw_files(settings: Settings, source: Source, partition: Partition) -> list[RawFile]:
    """Like :func:`raw_files`, but none there raises :class:`SourceNotReadyError`."""
    files = raw_files(settings, source, partition)
    if not files:
        raise SourceNotReadyError(
            f"no raw file for {source.name} {partition.key}",
            where=raw_location(settings, source, partition),
            not_affected="what was staged before",
            remedy="deliver the file (an empty one counts as zero rows), then run the same command again",
            source=source.name,
            partitions=(partition.key,),
        )
    return files

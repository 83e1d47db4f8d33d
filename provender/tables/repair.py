"""Tables that an accident has left half made are found and recreated before anything is written.

    no committed version, some files        an attempt died, or the disk was full, while the table was made: removed
    the newest commit file is empty or cut  nobody committed a manifest on it: removed, the version before it counts
    the same, and a manifest names it       committed data is damaged: an error names the file and the way out
    a checkpoint is empty or cut            removed where the commits it sums up are there, else such an error

Only under the table's lock, and after the queries of whoever held it before were ended.
"""

from __future__ import annotations

import logging

from provender.errors import DamagedFileError
from provender.ledger import Ledger
from provender.specs.source import Source
from provender.storage import Storage
from provender.tables.delta_log import DeltaLogFiles
from provender.tables.tables import DeltaTable, tables_of

logger = logging.getLogger(__name__)


def repair_tables(storage: Storage, source: Source, ledger: Ledger) -> None:
    """Leave every table of ``source`` either whole or not there.

    Raises :class:`DamagedFileError` where what a manifest recorded is damaged.
    """
    written = ledger.state().totals.tables
    for table in tables_of(storage, source):
        entry = written.get(table.path)
        _repair(table, None if entry is None else entry.last.version)


def _repair(table: DeltaTable, recorded: int | None) -> None:
    """``recorded``: the newest version that a manifest names."""
    log = DeltaLogFiles(table.storage, table.path)
    if not _has_data(table):
        # Where a person has removed the table, a manifest still names it: there is nothing that could be lost.
        recorded = None
    _repair_checkpoints(table, log)
    while (newest := _newest_commit_file(log)) is not None and log.is_torn(newest):
        if recorded is not None and recorded >= newest:
            raise _damaged(table, log.file(newest), "the commit that a manifest names cannot be read")
        logger.info(
            f"{table.path}: version {newest} was written in part by an attempt that died, and is removed"
        )
        log.remove(newest)
    if log.newest() is None and table.storage.exists(table.path):
        if recorded is not None:
            raise _damaged(table, log.folder, "the table's log is gone, though a manifest says what it holds")
        logger.info(f"{table.path} was left half made by an attempt that died, and is recreated")
        table.storage.delete_tree(table.path)


def _repair_checkpoints(table: DeltaTable, log: DeltaLogFiles) -> None:
    """A checkpoint only says again what the commits before it say, as long as those are there."""
    found, commits = log.checkpoints(), set(log.versions())
    hinted = log.hinted_checkpoint()
    if hinted is not None and hinted not in found:
        logger.info(
            f"{table.path}: the checkpoint of version {hinted} is not there, and the hint at it is removed"
        )
        log.remove_checkpoint(hinted)
    for version in reversed(found):
        cut = [name for name in found[version] if log.is_cut(name)]
        if not cut:
            return
        before = max((each for each in found if each < version), default=-1)
        if not commits.issuperset(range(before + 1, version + 1)):
            raise _damaged(
                table, f"{log.folder}/{cut[0]}", "a checkpoint cannot be read, and its commits are gone"
            )
        logger.info(f"{table.path}: the checkpoint of version {version} was written in part, and is removed")
        log.remove_checkpoint(version)


def _has_data(table: DeltaTable) -> bool:
    return any(not name.startswith(("_", ".")) for name in table.storage.names(table.path))


def _newest_commit_file(log: DeltaLogFiles) -> int | None:
    """None where a checkpoint is newer than every commit file: then that is what readers start from."""
    versions = log.versions()
    return versions[-1] if versions and versions[-1] == log.newest() else None


def _damaged(table: DeltaTable, path: str, what: str) -> DamagedFileError:
    return DamagedFileError(
        f"{table.path}: {what}",
        where=table.storage.uri(path),
        not_affected="the other tables, the staged files and the manifests; nothing was written",
        remedy="put the file back from a backup; if there is none, move the folder of the table away together with "
        "the source's folder ledger/…/ingest, and ingest every staged partition again",
    )

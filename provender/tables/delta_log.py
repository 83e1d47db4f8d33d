"""A Delta table's log as files: what is committed, by whom, and what an accident has left half made.

A table exists when its log has a committed version: ``_delta_log/<20 digits>.json``, or a checkpoint of one. A disk
that was full or a process that was killed while it made the table leaves the folder, ``_staged_commits`` or unfinished
files only: Delta then creates nothing over them and says nothing, and finds no table either.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from typing import Any

from provender.storage import Storage

_COMMIT = re.compile(r"(\d{20})\.json")
LAST_CHECKPOINT = "_last_checkpoint"
_PARQUET_END = b"PAR1"
_CHECKPOINT = re.compile(r"(\d{20})\.checkpoint\..*parquet")


@dataclass(frozen=True)
class Commit:
    """One version of a table, as its log tells of it."""

    version: int
    files: int
    """Files it added."""
    bytes: int
    """Of these files."""
    rows: int | None
    """In these files, rows that were only copied left out. None: the log does not say."""
    rows_are_exact: bool
    """No rows were copied: then the number comes from the files themselves."""
    transactions: dict[str, int]
    """Application id to version, of Delta's transaction identifiers."""

    @property
    def summary(self) -> dict[str, int]:
        """What a manifest says of it."""
        return {"version": self.version, "files": self.files, "bytes": self.bytes}


class TornCommitError(ValueError):
    """A commit file that is empty or cut."""


@dataclass(frozen=True)
class DeltaLogFiles:
    """The log of the table at ``path`` under the storage root."""

    storage: Storage
    path: str

    @property
    def folder(self) -> str:
        return f"{self.path}/_delta_log"

    def versions(self) -> list[int]:
        """Versions with a commit file, oldest first."""
        return self._matching(_COMMIT)

    def newest(self) -> int | None:
        """The newest committed version, or None: then there is no table."""
        names = self.storage.names(self.folder)
        found = [int(match[1]) for name in names for match in _matches(name)]
        return max(found, default=None)

    def commit(self, version: int) -> Commit:
        """Raises :class:`TornCommitError`, :class:`FileNotFoundError`."""
        return _commit(version, self._actions(version))

    def find(self, app_id: str, transaction: int, after: int | None) -> Commit | None:
        """The commit that carries a transaction identifier, newest first, among the versions later than ``after``."""
        for version in reversed(self.versions()):
            if after is not None and version <= after:
                return None
            commit = self.commit(version)
            if commit.transactions.get(app_id) == transaction:
                return commit
        return None

    def is_torn(self, version: int) -> bool:
        """Whether a commit file is empty or cut; the first one has to say what the table is."""
        try:
            actions = self._actions(version)
        except TornCommitError:
            return True
        return version == 0 and not any("metaData" in action for action in actions)

    def checkpoints(self) -> dict[int, list[str]]:
        """Names of the files of each checkpoint, by version, oldest first."""
        found: dict[int, list[str]] = {}
        for name in self.storage.names(self.folder):
            if match := _CHECKPOINT.fullmatch(name):
                found.setdefault(int(match[1]), []).append(name)
        return dict(sorted(found.items()))

    def hinted_checkpoint(self) -> int | None:
        """The version that the hint names as the newest checkpoint; None without a hint that can be read, which
        readers do without."""
        try:
            return int(json.loads(self.storage.read(f"{self.folder}/{LAST_CHECKPOINT}"))["version"])
        except (FileNotFoundError, ValueError, LookupError, TypeError):
            return None

    def is_cut(self, name: str) -> bool:
        """Whether a file of a checkpoint ends otherwise than Parquet does."""
        with self.storage.open(f"{self.folder}/{name}") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - len(_PARQUET_END), 0))
            return file.read() != _PARQUET_END

    def remove_checkpoint(self, version: int) -> None:
        """Removes a checkpoint, and the hint at the newest one: readers find what is there without it."""
        names = {LAST_CHECKPOINT, *self.checkpoints().get(version, [])}
        for name in self.storage.names(self.folder):
            if name in names or name.removeprefix(".").removesuffix(".crc") in names:
                self.storage.delete_tree(f"{self.folder}/{name}")

    def remove(self, version: int) -> None:
        """Removes a commit file and what lies beside it under its number."""
        stem = f"{version:020d}"
        for name in self.storage.names(self.folder):
            if name.lstrip(".").startswith(f"{stem}."):
                self.storage.delete_tree(f"{self.folder}/{name}")

    def file(self, version: int) -> str:
        """The path of a commit file, under the storage root."""
        return f"{self.folder}/{version:020d}.json"

    def _matching(self, pattern: re.Pattern[str]) -> list[int]:
        names = self.storage.names(self.folder)
        return sorted(int(match[1]) for name in names if (match := pattern.fullmatch(name)))

    def _actions(self, version: int) -> list[dict[str, Any]]:
        data = self.storage.read(self.file(version))
        try:
            actions = [json.loads(line) for line in data.splitlines() if line.strip()]
        except ValueError as error:
            raise TornCommitError(str(error)) from error
        if not actions or not all(isinstance(action, dict) for action in actions):
            raise TornCommitError("it has no actions")
        return actions


def _matches(name: str) -> list[re.Match[str]]:
    return [match for pattern in (_COMMIT, _CHECKPOINT) if (match := pattern.fullmatch(name))]


def _commit(version: int, actions: list[dict[str, Any]]) -> Commit:
    added = [action["add"] for action in actions if "add" in action]
    metrics: dict[str, Any] = {}
    for action in actions:
        metrics |= action.get("commitInfo", {}).get("operationMetrics") or {}
    copied = int(metrics.get("numCopiedRows", 0))
    counted = [_records(each) for each in added]
    known = [number for number in counted if number is not None]
    return Commit(
        version,
        files=len(added),
        bytes=sum(each["size"] for each in added),
        rows=sum(known) - copied if len(known) == len(counted) else None,
        rows_are_exact=copied == 0,
        transactions={a["txn"]["appId"]: int(a["txn"]["version"]) for a in actions if "txn" in a},
    )


def _records(added: dict[str, Any]) -> int | None:
    statistics = json.loads(added.get("stats") or "{}")
    records = statistics.get("numRecords")
    return None if records is None else int(records)

"""What every storage has to give.

* ``create`` is create-if-absent in one step: of many writers exactly one succeeds;
* a file written through ``writing`` appears whole when the block ends, or not at all;
* ``lock`` admits one holder at a time, ends with its process, and tells whether the last holder died.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, BinaryIO, Protocol

from provender.errors import DamagedFileError, LockHeldError, StorageError


@dataclass(frozen=True)
class HeldLock:
    """What the holder of a lock learns when it gets it, and may leave behind if it dies."""

    abandoned_by: str | None
    """The owner that died, or gave up, with work announced; None if there is nothing to finish."""
    abandoned_work: list[str]
    """What that owner, and others before it, had announced to work on."""
    announce: Callable[[list[str]], None]
    """Says what this owner works on, for whoever gets the lock if it dies or gives up. Abandoned work stays
    announced with it, until an owner leaves the block without an error and calls ``finish``."""
    finish: Callable[[], None]
    """Says that all announced work, abandoned work included, is done."""


@dataclass(frozen=True)
class HolderNote:
    """What is written down beside a lock."""

    owner: str = ""
    work: list[str] = field(default_factory=list)
    left_by: str | None = None


class Storage(Protocol):
    """Files under one root. Paths are relative, with ``/``; ``..`` and absolute paths are refused."""

    root: str
    lists_in_order: bool
    """Whether ``names(folder, after=…)`` costs what it returns, and not what the folder holds."""

    def uri(self, path: str) -> str:
        """The URI of ``path``, for engines that open it themselves."""

    def read(self, path: str) -> bytes:
        """The whole file. Raises :class:`FileNotFoundError`."""

    def read_all(self, paths: Sequence[str]) -> list[bytes]:
        """The whole files, in the order of ``paths``: many at once, where each takes its time on the network."""

    def open(self, path: str) -> BinaryIO:
        """The file for streaming. Raises :class:`FileNotFoundError`."""

    def create(self, path: str, data: bytes) -> None:
        """Writes ``path`` if there is none. Raises :class:`AlreadyExistsError`."""

    def writing(self, path: str) -> AbstractContextManager[BinaryIO]:
        """A stream whose bytes become ``path`` when the block ends without an error."""

    def copy(self, uri: str, path: str) -> bool:
        """Copies what lies at ``uri`` to ``path`` within the storage's own system, whole or not at all, without
        moving the bytes through this process. False: it cannot, so they have to be read and written.

        ``uri`` names one immutable version of a file (``gs://bucket/name#generation``). Raises
        :class:`FileNotFoundError` if it is not there any more."""

    def names(self, folder: str, after: str = "") -> list[str]:
        """Sorted names directly in ``folder`` that sort after ``after``; empty if there is no such folder."""

    def exists(self, path: str) -> bool:
        """Whether a file or folder of that name is there."""

    def delete_tree(self, path: str) -> None:
        """Removes a file or folder; nothing there is not an error."""

    def lock(
        self, name: str, owner: str, *, timeout_seconds: float, waiting: Callable[[str], None] | None = None
    ) -> AbstractContextManager[HeldLock]:
        """Holds ``name`` during the block.

        What was announced and not finished when the block or its process ends is the next holder's
        ``abandoned_work``. ``waiting`` is called once, with the holder's name, if it has to wait. Raises
        :class:`LockHeldError` after ``timeout_seconds``.
        """


def checked(path: str) -> str:
    """``path``, if it stays under the root. Raises :class:`StorageError`."""
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\0" in path:
        raise StorageError(f"{path!r} is not a path under the storage root")
    return path


def note_document(data: bytes, name: str, where: str) -> dict[str, Any]:
    """The JSON object of a lock's note, its fields checked. Raises :class:`DamagedFileError` for anything else.

    A note is never written in part, so it was damaged from outside, and what it announced is not known.
    """
    try:
        document = json.loads(data)
        work = document["work"]
        strings = [
            document["owner"],
            *work,
            *([document["left_by"]] if document["left_by"] is not None else []),
        ]
        if isinstance(work, list) and all(isinstance(each, str) for each in strings):
            return dict(document)
        reason = "its fields have other types"
    except (ValueError, LookupError, TypeError) as error:
        reason = f"{type(error).__name__}: {error}"
    source = name.partition(".")[0]
    raise DamagedFileError(
        f"the note of the lock {name} cannot be read ({reason}), so nobody knows what its last holder left unfinished",
        where=where,
        not_affected="everything committed before; nothing was started",
        remedy=f"remove that file; then run the same command again, and what `provender status {source}` lists as "
        "missing or stale",
    )


def parse_note(data: bytes, name: str, where: str) -> HolderNote:
    """The note of the lock ``name``. Raises :class:`DamagedFileError`."""
    document = note_document(data, name, where)
    return HolderNote(document["owner"], document["work"], document["left_by"])


def lock_is_held(name: str, holder: str, where: str) -> LockHeldError:
    """The error of a storage that gave up waiting for a lock."""
    return LockHeldError(
        f"{name} is held by {holder}",
        where=where,
        not_affected="nothing was started",
        remedy="wait for it to end, or stop it, then run the same command again",
        lock=name,
        holder=holder,
    )

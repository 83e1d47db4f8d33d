"""Files under one root, addressed by relative paths: the only module that touches them.

:class:`Storage` is what the rest of the platform may rely on; :class:`FileStorage` is the folder
(``file://``). Its guarantees, which every backend has to give:

* ``create`` is create-if-absent in one step: of many writers exactly one succeeds;
* a file written through ``writing`` appears whole when the block ends, or not at all;
* ``lock`` admits one holder at a time, ends with its process, and tells whether the last holder died.

Delta tables lie under the same root, but Spark and Delta readers open them by URI.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Protocol
from urllib.parse import quote, unquote, urlparse

from provender.errors import LockHeldError, SettingsError, StorageError

_LOCK_POLL_SECONDS = 0.1


class AlreadyExistsError(StorageError):
    """``create`` found a file of that name."""


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


class Storage(Protocol):
    """Files under one root. Paths are relative, with ``/``; ``..`` and absolute paths are refused."""

    root: str

    def uri(self, path: str) -> str:
        """The URI of ``path``, for engines that open it themselves."""

    def read(self, path: str) -> bytes:
        """The whole file. Raises :class:`FileNotFoundError`."""

    def open(self, path: str) -> BinaryIO:
        """The file for streaming. Raises :class:`FileNotFoundError`."""

    def create(self, path: str, data: bytes) -> None:
        """Writes ``path`` if there is none. Raises :class:`AlreadyExistsError`."""

    def writing(self, path: str) -> AbstractContextManager[BinaryIO]:
        """A stream whose bytes become ``path`` when the block ends without an error."""

    def names(self, folder: str) -> list[str]:
        """Sorted names directly in ``folder``; empty if there is no such folder."""

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


def storage_at(uri: str) -> Storage:
    """The storage for a root URI. Raises :class:`SettingsError` for a scheme that has none."""
    scheme = urlparse(uri).scheme
    if scheme == "file":
        return FileStorage(uri)
    raise SettingsError(
        f"no storage for {scheme or 'a bare path'!r}", where=uri, remedy="use a folder or a file:// URI"
    )


def local_path(uri: str) -> Path:
    """The path of a ``file://`` URI or bare path."""
    parsed = urlparse(uri)
    return Path(unquote(parsed.path)) if parsed.scheme == "file" else Path(uri)


def spark_path(uri: str) -> str:
    """How Spark wants the path behind a ``file://`` URI: it does not decode what URIs encode."""
    return f"file://{local_path(uri)}" if urlparse(uri).scheme == "file" else uri


class FileStorage:
    """A folder on this machine."""

    def __init__(self, root: str) -> None:
        self.root = root.rstrip("/")
        self._folder = local_path(self.root)

    def uri(self, path: str) -> str:
        return f"{self.root}/{quote(_checked(path))}"

    def read(self, path: str) -> bytes:
        return self._at(path).read_bytes()

    def open(self, path: str) -> BinaryIO:
        return self._at(path).open("rb")

    def create(self, path: str, data: bytes) -> None:
        target = self._at(path)
        with _clear_disk_errors(target):
            with self._temporary(target) as temporary:
                temporary.write(data)
                _to_disk(temporary)
                try:
                    os.link(temporary.name, target)
                except FileExistsError as error:
                    raise AlreadyExistsError(f"{path} exists already", where=self.root) from error
            _folder_to_disk(target.parent)

    @contextmanager
    def writing(self, path: str) -> Iterator[BinaryIO]:
        target = self._at(path)
        with _clear_disk_errors(target):
            with self._temporary(target) as temporary:
                yield temporary
                _to_disk(temporary)
                os.link(temporary.name, f"{temporary.name}.done")
                os.replace(f"{temporary.name}.done", target)
            _folder_to_disk(target.parent)

    def names(self, folder: str) -> list[str]:
        try:
            return sorted(entry for entry in os.listdir(self._at(folder)) if not entry.startswith(".tmp-"))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def exists(self, path: str) -> bool:
        return self._at(path).exists()

    def delete_tree(self, path: str) -> None:
        target = self._at(path)
        if target.is_dir():
            shutil.rmtree(target)
        else:
            target.unlink(missing_ok=True)

    @contextmanager
    def lock(
        self, name: str, owner: str, *, timeout_seconds: float, waiting: Callable[[str], None] | None = None
    ) -> Iterator[HeldLock]:
        path = self._at(f"locks/{name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+") as file:
            _wait_for_lock(file.fileno(), path, timeout_seconds, waiting)
            note = _HolderNote(self, name, owner)
            left = note.read()
            work, left_by = list(left.get("work", [])), left.get("left_by")
            # Who holds it is written over who left it; what was left stays until somebody finishes it.
            note.write(work, left_by)
            yield HeldLock(
                left_by if work else None,
                work,
                announce=lambda new: note.write(sorted({*work, *new}), owner),
                finish=lambda: note.write([], None),
            )

    def _at(self, path: str) -> Path:
        return self._folder / _checked(path)

    @contextmanager
    def _temporary(self, target: Path) -> Iterator[BinaryIO]:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=".tmp-", delete=True) as temporary:
            yield temporary  # type: ignore[misc]


@dataclass(frozen=True)
class _HolderNote:
    """Who has a lock, or had it last, and what is not finished: beside the lock, replaced as a whole, so that a
    process that dies while writing it leaves what was there before."""

    storage: FileStorage
    name: str
    owner: str

    def read(self) -> dict[str, Any]:
        try:
            return dict(json.loads(self.storage.read(f"locks/{self.name}.holder")))
        except FileNotFoundError:
            return {}

    def write(self, work: list[str], left_by: str | None) -> None:
        """``left_by``: who has to be reckoned with, should the work not be finished."""
        document = {"owner": self.owner, "pid": os.getpid(), "work": work, "left_by": left_by}
        with self.storage.writing(f"locks/{self.name}.holder") as file:
            file.write(json.dumps(document).encode())


def _checked(path: str) -> str:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\0" in path:
        raise StorageError(f"{path!r} is not a path under the storage root")
    return path


def _to_disk(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _folder_to_disk(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _clear_disk_errors(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
            raise
        raise StorageError(
            f"cannot write: {os.strerror(error.errno)}",
            where=str(target),
            unharmed="everything committed before; the unfinished file is gone",
            remedy="free space or mend the permissions, then run the same command again",
        ) from error


def _wait_for_lock(
    descriptor: int, path: Path, timeout_seconds: float, waiting: Callable[[str], None] | None
) -> None:
    deadline = time.monotonic() + timeout_seconds
    announced = False
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            holder = _holder(path)
        if not announced and waiting is not None:
            waiting(holder)
            announced = True
        if time.monotonic() >= deadline:
            raise LockHeldError(
                f"{path.name} is held by {holder}",
                where=str(path),
                unharmed="nothing was started",
                remedy="wait for it to end, or stop it, then run the same command again",
            )
        # flock has no timeout of its own: polling is the only way to give up after one.
        time.sleep(_LOCK_POLL_SECONDS)


def _holder(lock: Path) -> str:
    """Who has the lock, as far as it is written down yet."""
    try:
        return str(json.loads(lock.with_name(f"{lock.name}.holder").read_text())["owner"])
    except FileNotFoundError:
        return "another process"

"""The folder (``file://``)."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

from provender.errors import StorageError
from provender.storage.base import AlreadyExistsError, HeldLock, checked, lock_is_held
from provender.storage.folders import make_private_folder
from provender.storage.uris import local_path

_LOCK_POLL_SECONDS = 0.1


class FileStorage:
    """A folder on this machine."""

    def __init__(self, root: str) -> None:
        self.root = root.rstrip("/")
        self._folder = local_path(self.root)

    def uri(self, path: str) -> str:
        return f"{self.root}/{quote(checked(path))}"

    def read(self, path: str) -> bytes:
        return self._at(path).read_bytes()

    def read_all(self, paths: Sequence[str]) -> list[bytes]:
        return [self.read(path) for path in paths]

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

    def copy(self, uri: str, path: str) -> bool:
        return False

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
        make_private_folder(self._folder)
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
        return self._folder / checked(path)

    @contextmanager
    def _temporary(self, target: Path) -> Iterator[BinaryIO]:
        make_private_folder(self._folder)
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
            raise lock_is_held(path.name, holder, str(path))
        # flock has no timeout of its own: polling is the only way to give up after one.
        time.sleep(_LOCK_POLL_SECONDS)


def _holder(lock: Path) -> str:
    """Who has the lock, as far as it is written down yet."""
    try:
        return str(json.loads(lock.with_name(f"{lock.name}.holder").read_text())["owner"])
    except FileNotFoundError:
        return "another process"

"""The folder (``file://``)."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from provender.errors import AlreadyExistsError
from provender.storage.base import (
    HeldLock,
    HolderNote,
    checked,
    lock_is_held,
    parse_note,
)
from provender.storage.disk import (
    TEMPORARY,
    disk_error,
    disk_errors,
    folder_to_disk,
    make_folder,
    opened,
    temporary,
    to_disk,
    unnamed,
)
from provender.storage.folders import make_private_folder
from provender.storage.uris import local_path

_LOCK_POLL_SECONDS = 0.1


class FileStorage:
    """A folder on this machine."""

    lists_in_order = False

    def __init__(self, root: str) -> None:
        self.root = root.rstrip("/")
        self._folder = local_path(self.root)

    def uri(self, path: str) -> str:
        return f"{self.root}/{quote(checked(path))}"

    def read(self, path: str) -> bytes:
        with self.open(path) as file:
            return file.read()

    def read_all(self, paths: Sequence[str]) -> list[bytes]:
        return [self.read(path) for path in paths]

    def open(self, path: str) -> BinaryIO:
        return opened(self._at(path))

    def create(self, path: str, data: bytes) -> None:
        target = self._at(path)
        with disk_errors("cannot write", target):
            make_private_folder(self._folder)
        with unnamed(target) as (file, give_name):
            file.write(data)
            with disk_errors("cannot write", target):
                to_disk(file)
                try:
                    give_name()
                except FileExistsError as error:
                    raise AlreadyExistsError(f"{path} exists already", where=self.root) from error
                folder_to_disk(target.parent)

    @contextmanager
    def writing(self, path: str) -> Iterator[BinaryIO]:
        target = self._at(path)
        with disk_errors("cannot write", target):
            make_private_folder(self._folder)
        with temporary(target) as (file, unfinished):
            yield file
            with disk_errors("cannot write", target):
                to_disk(file)
                os.link(unfinished, f"{unfinished}.done")
                os.replace(f"{unfinished}.done", target)
                folder_to_disk(target.parent)

    def copy(self, uri: str, path: str) -> bool:
        return False

    def names(self, folder: str, after: str = "") -> list[str]:
        try:
            found = os.listdir(self._at(folder))
            return sorted(name for name in found if name > after and not name.startswith(TEMPORARY))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise disk_error(error, "cannot list", str(self._at(folder))) from error

    def exists(self, path: str) -> bool:
        return self._at(path).exists()

    def delete_tree(self, path: str) -> None:
        target = self._at(path)
        with disk_errors("cannot remove", target):
            if target.is_dir() and not target.is_symlink():
                shutil.rmtree(target)
            else:
                target.unlink(missing_ok=True)

    @contextmanager
    def lock(
        self, name: str, owner: str, *, timeout_seconds: float, waiting: Callable[[str], None] | None = None
    ) -> Iterator[HeldLock]:
        path = self._at(f"locks/{name}")
        with self._lock_file(path) as descriptor:
            _wait_for_lock(descriptor, path, timeout_seconds, waiting)
            note = _NoteFile(self, name, owner)
            left = note.read()
            # Who holds it is written over who left it; what was left stays until somebody finishes it.
            note.write(left.work, left.left_by)
            yield HeldLock(
                left.left_by if left.work else None,
                left.work,
                announce=lambda new: note.write(sorted({*left.work, *new}), owner),
                finish=lambda: note.write([], None),
            )

    def _at(self, path: str) -> Path:
        return self._folder / checked(path)

    @contextmanager
    def _lock_file(self, path: Path) -> Iterator[int]:
        with disk_errors("cannot lock", path):
            make_private_folder(self._folder)
            make_folder(path.parent)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            yield descriptor
        finally:
            os.close(descriptor)


@dataclass(frozen=True)
class _NoteFile:
    """Who has a lock, or had it last, and what is not finished: beside the lock, replaced as a whole, so that a
    process that dies while writing it leaves what was there before. Whether the lock is held only the kernel says:
    the process id in it is for people."""

    storage: FileStorage
    name: str
    owner: str

    def read(self) -> HolderNote:
        """Raises :class:`DamagedFileError` for a note that is none."""
        path = f"locks/{self.name}.holder"
        try:
            return parse_note(self.storage.read(path), self.name, self.storage.uri(path))
        except FileNotFoundError:
            return HolderNote()

    def write(self, work: list[str], left_by: str | None) -> None:
        """``left_by``: who has to be reckoned with, should the work not be finished."""
        document = {"owner": self.owner, "pid": os.getpid(), "work": work, "left_by": left_by}
        with self.storage.writing(f"locks/{self.name}.holder") as file:
            file.write(json.dumps(document).encode())


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
        except OSError as error:
            raise disk_error(error, "cannot lock", str(path)) from error
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
        return str(json.loads(lock.with_name(f"{lock.name}.holder").read_bytes())["owner"])
    except (OSError, ValueError, LookupError, TypeError):
        # Not written yet, or unreadable: whoever gets the lock reports that.
        return "another process"

"""The local disk: files that say which file failed, and why, in our errors; folders and names that outlive a crash."""

from __future__ import annotations

import errno
import fcntl
import io
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO, cast

from provender.errors import ProvenderError, StorageError

TEMPORARY = ".tmp-"
"""What the names of unfinished files begin with."""
_FULL = {errno.ENOSPC, errno.EDQUOT}
_REFUSED = {errno.EROFS, errno.EACCES, errno.EPERM}
_BROKEN = {errno.EIO, errno.ENXIO, errno.ENODEV, errno.ESTALE, errno.EREMOTEIO}
_REMEDIES = {
    **dict.fromkeys(_FULL, "free space there, then run the same command again"),
    errno.EFBIG: "raise the limit on the size of files (ulimit -f), then run the same command again",
    **dict.fromkeys(_REFUSED, "correct the permissions or the mount, then run the same command again"),
    **dict.fromkeys(_BROKEN, "check the disk or its connection, then run the same command again"),
    errno.ENOLCK: "put the storage root on a file system with locks (flock), then run the same command again",
    errno.EMFILE: "raise the limit on open files (ulimit -n), then run the same command again",
}
_NO_SUCH_FILES = {errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT}
"""What file systems and kernels without unnamed files answer."""
_OF_THE_DISK = (_FULL | _BROKEN) | {errno.EROFS, errno.EFBIG, errno.EMFILE}
"""Errors that never mean that a caller asked for something that is not there."""


def disk_error(error: OSError, what: str, where: str) -> StorageError:
    """``error`` as ours. ``what`` was being done (``cannot write``), on the file ``where``."""
    code = error.errno or 0
    return StorageError(
        f"{what}: {os.strerror(code) if code else error}",
        where=where,
        not_affected="everything that was committed; unfinished files are removed",
        remedy=_REMEDIES.get(code, "correct what stands at that path, then run the same command again"),
    )


@contextmanager
def disk_errors(what: str, where: Path | str) -> Iterator[None]:
    """Every :class:`OSError` of the block as a :class:`StorageError`."""
    try:
        yield
    except OSError as error:
        raise disk_error(error, what, str(where)) from error


@contextmanager
def scratch_errors() -> Iterator[None]:
    """What the disk itself refuses in the block, in whichever library, as a :class:`StorageError`: it is full, broken,
    or read-only. Other errors pass."""
    try:
        yield
    except OSError as error:
        if error.errno not in _OF_THE_DISK:
            raise
        where = str(error.filename or f"a temporary file, in {tempfile.gettempdir()} or the state folder")
        raise disk_error(error, "the disk failed", where) from error
    except ProvenderError:
        raise
    except Exception as error:
        # DuckDB and Arrow have exceptions of their own, with the words of the operating system in them.
        code = next((code for code in _OF_THE_DISK if os.strerror(code) in str(error)), None)
        if code is None:
            raise
        said = OSError(code, os.strerror(code))
        raise disk_error(said, "the disk failed", str(error).splitlines()[0][:300]) from error


class _DiskFile(io.FileIO):
    """A file whose reads and writes raise our errors, whatever library is in between."""

    def __init__(self, file: int | str, mode: str, path: Path) -> None:
        super().__init__(file, mode)
        self._path = path

    def write(self, data: object) -> int:
        with disk_errors("cannot write", self._path):
            return super().write(data)  # type: ignore[arg-type]

    def readinto(self, buffer: object) -> int:
        with disk_errors("cannot read", self._path):
            return super().readinto(buffer)  # type: ignore[arg-type]

    def readall(self) -> bytes:
        with disk_errors("cannot read", self._path):
            return super().readall() or b""


def opened(path: Path) -> BinaryIO:
    """The file for reading. Raises :class:`FileNotFoundError`, :class:`StorageError`."""
    try:
        return io.BufferedReader(_DiskFile(str(path), "rb", path))
    except FileNotFoundError:
        raise
    except NotADirectoryError as error:
        raise FileNotFoundError(str(path)) from error
    except OSError as error:
        raise disk_error(error, "cannot read", str(path)) from error


@contextmanager
def temporary(target: Path) -> Iterator[tuple[BinaryIO, Path]]:
    """An unfinished file beside ``target``, removed when the block ends. Those that a killed process left go first.

    Each is locked while its process lives: which ones are abandoned is asked of the kernel, not of a clock.
    """
    with disk_errors("cannot write", target):
        make_folder(target.parent)
        _remove_abandoned(target.parent)
        descriptor, path = _locked_file(target.parent)
    file = io.BufferedRandom(_DiskFile(descriptor, "w+b", target))
    try:
        yield cast(BinaryIO, file), path
    finally:
        # A file that could not be written fails once more when it is closed, and has been reported.
        with suppress(OSError, StorageError):
            file.close()
        with suppress(OSError):
            path.unlink()


@contextmanager
def unnamed(target: Path) -> Iterator[tuple[BinaryIO, Callable[[], None]]]:
    """An unfinished file that gets its name, ``target``, when the second value is called.

    That raises :class:`FileExistsError` where the name is taken. Until then the file has no name (``O_TMPFILE`` of
    Linux), so a killed process leaves nothing and no folder is searched for what others left: a commit costs the same
    beside ten files and beside a million. File systems without such files get one of :func:`temporary`.
    """
    with disk_errors("cannot write", target):
        make_folder(target.parent)
        descriptor = _unnamed_file(target.parent)
    if descriptor is None:
        with temporary(target) as (file, unfinished):
            yield file, lambda: os.link(unfinished, target)
        return
    with io.BufferedRandom(_DiskFile(descriptor, "w+b", target)) as file:
        yield cast(BinaryIO, file), partial(_give_name, descriptor, target)


def _unnamed_file(folder: Path) -> int | None:
    """None where the file system, or the operating system, has no such files."""
    try:
        return os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o600)
    except AttributeError:
        return None
    except OSError as error:
        if error.errno in _NO_SUCH_FILES:
            return None
        raise


def _give_name(descriptor: int, target: Path) -> None:
    """As linkat(2) says under ``AT_SYMLINK_FOLLOW``, which Python sets where a folder is given."""
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.link(f"/proc/self/fd/{descriptor}", target, src_dir_fd=folder, follow_symlinks=True)
    finally:
        os.close(folder)


def _locked_file(folder: Path) -> tuple[int, Path]:
    while True:
        descriptor, name = tempfile.mkstemp(dir=folder, prefix=TEMPORARY)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return descriptor, Path(name)
        os.close(descriptor)  # taken for abandoned between its making and its locking


def _remove_abandoned(folder: Path) -> None:
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.name.startswith(TEMPORARY)]
    for name in names:
        with suppress(FileNotFoundError):
            _remove_if_abandoned(folder / name)


def _remove_if_abandoned(path: Path) -> None:
    if not path.is_file():
        return
    with path.open("rb") as file, suppress(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()


def to_disk(file: BinaryIO) -> None:
    """Returns when the file's bytes would outlive a loss of power."""
    file.flush()
    os.fsync(file.fileno())


def folder_to_disk(folder: Path) -> None:
    """Returns when the names in the folder would outlive a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Makes the folder and those above it, each lasting in the one that holds it."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    folder_to_disk(folder.parent)

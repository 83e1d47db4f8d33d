"""A real file system with a size of one's choice, to be full on."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest

from provender.errors import StorageError

T = TypeVar("T")
_FILLER = "filler"


@dataclass(frozen=True)
class SmallDisk:
    """A mounted file system of its own."""

    folder: Path

    def resize(self, kilobytes: int) -> None:
        """What is on it stays."""
        subprocess.run(["mount", "-o", f"remount,size={kilobytes}k", str(self.folder)], check=True)

    def used_kilobytes(self) -> int:
        """The space that is taken, in whole pages."""
        found = os.statvfs(self.folder)
        return (found.f_blocks - found.f_bfree) * found.f_frsize // 1024

    def fill(self) -> None:
        """Leaves not one byte."""
        with (self.folder / _FILLER).open("ab", buffering=0) as file:
            try:
                while file.write(bytes(4096)):
                    pass
            except OSError:
                return

    def clear(self) -> None:
        """Takes away what :meth:`fill` wrote."""
        (self.folder / _FILLER).unlink()


def walked(disk: SmallDisk, run: Callable[[], T], step: int) -> tuple[list[StorageError], T]:
    """Runs ``run`` with ever more space, ``step`` kilobytes at a time, until it comes through: the errors on the way,
    each checked to be one clear sentence, and what it gave in the end."""
    errors: list[StorageError] = []
    for room in range(step, 100 * step, step):
        disk.resize(disk.used_kilobytes() + room)
        try:
            return errors, run()
        except StorageError as error:
            assert "No space left on device" in error.what, error
            assert error.remedy.startswith("free space"), error
            errors.append(error)
    raise AssertionError("it never came through")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """Two megabytes, at a folder of its own. Skips where this user may not mount."""
    folder = tmp_path / "small-disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.strip()}")
    yield SmallDisk(folder)
    subprocess.run(["umount", "-l", str(folder)], check=True)

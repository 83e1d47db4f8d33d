"""A raw file, wherever it lies, and which files a location names.

Files and folders whose names begin with ``.`` or ``_`` (``_SUCCESS``, ``_committed_…``, ``_temporary/``) are none of a
delivery's, unless the location names them so itself.
"""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, cast

from provender.records.folders import is_pair
from provender.storage.shown import SIGNS, is_hidden, is_shown


@dataclass(frozen=True)
class RawFile:
    """One version of a file: what is read and copied is what was found."""

    name: str
    where: str
    """A path, or ``gs://bucket/name#generation``."""
    bytes: int
    open: Callable[[], BinaryIO]


def local_file(path: Path) -> RawFile:
    """A file of this machine."""
    return RawFile(path.name, str(path), path.stat().st_size, partial(_open, path))


def find(location: str) -> list[RawFile]:
    """The files that an absolute path or ``gs://`` URI names, sorted, hidden ones left out: one file, those of a folder
    and of the folders in it that are called ``column=value``, or those that fit a glob. Empty if there are none."""
    if location.startswith("gs://"):
        return _find_objects(location)
    if _is_glob(location):
        wanted = Path(location).parts
        found = sorted(path for path in map(Path, glob.glob(location, recursive=True)) if path.is_file())
        return [local_file(path) for path in found if is_shown(path.parts, wanted)]
    path = Path(location)
    if path.is_dir():
        return [local_file(found) for found in sorted(_in_folder(path))]
    return [local_file(path)] if path.is_file() else []


def passed_over(location: str) -> list[str]:
    """The folders in the folder ``location`` (or that fit it, if it is a glob) whose files :func:`find` leaves out,
    sorted; hidden ones are not worth a word."""
    if location.startswith("gs://"):
        from provender.storage.gcs.find import folders_in

        return [
            folder for folder in folders_in(location) if not is_pair(folder.rstrip("/").rsplit("/", 1)[-1])
        ]
    if _is_glob(location):
        wanted = Path(location).parts
        matched = (
            path for path in map(Path, glob.glob(location, recursive=True)) if is_shown(path.parts, wanted)
        )
        folders = [path for path in matched if path.is_dir()] if "**" not in location else []
    elif Path(location).is_dir():
        folders = [path for path in Path(location).iterdir() if path.is_dir() and not is_pair(path.name)]
    else:
        return []
    return sorted(str(path) for path in folders if not is_hidden(path.name) and _holds_a_file(path))


def _is_glob(location: str) -> bool:
    return any(sign in location for sign in SIGNS)


def _in_folder(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if is_hidden(path.name):
            continue
        if path.is_file():
            yield path
        elif path.is_dir() and is_pair(path.name):
            yield from _in_folder(path)


def _holds_a_file(folder: Path) -> bool:
    return any(path.is_file() and not is_hidden(path.name) for path in folder.rglob("*"))


def _find_objects(uri: str) -> list[RawFile]:
    from provender.storage.gcs.find import find as find_objects
    from provender.storage.gcs.reading import opened

    def described(blob: Any) -> RawFile:
        where = f"gs://{blob.bucket.name}/{blob.name}#{blob.generation}"
        return RawFile(blob.name.rsplit("/", 1)[-1], where, int(blob.size), partial(opened, blob))

    return [described(blob) for blob in find_objects(uri)]


def _open(path: Path) -> BinaryIO:
    return cast(BinaryIO, path.open("rb"))

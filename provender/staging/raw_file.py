"""A raw file, wherever it lies."""

from __future__ import annotations

import glob
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, cast


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
    """The files that an absolute path or ``gs://`` URI names, sorted: one file, those of a folder (hidden ones, which
    begin with ``.`` or ``_``, left out), or those that fit a glob. Empty if there are none."""
    if location.startswith("gs://"):
        return _find_objects(location)
    if any(sign in location for sign in "*?["):
        found = sorted(path for path in map(Path, glob.glob(location, recursive=True)) if path.is_file())
        return [local_file(path) for path in found]
    path = Path(location)
    if path.is_dir():
        shown = sorted(p for p in path.iterdir() if p.is_file() and not p.name.startswith((".", "_")))
        return [local_file(found) for found in shown]
    return [local_file(path)] if path.is_file() else []


def _find_objects(uri: str) -> list[RawFile]:
    from provender.storage.gcs.find import find as find_objects
    from provender.storage.gcs.reading import opened

    def described(blob: Any) -> RawFile:
        where = f"gs://{blob.bucket.name}/{blob.name}#{blob.generation}"
        return RawFile(blob.name.rsplit("/", 1)[-1], where, int(blob.size), partial(opened, blob))

    return [described(blob) for blob in find_objects(uri)]


def _open(path: Path) -> BinaryIO:
    return cast(BinaryIO, path.open("rb"))

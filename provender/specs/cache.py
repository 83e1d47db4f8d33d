"""Specs that were parsed and found right, so that a DAG file with hundreds of sources loads in milliseconds.

One JSON file per feature repo and version of this code: file name → signature (inode, size and times of the
spec and its SQL files) and the checked document. It is only a shortcut: what does not match, cannot be read
or cannot be written is parsed again, and several processes may read and write at once (a new file replaces
the old in one step). A broken spec is never kept.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from pydantic import ValidationError

from provender.specs.loader import source_of
from provender.specs.source import Source

_LOG = logging.getLogger(__name__)
_SETTLED_SECONDS = 2
"""A file changed more recently is not kept: it could change once more within the clock's tick."""

Signature = list[list[Any]]


class SpecCache:
    """Use as a context manager; ``folder`` None keeps nothing."""

    def __init__(self, folder: Path | None, repo: Path) -> None:
        self._file = None if folder is None else folder / f"{_digest(str(repo), _code_version())}.json"
        self._kept: dict[str, Any] = {}
        self._used: dict[str, Any] = {}
        self._signatures: dict[Path, Signature] = {}

    def __enter__(self) -> SpecCache:
        self._kept = _read(self._file) if self._file else {}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None and error is None and self._used != self._kept:
            _write(self._file, self._used)

    def get(self, path: Path) -> Source | None:
        """The source of ``path``, if the file and its SQL files are as they were when it was kept."""
        entry = self._kept.get(path.name)
        self._signatures[path] = [_stat(path)]  # before the file is read, so that a later change shows
        if entry is None or entry["files"] != [_stat(path.parent / name) for name, *_ in entry["files"]]:
            return None
        try:
            source = source_of(entry["document"])
        except ValidationError:
            return None
        self._used[path.name] = entry
        return source

    def put(self, path: Path, source: Source, document: str) -> None:
        """Keeps ``document``, the normalized JSON of ``source``."""
        queries = sorted({table.sql for table in source.tables if table.sql})
        files = self._signatures[path] + [_stat(path.parent / name) for name in queries]
        if all(times and time.time_ns() - max(times) > _SETTLED_SECONDS * 10**9 for _, _, _, *times in files):
            self._used[path.name] = {"files": files, "document": document}


def _stat(path: Path) -> list[Any]:
    """[name, inode, size, modified ns, changed ns]; only the name for a file that is not there."""
    try:
        found = path.stat()
    except OSError:
        return [path.name]
    return [path.name, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]


def _code_version() -> str:
    folder = Path(__file__).parent
    return repr([(entry.name, *_stat(entry)[2:4]) for entry in sorted(folder.glob("*.py"))])


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]


def _read(file: Path) -> dict[str, Any]:
    try:
        kept = json.loads(file.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        _LOG.warning("spec cache %s is unreadable and will be rewritten: %s", file, error)
        return {}
    if not isinstance(kept, dict):
        return {}
    # An entry that is not one of ours is parsed again, like a spec that has changed.
    return {name: entry for name, entry in kept.items() if _is_entry(entry)}


def _is_entry(entry: Any) -> bool:
    if not isinstance(entry, dict) or not isinstance(entry.get("document"), str):
        return False
    files = entry.get("files")
    return isinstance(files, list) and all(isinstance(file, list) and file for file in files)


def _write(file: Path, entries: dict[str, Any]) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=file.parent, prefix="new-") as folder:
            draft = Path(folder) / file.name
            draft.write_text(json.dumps(entries))
            os.replace(draft, file)
    except OSError as error:
        _LOG.warning("spec cache %s cannot be written, so every load parses all specs: %s", file, error)

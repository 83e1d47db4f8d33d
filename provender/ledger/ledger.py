"""The ledger of one source: its numbered manifests in the storage, read and appended to."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

from provender.clocks import Clock, utc_now
from provender.errors import AlreadyExistsError, DamagedFileError
from provender.ledger.manifest import Draft, Job, Kind, Manifest, parse_manifest, to_document
from provender.storage import Storage
from provender.version import __version__

_NAME = re.compile(r"\d{8,}\.json")
"""Of a manifest. What else lies in the folder (a copy that somebody made) is none."""
_AT_ONCE = 50
"""How many manifests are read together where the newest are most likely the wanted ones."""


class Ledger:
    """Manifests of one source. Nothing is ever overwritten or removed."""

    def __init__(self, storage: Storage, source: str, clock: Clock = utc_now) -> None:
        self._storage = storage
        self._clock = clock
        self.source = source
        self._read: dict[str, Manifest] = {}

    def manifests(self, job: Job) -> list[Manifest]:
        """All manifests and receipts of ``job``, oldest first."""
        return self._load_all([f"{self._folder(job)}/{name}" for name in self._names(job)])

    def last(self, job: Job, kind: Kind | None = None) -> Manifest | None:
        """The newest manifest of ``job`` (of ``kind``, if given), or None."""
        for name in reversed(self._names(job)):
            manifest = self._load(f"{self._folder(job)}/{name}")
            if kind is None or manifest.kind is kind:
                return manifest
        return None

    def find_attempt(self, job: Job, attempt: str) -> Manifest | None:
        """What ``attempt`` committed, or None: then it did not succeed."""
        newest_first = [f"{self._folder(job)}/{name}" for name in reversed(self._names(job))]
        for start in range(0, len(newest_first), _AT_ONCE):
            for manifest in self._load_all(newest_first[start : start + _AT_ONCE]):
                if manifest.attempt == attempt:
                    return manifest
        return None

    def commit(self, draft: Draft) -> Manifest:
        """Appends ``draft`` under the next free number. After this it is lasting and visible."""
        number = self.next_number(draft.job)
        while True:
            # A clock that was set back in between must not give an attempt a negative duration.
            committed = max(self._clock(), draft.started)
            document = to_document(draft, self.source, number, committed, code_version())
            path = f"{self._folder(draft.job)}/{number:08d}.json"
            try:
                self._storage.create(path, json.dumps(document, indent=1).encode())
            except AlreadyExistsError:
                number += 1
                continue
            return Manifest(self.source, document)

    def next_number(self, job: Job) -> int:
        """The number the next manifest of ``job`` gets, if nobody else commits one first."""
        names = self._names(job)
        return int(Path(names[-1]).stem) + 1 if names else 1

    def _folder(self, job: Job) -> str:
        return f"ledger/{self.source}/{job}"

    def _names(self, job: Job) -> list[str]:
        return [name for name in self._storage.names(self._folder(job)) if _NAME.fullmatch(name)]

    def _load(self, path: str) -> Manifest:
        return self._load_all([path])[0]

    def _load_all(self, paths: list[str]) -> list[Manifest]:
        # A manifest never changes once it is there, so one reading is enough.
        unread = [path for path in paths if path not in self._read]
        for path, data in zip(unread, self._storage.read_all(unread), strict=True):
            try:
                self._read[path] = parse_manifest(self.source, data)
            except ValueError as error:
                raise self._damaged(path, error) from error
        return [self._read[path] for path in paths]

    def _damaged(self, path: str, error: ValueError) -> DamagedFileError:
        job = Path(path).parent.name
        return DamagedFileError(
            f"a manifest cannot be read: {error}",
            where=self._storage.uri(path),
            not_affected="the tables and the staged files; nothing was started",
            remedy="put the file back from a backup; if there is none, move it out of the folder: what it recorded "
            f"then counts as not done, and running {job} again for it, as `provender status {self.source}` lists it, "
            "records it again",
        )


@cache
def code_version() -> str:
    """This installation's version, for manifests."""
    return f"provender {__version__}"

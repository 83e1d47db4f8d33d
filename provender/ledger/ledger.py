"""The ledger of one source: its numbered manifests in the storage, read and appended to."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

from provender.clocks import Clock, utc_now
from provender.errors import AlreadyExistsError, DamagedFileError, ProvenderError
from provender.ledger.manifest import Draft, parse_manifest, to_manifest
from provender.ledger.records import Job, Kind, Manifest
from provender.ledger.state import SourceState, load_state
from provender.storage import Storage
from provender.version import __version__

_NAME = re.compile(r"\d{8,}\.json")
"""Of a manifest. What else lies in the folder (a copy that somebody made) is none."""
_AT_ONCE = 50
"""How many manifests are read together where the newest are most likely the wanted ones."""
_WIDEST_GAP = 16
"""So many numbers in a row may be missing, because somebody moved damaged manifests away."""

log = logging.getLogger(__name__)


class Ledger:
    """Manifests of one source. Nothing is ever overwritten or removed."""

    def __init__(self, storage: Storage, source: str, clock: Clock = utc_now) -> None:
        self.storage = storage
        self._clock = clock
        self.source = source
        self._state: SourceState | None = None

    def state(self) -> SourceState:
        """Return what all manifests committed so far add up to.

        Reads the newest snapshot and the manifests after it; a second call reads what was committed meanwhile.
        Raises :class:`DamagedFileError` for one of those manifests.
        """
        state = self._loaded()
        state.advance()
        return state

    def manifests(self, job: Job) -> list[Manifest]:
        """All manifests and receipts of ``job``, oldest first."""
        return self.read(job, self.numbers_after(job, 0))

    def last(self, job: Job, kind: Kind | None = None) -> Manifest | None:
        """The newest manifest of ``job`` (of ``kind``, if given), or None."""
        found = self.newest_first(job)
        return next((manifest for manifest in found if kind is None or manifest.kind is kind), None)

    def newest_first(self, job: Job) -> Iterator[Manifest]:
        """The manifests and receipts of ``job``, newest first, read as they are asked for."""
        for number in range(self.next_number(job) - 1, 0, -1):
            with suppress(FileNotFoundError):  # a number that somebody moved away
                yield self._load(job, number)

    def find_attempt(self, job: Job, attempt: str) -> Manifest | None:
        """What ``attempt`` committed, or None: then it did not succeed.

        Of what snapshots cover, the newest 500 manifests are looked at: an attempt that asks whether it has committed
        has done so lately, or not at all.
        """
        state = self._loaded()
        newest_first = self.numbers_after(job, state.position(job))[::-1]
        for start in range(0, len(newest_first), _AT_ONCE):
            for manifest in self.read(job, newest_first[start : start + _AT_ONCE]):
                if manifest.attempt == attempt:
                    return manifest
        number = state.number_of_attempt(job, attempt)
        return self._load(job, number) if number is not None else None

    def commit(self, draft: Draft) -> Manifest:
        """Appends ``draft`` under the next free number. After this it is lasting and visible."""
        number = self.next_number(draft.job)
        while True:
            # A clock that was set back in between must not give an attempt a negative duration.
            committed = max(self._clock(), draft.started)
            manifest = to_manifest(draft, self.source, number, committed, code_version())
            data = json.dumps(manifest.to_document(), indent=1).encode()
            try:
                self.storage.create(self.path(draft.job, number), data)
            except AlreadyExistsError:
                number += 1
                continue
            self._write_snapshot_if_due()
            return manifest

    def next_number(self, job: Job) -> int:
        """The number the next manifest of ``job`` gets, if nobody else commits one first."""
        after = self._loaded().position(job)
        return max(self.numbers_after(job, after), default=after) + 1

    def numbers_after(self, job: Job, number: int) -> list[int]:
        """The manifests of ``job`` that are numbered higher, in order.

        Costs what it returns: numbers are looked for one by one where a listing would list the whole folder.
        """
        if number and not self.storage.lists_in_order:
            return list(self._probe(job, number))
        after = Path(self.path(job, number)).name if number else ""
        names = self.storage.names(self._folder(job), after)
        return [int(Path(name).stem) for name in names if _NAME.fullmatch(name)]

    def path(self, job: Job, number: int) -> str:
        """Where the manifest is, under the storage root."""
        return f"{self._folder(job)}/{number:08d}.json"

    def read(self, job: Job, numbers: Sequence[int]) -> list[Manifest]:
        """Read these manifests. Raises :class:`DamagedFileError`."""
        paths = [self.path(job, number) for number in numbers]
        return [
            self._parse(path, data) for path, data in zip(paths, self.storage.read_all(paths), strict=True)
        ]

    def _parse(self, path: str, data: bytes) -> Manifest:
        try:
            return parse_manifest(data)
        except ValueError as error:
            raise self._damaged(path, error) from error

    def _load(self, job: Job, number: int) -> Manifest:
        return self.read(job, [number])[0]

    def _loaded(self) -> SourceState:
        """The state as far as it was read, which is where the search for newer manifests begins."""
        if self._state is None:
            self._state = load_state(self)
        return self._state

    def _probe(self, job: Job, number: int) -> Iterator[int]:
        missing = 0
        while missing < _WIDEST_GAP:
            number += 1
            if self.storage.exists(self.path(job, number)):
                missing = 0
                yield number
            else:
                missing += 1

    def _write_snapshot_if_due(self) -> None:
        """The manifest is committed already, so nothing that happens here is this attempt's failure."""
        try:
            self.state().write_snapshot_if_due()
        except (ProvenderError, OSError) as error:
            log.warning("no snapshot of the ledger of %s was written: %s", self.source, error)

    def _folder(self, job: Job) -> str:
        return f"ledger/{self.source}/{job}"

    def _damaged(self, path: str, error: ValueError) -> DamagedFileError:
        job = Path(path).parent.name
        return DamagedFileError(
            f"a manifest cannot be read: {error}",
            where=self.storage.uri(path),
            not_affected="the tables and the staged files; nothing was started",
            remedy="put the file back from a backup; if there is none, move it out of the folder: what it recorded "
            f"then counts as not done, and running {job} again for it, as `provender status {self.source}` lists it, "
            "records it again",
        )


@cache
def code_version() -> str:
    """This installation's version, for manifests."""
    return f"provender {__version__}"

"""Snapshots: the fold of a source's manifests up to a number of each job, so that nobody has to read those again.

    ledger/<source>/snapshots/00000001.json, 00000002.json, …      the newest eight are kept

Whoever commits writes one now and then. Manifests stay the truth: a snapshot says which manifests it stands for, and
one that does not fit them, is damaged or is gone costs the time of reading manifests, and nothing else.
"""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from pydantic import Field, ValidationError

from provender.errors import AlreadyExistsError
from provender.ledger.records import (
    Job,
    MissingTable,
    Moment,
    PublishedTable,
    Record,
    TableCommit,
    ViewWrite,
)
from provender.ledger.segments import Entries, SegmentSummary, segment_path, write_segment
from provender.storage import Storage

EVERY_MANIFESTS = 20
"""So many manifests after the last snapshot whoever commits writes the next."""
_KEPT = 8
"""Commands that began with an older snapshot still read its segments."""
_NAME = re.compile(r"\d{8,}\.json")

log = logging.getLogger(__name__)


class Position(Record):
    """Up to where the manifests of a job are in a snapshot."""

    number: int
    sha256: str
    """Of that manifest's bytes: the snapshot stands for these manifests and no others."""
    attempts: dict[str, int]
    """Of the newest manifests: hash of the attempt to number, oldest first."""


class TableState(Record):
    """What ingests wrote to a table."""

    last: TableCommit
    bytes: int
    """Of all commits."""


class Totals(Record):
    """What is known of a source besides its partitions."""

    recorded_up_to: Moment | None = None
    """The logs are complete up to here: what was recorded later belongs to no committed attempt."""
    online_up_to: Moment | None = None
    """The online store holds every view that was online then up to here."""
    published_up_to: Moment | None = None
    views: dict[str, ViewWrite] = Field(default_factory=dict)
    """Per feature view the entry of the manifest that wrote it last."""
    missing: dict[str, MissingTable] = Field(default_factory=dict)
    """Views that the newest materialization found without a table."""
    tables: dict[str, TableState] = Field(default_factory=dict)
    published: dict[str, PublishedTable] = Field(default_factory=dict)
    resumed: bool = False
    """Whether any ingest finished what a dead attempt had begun."""
    withdrawn: bool = False
    """Whether any ingest took feature rows back."""


class Snapshot(Record):
    """The head of a snapshot."""

    format: Literal[1] = 1
    number: int
    source: str
    positions: dict[Job, Position]
    totals: Totals
    segments: tuple[SegmentSummary, ...]
    replaced: dict[int, tuple[str, ...]]
    """By the number of the snapshot that did without them: segments to be removed with the one before it."""


class Snapshots:
    """The snapshots of one source."""

    def __init__(self, storage: Storage, source: str) -> None:
        self._storage = storage
        self._source = source
        self._folder = f"ledger/{source}/snapshots"

    def newest_first(self) -> Iterator[Snapshot]:
        """Every snapshot that can be read."""
        for number in reversed(self.numbers()):
            path = self._path(number)
            try:
                snapshot = Snapshot.model_validate_json(self._storage.read(path))
            except FileNotFoundError:
                continue  # removed since, because there are newer ones
            except ValidationError as error:
                log.warning("%s cannot be read and is passed over: %s", path, str(error).splitlines()[0])
                continue
            yield snapshot

    def numbers(self) -> list[int]:
        names = self._storage.names(self._folder)
        return [int(name.removesuffix(".json")) for name in names if _NAME.fullmatch(name)]

    def write(
        self,
        base: Snapshot | None,
        positions: Mapping[Job, Position],
        totals: Totals,
        pieces: Sequence[SegmentSummary | Entries],
    ) -> Snapshot | None:
        """Write the snapshot after the newest; None if another committer was faster.

        ``base``: the snapshot that was gone on from. ``pieces``: in the order of their keys, its segments that stay,
        and the entries of new ones. A kill at any point leaves the snapshots before it whole.
        """
        number = max(self.numbers(), default=0) + 1
        token, made, kept = f"{number:08d}-{secrets.token_hex(4)}", list[SegmentSummary](), []
        for piece in pieces:
            if not isinstance(piece, SegmentSummary):
                piece = write_segment(self._storage, self._source, f"{token}-{len(made)}", piece)
                made.append(piece)
            kept.append(piece)
        snapshot = Snapshot(
            number=number,
            source=self._source,
            positions=dict(positions),
            totals=totals,
            segments=tuple(kept),
            replaced=_replaced(base, number, kept),
        )
        try:
            self._storage.create(self._path(number), snapshot.model_dump_json().encode())
        except AlreadyExistsError:
            self._remove([segment.name for segment in made])
            return None
        self._forget(snapshot)
        return snapshot

    def _forget(self, newest: Snapshot) -> None:
        """Removes snapshots that are old, with the segments that only they have."""
        for number in self.numbers():
            if number <= newest.number - _KEPT:
                self._storage.delete_tree(self._path(number))
        for number, names in newest.replaced.items():
            if number <= newest.number - _KEPT + 1:
                self._remove(names)

    def _remove(self, segments: Sequence[str]) -> None:
        for name in segments:
            self._storage.delete_tree(segment_path(self._source, name))

    def _path(self, number: int) -> str:
        return f"{self._folder}/{number:08d}.json"


def _replaced(
    base: Snapshot | None, number: int, segments: Sequence[SegmentSummary]
) -> dict[int, tuple[str, ...]]:
    """What ``base`` and those before it did without, and what the new one does without."""
    if base is None:
        return {}
    names = {segment.name for segment in segments}
    now = tuple(segment.name for segment in base.segments if segment.name not in names)
    before = {at: gone for at, gone in base.replaced.items() if at > number - _KEPT}
    return before | ({number: now} if now else {})

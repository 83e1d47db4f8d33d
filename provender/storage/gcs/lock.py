"""A lock that is an object: held under a lease, given away by replacing exactly the generation one has seen.

    {"owner", "holder", "lease_seconds", "beats", "work", "left_by"}

``holder`` names one holding of the lock (null: free). While it is held a thread writes the object again, every fifth
of the lease. Whoever waits takes the lock when the object's generation has not changed for a whole lease *by the
waiter's own clock*: clocks of different machines are never compared. Every change is bound to the generation that
was read before, so that of many that want the lock one gets it, and a holder that was taken for dead learns it.

The object is never deleted: it is also where work is announced (see :class:`provender.storage.HeldLock`).
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields, replace
from threading import Event, Lock, Thread

from google.api_core.exceptions import PreconditionFailed
from google.cloud.storage import Bucket
from google.cloud.storage.retry import DEFAULT_RETRY

from provender.errors import DamagedFileError, LockHeldError, ProvenderError, StorageError
from provender.storage.base import HeldLock, lock_is_held, note_document
from provender.storage.gcs import objects
from provender.storage.gcs.client import translated

LEASE_SECONDS = 30.0
_BEATS_PER_LEASE = 5
_PATIENCE_SECONDS = LEASE_SECONDS / 3
"""How long a sign of life may try: the next one has to come in time after it."""
_RETRY = DEFAULT_RETRY.with_delay(initial=0.1, maximum=2).with_timeout(_PATIENCE_SECONDS)
_LOOKS_PER_LEASE = 20
"""How often a waiter looks: Google allows about one write a second of one object, but many readings."""


@dataclass(frozen=True)
class _Note:
    owner: str = ""
    holder: str | None = None
    lease_seconds: float = 0.0
    beats: int = 0
    work: list[str] = field(default_factory=list)
    left_by: str | None = None


@contextmanager
def held_lock(
    bucket: Bucket,
    name: str,
    owner: str,
    *,
    lease_seconds: float,
    timeout_seconds: float,
    waiting: Callable[[str], None] | None,
) -> Iterator[HeldLock]:
    """Holds the lock ``name`` during the block. Raises as :meth:`provender.storage.Storage.lock`; and
    :class:`LockHeldError` from ``announce``, ``finish`` and at the block's end if the lock was lost."""
    holding = _Holding(bucket, name, owner, lease_seconds)
    left = holding.take(timeout_seconds, waiting)
    with holding.renewed():
        yield HeldLock(
            left.left_by if left.work else None,
            list(left.work),
            announce=lambda new: holding.change(work=sorted({*left.work, *new}), left_by=owner),
            finish=lambda: holding.change(work=[], left_by=None),
        )


class _Holding:
    """One holding of a lock."""

    def __init__(self, bucket: Bucket, name: str, owner: str, lease_seconds: float) -> None:
        self._bucket, self._name = bucket, name
        self._where = f"gs://{bucket.name}/{name}"
        self._mine = _Note(owner=owner, holder=secrets.token_hex(8), lease_seconds=lease_seconds)
        self._generation = objects.NOBODY
        self._changing = Lock()
        self._ended = Event()

    def take(self, timeout_seconds: float, waiting: Callable[[str], None] | None) -> _Note:
        """Waits for the lock; returns what its last holder left."""
        deadline = time.monotonic() + timeout_seconds
        watched, since = objects.NOBODY, time.monotonic()
        announced = False
        while True:
            note, generation = self._read()
            now = time.monotonic()
            if generation != watched:
                watched, since = generation, now
            is_dead = now - since >= note.lease_seconds
            if (note.holder is None or is_dead) and self._took(note, generation):
                return note
            if not announced and waiting is not None:
                waiting(note.owner)
                announced = True
            if now >= deadline:
                raise lock_is_held(self._name.rsplit("/", 1)[-1], note.owner, self._where)
            self._ended.wait(self._mine.lease_seconds / _LOOKS_PER_LEASE)

    def change(self, *, work: list[str], left_by: str | None) -> None:
        """Writes down what is announced. Raises :class:`LockHeldError` if the lock was lost."""
        self._write(work=work, left_by=left_by)

    @contextmanager
    def renewed(self) -> Iterator[None]:
        """Shows signs of life during the block, and frees the lock after it."""
        thread = Thread(target=self._beat, name=f"lock {self._name}", daemon=True)
        thread.start()
        try:
            yield
        except BaseException:
            self._stop_beating(thread)
            # The block's own error is what matters, and the lease ends by itself.
            with suppress(LockHeldError, StorageError, DamagedFileError):
                self._write(holder=None)
            raise
        self._stop_beating(thread)
        with suppress(StorageError):
            self._write(holder=None)

    def _stop_beating(self, thread: Thread) -> None:
        self._ended.set()
        thread.join()

    def _beat(self) -> None:
        interval = self._mine.lease_seconds / _BEATS_PER_LEASE
        while not self._ended.wait(interval):
            try:
                self._write(beats=self._mine.beats + 1)
            except LockHeldError:
                return  # whoever works under the lock is told when it next touches it
            except ProvenderError:
                continue  # the connection may come back before anybody takes the lock

    def _took(self, note: _Note, generation: int) -> bool:
        self._generation = generation
        mine = replace(self._mine, work=note.work, left_by=note.left_by)
        with translated(self._where):
            if not self._put(mine):
                return False
        self._mine = mine
        return True

    def _write(self, **changes: object) -> None:
        with self._changing, translated(self._where):
            note = replace(self._mine, **changes)  # type: ignore[arg-type]
            while not self._put(note):
                # An earlier write of this holding may have arrived although its answer did not.
                there, generation = self._read()
                if there.holder != self._mine.holder:
                    raise self._lost()
                self._generation = generation
            self._mine = note

    def _put(self, note: _Note) -> bool:
        data = json.dumps(asdict(note)).encode()
        try:
            self._generation = objects.put(
                self._bucket, self._name, data, self._generation, retry=_RETRY, timeout=_PATIENCE_SECONDS
            )
        except PreconditionFailed:
            return False
        return True

    def _lost(self) -> LockHeldError:
        return LockHeldError(
            f"{self._mine.owner} lost its lease: another process holds the lock {self._name.rsplit('/', 1)[-1]}",
            where=self._where,
            not_affected="everything committed before",
            remedy="run the same command again",
            lock=self._name.rsplit("/", 1)[-1],
            holder=self._mine.owner,
        )

    def _read(self) -> tuple[_Note, int]:
        with translated(self._where):
            data, generation = objects.read(self._bucket, self._name)
        if generation == objects.NOBODY:
            return _Note(), generation
        return _parsed(data, self._name.rsplit("/", 1)[-1], self._where), generation


def _parsed(data: bytes, name: str, where: str) -> _Note:
    """Raises :class:`DamagedFileError` for what is no note. A field that a newer version has added is passed over."""
    document = note_document(data, name, where)
    if not isinstance(document.get("lease_seconds"), int | float):
        document["lease_seconds"] = LEASE_SECONDS
    known = {each.name for each in fields(_Note)}
    return _Note(**{name: value for name, value in document.items() if name in known})

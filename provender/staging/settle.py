"""A file that is still being written is no delivery: its size and time have to stand still first.

Only files of a file system need it: an object on ``gs://`` appears whole, under a generation of its own.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from provender.errors import SourceNotReadyError
from provender.ledger.records import RawStamp
from provender.settings import Settings
from provender.specs.source import Source
from provender.staging.raw_file import RawFile

_PATIENCE_SECONDS = 60.0
"""How long one attempt waits for a file to stand still; after that it is tried again later."""

Look = Callable[[], list[RawFile]]


@dataclass(frozen=True)
class Clock:
    """Seconds since 1970, and how to let some pass."""

    now: Callable[[], float] = time.time
    pause: Callable[[float], None] = time.sleep


def quiet_seconds(settings: Settings, source: Source) -> float:
    """How long size and time have to stand still: the source's ``raw.settle``, else ``staging.settle_seconds``."""
    settle = source.raw.settle
    return settings.staging.settle_seconds if settle is None else settle / timedelta(seconds=1)


def settled(look: Look, seconds: float, clock: Clock | None = None) -> list[RawFile]:
    """What ``look`` finds, once nothing of it was written for ``seconds``.

    Costs nothing where every file is older than that. Raises :class:`SourceNotReadyError` for files that still grow
    after a minute.
    """
    clock = clock or Clock()
    started, files = clock.now(), look()
    while (wait := _unsettled_seconds(files, seconds, clock.now())) > 0:
        before = stamps(files)
        clock.pause(wait)
        files = look()
        # Compared, since a file's time may be that of another machine's clock.
        if stamps(files) == before:
            break
        if clock.now() - started > max(_PATIENCE_SECONDS, seconds):
            raise _still_written(files)
    return files


def is_settled(files: Iterable[RawFile], seconds: float, now: float) -> bool:
    """Whether none of ``files`` was written within the last ``seconds`` before ``now`` (seconds since 1970).

    A time that lies further ahead is another machine's clock: then only watching tells, which staging does.
    """
    try:
        ages = [now - modified for file in files if (modified := _modified(file)) is not None]
    except SourceNotReadyError:
        return False  # replaced while it was looked at
    return all(abs(age) >= seconds for age in ages)


def stamp(file: RawFile) -> RawStamp:
    """What tells one version of a raw file from the next without reading it: ``bytes``, and ``modified`` or
    ``generation`` (of an object). Raises :class:`SourceNotReadyError` if the file has gone."""
    if file.where.startswith("gs://"):
        return RawStamp(bytes=file.bytes, generation=file.where.rpartition("#")[2])
    try:
        found = os.stat(file.where)
    except FileNotFoundError as error:
        raise changed(file) from error
    modified = datetime.fromtimestamp(found.st_mtime_ns // 1000 / 1e6, UTC)
    return RawStamp(bytes=found.st_size, modified=modified)


def stamps(files: Iterable[RawFile]) -> dict[str, RawStamp]:
    """Each file's :func:`stamp`, by where it is."""
    return {file.where: stamp(file) for file in files}


def require_unchanged(files: Iterable[RawFile], before: dict[str, RawStamp]) -> None:
    """Check that ``files`` have the stamps they had ``before``. Raises :class:`SourceNotReadyError`."""
    for file in files:
        if file.where in before and stamp(file) != before[file.where]:
            raise changed(file)


def changed(file: RawFile) -> SourceNotReadyError:
    """The error of a raw file that did not keep still while it was read."""
    return SourceNotReadyError(
        "the raw file changed while it was being staged",
        where=file.where,
        not_affected="everything staged before",
        remedy="wait until its delivery has ended, then run the same command again",
    )


def _unsettled_seconds(files: list[RawFile], seconds: float, now: float) -> float:
    """How long to wait until the youngest file is old enough."""
    ages = [now - modified for file in files if (modified := _modified(file)) is not None]
    youngest = min(ages, default=seconds)
    return min(seconds, seconds - youngest)


def _modified(file: RawFile) -> float | None:
    if file.where.startswith("gs://"):
        return None
    try:
        return os.stat(file.where).st_mtime
    except FileNotFoundError as error:
        raise changed(file) from error


def _still_written(files: list[RawFile]) -> SourceNotReadyError:
    youngest = max(files, key=lambda file: _modified(file) or 0.0)
    return SourceNotReadyError(
        f"{youngest.name} is still being written: {youngest.bytes} bytes so far",
        where=youngest.where,
        not_affected="everything staged before",
        remedy="wait until its delivery has ended, then run the same command again; a file that is appended to all the "
        "time is read as it is with raw.settle: 0s in the spec",
    )

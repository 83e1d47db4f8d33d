"""Why a job failed, as a document in the storage, beside what the job would have committed there.

    failures/<attempt>.json                     of a job with a manifest, under the storage root
    models/<model>/failures/<run name>.json     of a training run, beside its ``runs/<run name>.json``

    format   1
    job      the name in the path
    step     of a training run; else empty
    error    as :meth:`provender.errors.ProvenderError.to_dict`
    log      the traceback

The process that fails writes it and who started the process reads it, wherever both run. A process that is killed, or
that cannot reach its storage, leaves none: then its exit code decides whether a retry may help, and its log is shown.
"""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from provender.errors import ProvenderError, TransientError, error_from_dict
from provender.logs import logging_to_stderr
from provender.settings import Settings, load_settings
from provender.storage import Storage, read_document, storage_at

FORMAT = 1
_LOG_ENTRIES = 40

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Failure:
    """What a failed job left."""

    job: str
    """The attempt's id, or the training run's name."""
    error: ProvenderError
    step: str = ""
    log: str = ""


def write_failure(folder_uri: str, failure: Failure) -> None:
    """Write the document of ``failure`` below ``folder_uri``. Raises :class:`StorageError`, :class:`SettingsError`."""
    document = {
        "format": FORMAT,
        "job": failure.job,
        "step": failure.step,
        "error": failure.error.to_dict(),
        "log": failure.log,
    }
    with storage_at(folder_uri).writing(_path(failure.job)) as file:
        file.write(json.dumps(document, indent=1).encode() + b"\n")


def read_failure(folder_uri: str, job: str) -> Failure | None:
    """Read why ``job`` failed; None if it left no document. Raises :class:`StorageError`, :class:`DamagedFileError`."""
    storage = storage_at(folder_uri)
    # The second is where training steps of older versions write it.
    for path in (_path(job), f"runs/{job}.failed.json"):
        if (found := _read(storage, path, job)) is not None:
            return found
    return None


def error_of(folder_uri: str, job: str) -> ProvenderError | None:
    """Return the error that ``job`` left; None where there is none, or where it cannot be read."""
    try:
        failure = read_failure(folder_uri, job)
    except ProvenderError as error:  # that the job failed is known, and counts more than why
        logger.warning(f"why {job} failed cannot be read: {error.what}")
        return None
    return failure.error if failure else None


def forget_failure(folder_uri: str, job: str) -> None:
    """Remove the document: a new try of the same name begins."""
    storage = storage_at(folder_uri)
    storage.delete_tree(_path(job))
    storage.delete_tree(f"runs/{job}.failed.json")


def leave_failure(folder_uri: str, failure: Failure) -> None:
    """Write the document, as the last thing a process does: one that cannot be written is only logged."""
    try:
        write_failure(folder_uri, failure)
    except (ProvenderError, OSError) as unwritable:
        logger.error(f"why {failure.job} failed could not be written to {folder_uri}: {unwritable}")


def run_job(repo: Path | str | None, attempt: str | None, work: Callable[[Settings], None]) -> int:
    """Run ``work`` as the job ``attempt`` with the settings of ``repo``; return the exit code.

    Log lines go to standard error. An error leaves a failure document, unless the settings or the storage cannot be
    reached, or there is no ``attempt``. What is not an error of ours is raised again; a retry may help.
    """
    with logging_to_stderr():
        try:
            settings = load_settings(repo)
        except ProvenderError as error:
            return report(error)
        try:
            work(settings)
        except Exception as error:
            known = error if isinstance(error, ProvenderError) else _unexpected(error)
            if attempt is not None:
                leave_failure(settings.storage_root, Failure(attempt, known, log=traceback_of(error)))
            if known is not error:
                raise
            return report(known)
    return 0


def report(error: ProvenderError) -> int:
    """Log the message for a person; return the exit code."""
    logger.error(str(error))
    return error.exit_code


def traceback_of(error: BaseException) -> str:
    """Return the end of the traceback, as text."""
    return "".join(traceback.format_exception(error)[-_LOG_ENTRIES:])


def _unexpected(error: Exception) -> ProvenderError:
    return TransientError(
        f"the job failed: {type(error).__name__}: {error}",
        where="the traceback at the end of its log",
        not_affected="all committed data",
        remedy="the next try starts it again; if it fails there too, report it with the traceback",
    )


def _path(job: str) -> str:
    return f"failures/{job}.json"


def _read(storage: Storage, path: str, job: str) -> Failure | None:
    def made(document: dict[str, object]) -> Failure:
        error = error_from_dict(dict(document["error"]))  # type: ignore[call-overload]
        return Failure(job, error, str(document.get("step", "")), str(document.get("log", "")))

    remedy = f"remove {storage.uri(path)}, then start the job again"
    try:
        return read_document(storage, path, made, what="why a job failed", remedy=remedy)
    except FileNotFoundError:
        return None

"""Small JSON files of the platform's own. Each is written whole: one that cannot be read was damaged from outside."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

from provender.errors import DamagedFileError
from provender.storage.base import Storage

T = TypeVar("T")


def read_document(storage: Storage, path: str, made: Callable[[Any], T], *, what: str, remedy: str) -> T:
    """What ``made`` makes of the JSON value in ``path``.

    Raises :class:`FileNotFoundError`, and :class:`DamagedFileError` with ``remedy`` if the file is empty or cut, or
    ``made`` finds no such fields in it (``ValueError``, ``LookupError``, ``TypeError``, ``AttributeError``).
    """
    data = storage.read(path)
    try:
        return made(json.loads(data))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise DamagedFileError(
            f"{what} cannot be read: {type(error).__name__}: {error}",
            where=storage.uri(path),
            not_affected="everything else; nothing was started",
            remedy=remedy,
        ) from error

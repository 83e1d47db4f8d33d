"""Folders of the storage root where entity rows and answers of one retrieval lie while somebody needs them."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta

from provender.storage import Storage

FOLDER = "retrievals"
KEPT = timedelta(days=7)
"""Files that were handed out stay so long; what a killed process has left, too."""
_STAMP = "%Y%m%dT%H%M%SZ"


def new_retrieval() -> str:
    """The path of a folder that nobody has, with the time in its name."""
    return f"{FOLDER}/{datetime.now(UTC):{_STAMP}}-{secrets.token_hex(8)}"


def remove_old_retrievals(storage: Storage, now: datetime) -> list[str]:
    """Removes the folders made more than :data:`KEPT` before ``now``; answers their names. Others' files stay."""
    removed = []
    for name in storage.names(FOLDER):
        made = _made(name)
        if made is not None and now - made > KEPT:
            storage.delete_tree(f"{FOLDER}/{name}")
            removed.append(name)
    return removed


def _made(name: str) -> datetime | None:
    try:
        return datetime.strptime(name.split("-")[0], _STAMP).replace(tzinfo=UTC)
    except ValueError:
        return None

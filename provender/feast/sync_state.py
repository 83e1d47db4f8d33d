"""Up to where Feast's registry has what is online of a source: ``feast/<source>.json``.

Only to spare importing Feast where it has everything; what is recorded in it follows from the manifests. Imports no
Feast itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from pydantic import Field, ValidationError

from provender.ledger.records import Moment, Record
from provender.ledger.state import SourceState
from provender.storage import Storage


class SyncState(Record):
    """The file. ``views``: per feature view, what was recorded up to here and is online is in Feast's registry."""

    format: Literal[1] = 1
    views: dict[str, Moment] = Field(default_factory=dict)


def is_behind(storage: Storage, state: SourceState) -> bool:
    """Whether a partition of the source is online in a view, and Feast's registry may not say so."""
    known = _read(storage, state.source).views
    for view in state.totals.views:
        up_to = state.view_up_to(view)
        if up_to is not None and any(state.ingested_between(known.get(view), up_to)):
            return True
    return False


def note_recorded(storage: Storage, source: str, reached: Mapping[str, datetime | None]) -> None:
    """Notes up to where Feast's registry has each view."""
    views = {view: moment for view, moment in reached.items() if moment is not None}
    with storage.writing(_path(source)) as file:
        file.write(SyncState(format=1, views=views).model_dump_json(indent=1).encode())


def _read(storage: Storage, source: str) -> SyncState:
    """Nothing where it cannot be read: then Feast is asked, and the file is written anew. That goes for the older
    ``ledger/<source>/told.json`` too, which counted manifests and so cannot say which partitions are recorded."""
    try:
        return SyncState.model_validate_json(storage.read(_path(source)))
    except (FileNotFoundError, ValidationError):
        return SyncState()


def _path(source: str) -> str:
    return f"feast/{source}.json"

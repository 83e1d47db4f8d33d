"""The feature views as they were last applied, compiled for jobs that must not import Feast.

``provender apply`` writes ``applied/<project>.json`` under the storage root; a materialisation reads it. What is
applied is what is materialised.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from provender.errors import SettingsError
from provender.ledger.manifest import digest
from provender.online.layout import ViewLayout
from provender.specs.model import ColumnType
from provender.storage import Storage, read_document


@dataclass(frozen=True)
class AppliedView:
    """One feature view over one of our feature tables."""

    view: str
    source: str
    table: str
    join_keys: dict[str, str]
    """Join key to :class:`ColumnType`."""
    features: dict[str, str]
    """Feature to :class:`ColumnType`, as Feast knows it."""
    columns: dict[str, str]
    """Join key or feature to the table's column, where the names differ."""
    online: bool = True

    @property
    def layout(self) -> ViewLayout:
        """How the online store holds it."""
        return ViewLayout(
            self.view,
            tuple((name, ColumnType(kind)) for name, kind in self.join_keys.items()),
            tuple((name, ColumnType(kind)) for name, kind in self.features.items()),
        )

    @property
    def layout_hash(self) -> str:
        """Another one means that what is online has to be written again."""
        return digest([self.view, self.join_keys, self.features, self.columns])[:16]

    def column(self, name: str) -> str:
        """The table's column for a join key or feature."""
        return self.columns.get(name, name)


def save_applied_views(storage: Storage, project: str, views: list[AppliedView]) -> None:
    """Replaces what is applied for ``project``."""
    document = {"applied": datetime.now(UTC).isoformat(), "views": [asdict(view) for view in views]}
    with storage.writing(_path(project)) as file:
        file.write(json.dumps(document, indent=1).encode())


def load_applied_views(storage: Storage, project: str) -> list[AppliedView]:
    """The applied views. Raises :class:`SettingsError` if nothing was ever applied, :class:`DamagedFileError`."""
    try:
        path = _path(project)
        remedy = f"remove {storage.uri(path)}, then: provender apply"
        return read_document(storage, path, _views, what="the list of what is applied", remedy=remedy)
    except FileNotFoundError as error:
        raise SettingsError(
            f"no feature definitions of project {project!r} are applied",
            where=storage.uri(_path(project)),
            unharmed="everything",
            remedy="provender apply",
        ) from error


def _views(document: dict[str, Any]) -> list[AppliedView]:
    return [AppliedView(**view) for view in document["views"]]


def _path(project: str) -> str:
    return f"applied/{project}.json"

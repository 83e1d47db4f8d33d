"""The feature views as they were last applied, compiled for jobs that must not import Feast.

``provender apply`` writes ``applied/<project>.json`` under the storage root; a materialization reads it. What is
applied is what is materialized. Definitions that were applied once and are not any more stay in the document, under
``former``: a hash field's name is a checksum, so that what was written under them can be found by their names alone.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from provender.errors import SettingsError
from provender.ledger.manifest import digest
from provender.online.layout import ViewLayout
from provender.specs.source import ColumnType
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
    ttl_seconds: float | None = None
    """Feast's ttl: how old a value may be in a join, 0: no limit. None: applied by a version that did not keep it."""

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
    """Replaces what is applied for ``project``. Definitions that this takes away are kept as former ones."""
    try:
        before = _read(storage, project)
    except SettingsError:
        before = _Applied([], [])  # the first apply
    replaced = [*before.former, *before.views]
    document = {
        "applied": datetime.now(UTC).isoformat(),
        "views": [asdict(view) for view in views],
        "former": [asdict(view) for view in _not_among(views, replaced)],
    }
    with storage.writing(_path(project)) as file:
        file.write(json.dumps(document, indent=1).encode())


def load_applied_views(storage: Storage, project: str) -> list[AppliedView]:
    """The applied views. Raises :class:`SettingsError` if nothing was ever applied, :class:`DamagedFileError`."""
    return _read(storage, project).views


def load_former_views(storage: Storage, project: str) -> list[AppliedView]:
    """Definitions that were applied once, were to be online, and are not applied any more; oldest first, and empty if
    there are none. A view whose features or join keys changed is there with those it had. Raises as
    :func:`load_applied_views`."""
    return _read(storage, project).former


@dataclass(frozen=True)
class _Applied:
    views: list[AppliedView]
    former: list[AppliedView]


def _read(storage: Storage, project: str) -> _Applied:
    path = _path(project)
    remedy = f"remove {storage.uri(path)}, then: provender apply"
    try:
        return read_document(storage, path, _parsed, what="the list of what is applied", remedy=remedy)
    except FileNotFoundError as error:
        raise SettingsError(
            f"no feature definitions of project {project!r} are applied",
            where=storage.uri(_path(project)),
            not_affected="everything",
            remedy="provender apply",
        ) from error


def _parsed(document: dict[str, Any]) -> _Applied:
    return _Applied(
        [AppliedView(**view) for view in document["views"]],
        [AppliedView(**view) for view in document.get("former", [])],
    )


def _not_among(views: list[AppliedView], replaced: list[AppliedView]) -> list[AppliedView]:
    """Of ``replaced`` what could be online and ``views`` does not define, each definition once."""
    defined = {_names(view) for view in views if view.online}
    former = {_names(view): view for view in replaced if view.online}
    return [view for names, view in former.items() if names not in defined]


def _names(view: AppliedView) -> tuple[Any, ...]:
    """What decides where the view's values are online, and which source wrote them."""
    return view.view, view.source, tuple(sorted(view.join_keys)), tuple(sorted(view.features))


def _path(project: str) -> str:
    return f"applied/{project}.json"

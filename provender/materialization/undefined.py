"""What the online store holds of views that are not to be online any more: found, listed and removed."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from provender.errors import SettingsError
from provender.ledger import Ledger
from provender.online.loss import forget, read_held
from provender.online.marker import stored_markers
from provender.online.undefined import remove_view, undefined_features, views_not_defined
from provender.online.views import AppliedView, load_applied_views, load_former_views
from provender.online.writer import OnlineWriter
from provender.settings import Settings
from provender.storage import Storage

logger = logging.getLogger(__name__)

WHOLE_VIEW = "*"
"""In a list of features: all of them, since the view itself is not defined any more."""


@dataclass(frozen=True)
class Definitions:
    """The feature views of a project, as they are applied and as they once were."""

    applied: list[AppliedView]
    former: list[AppliedView]

    @staticmethod
    def load(storage: Storage, project: str) -> Definitions:
        """Raises :class:`SettingsError` if nothing was ever applied."""
        return Definitions(load_applied_views(storage, project), load_former_views(storage, project))

    def online_of(self, source: str) -> list[AppliedView]:
        """The applied views over ``source`` that are to be online."""
        return [view for view in self.applied if view.source == source and view.online]

    @property
    def not_online(self) -> set[str]:
        """Views that could be online once and are not to be any more."""
        return {view.view for view in self.former} - {view.view for view in self.applied if view.online}


def remove_undefined_views(
    settings: Settings,
    definitions: Definitions,
    source: str,
    written: set[str],
    *,
    is_sure: bool = False,
) -> dict[str, int]:
    """Removes from the online store the views over ``source`` that are not to be online any more and still are.

    Whether they are is told by what the store keeps beside the values, which is asked only about views among
    ``written``: those that were ever materialized, or begun to be. ``is_sure`` looks at the values in any case.
    Answers view to how many entities lost values. Raises :class:`OnlineStoreError`.
    """
    former = [view for view in definitions.former if view.source == source]
    gone = definitions.not_online & {view.view for view in former}
    if not gone or not (is_sure or gone & written):
        return {}
    there = gone if is_sure else gone & views_there(settings)
    found = views_not_defined(there, definitions.applied, definitions.former)
    removed = remove_views(settings, found.values(), definitions.applied)
    return {view: count for view, count in removed.items() if count or not is_sure}


def remove_views(
    settings: Settings, views: Iterable[list[AppliedView]], applied: Iterable[AppliedView]
) -> dict[str, int]:
    """Removes views, each given by all definitions it had, with their markers; ``applied``: what is defined now.

    Answers view to how many entities lost values. Raises :class:`OnlineStoreError`.
    """
    writer = OnlineWriter(settings.redis, settings.project)
    defined = [view for view in applied if view.online]
    removed = {}
    for definitions in views:
        name = definitions[0].view
        removed[name] = remove_view(writer, definitions, defined)
        forget(settings.redis, settings.project, [name])
        logger.info(f"- online values of {name}: {removed[name]} entities")
    return removed


def views_there(settings: Settings) -> set[str]:
    """The views of which the online store says that it holds something. Raises :class:`OnlineStoreError`."""
    markers = stored_markers(settings.redis, settings.project)
    return read_held(settings.redis, settings.project).views | markers.keys()


def still_online(settings: Settings, storage: Storage) -> dict[str, dict[str, list[str]]]:
    """Source to view to the features that are online and not defined any more; :data:`WHOLE_VIEW` for a view that is
    not to be online at all. Empty, and the online store is not asked, where nothing was taken out of a definition.

    Raises :class:`OnlineStoreError`, :class:`SettingsError` for an invalid connection string.
    """
    try:
        definitions = Definitions.load(storage, settings.project)
    except SettingsError:
        return {}  # nothing is applied yet, so nothing has to be online
    found: dict[str, dict[str, list[str]]] = {}
    for view in definitions.applied:
        features = undefined_features(view, definitions.former) if view.online else []
        if features and _is_not_rebuilt(storage, view):
            found.setdefault(view.source, {})[view.view] = features
    if definitions.not_online:
        there = definitions.not_online & views_there(settings)
        for name, former in views_not_defined(there, definitions.applied, definitions.former).items():
            found.setdefault(former[-1].source, {})[name] = [WHOLE_VIEW]
    return found


def _is_not_rebuilt(storage: Storage, view: AppliedView) -> bool:
    """Whether the view was online under another definition, and not since under this one."""
    entry = Ledger(storage, view.source).state().totals.views.get(view.view)
    return entry is not None and entry.layout != view.layout_hash

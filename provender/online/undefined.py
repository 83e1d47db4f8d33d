"""Removes what is online and not defined any more: features taken out of a view, views deleted, join keys changed.

A hash field's name is a checksum of ``view:feature``, so a field can only be found by a name that is known: those of
former definitions (:func:`provender.online.views.load_former_views`), and those of the feature table's columns, which
outlive every definition. Fields of views that are applied now are never touched.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from provender.online.layout import ViewLayout, field_name, key_prefix
from provender.online.views import AppliedView
from provender.online.writer import OnlineWriter

_FIELDS_AT_ONCE = 500
"""A script's arguments have a limit; a table of more columns takes several passes."""


def undefined_features(view: AppliedView, former: Iterable[AppliedView]) -> list[str]:
    """Features that former definitions of ``view`` had and it has not, and all of one with other join keys, by name."""
    names = set()
    for other in _of_view(view.view, former):
        names |= (
            set(other.features)
            if _keys(other) != _keys(view)
            else other.features.keys() - view.features.keys()
        )
    return sorted(names)


def remove_undefined_features(
    writer: OnlineWriter,
    view: AppliedView,
    former: Iterable[AppliedView],
    applied: Iterable[AppliedView],
    columns: Iterable[str] = (),
) -> dict[str, int]:
    """Removes from every entity what ``view`` does not define any more.

    ``former``: definitions that were applied once; ``applied``: those that are now; ``columns``: more names that
    features of the view may have had. Answers feature to how many keys lost it, without those that none had.
    Raises :class:`OnlineStoreError`.
    """
    wanted: dict[tuple[str, ...], set[str]] = {_keys(view): set(columns) - view.join_keys.keys()}
    removed: dict[str, int] = {}
    for other in _of_view(view.view, former):
        wanted.setdefault(_keys(other), set()).update(other.features)
    for keys, features in wanted.items():
        is_current = keys == _keys(view)
        names = sorted(features - view.features.keys() if is_current else features)
        for name, count in _remove(
            writer, view.view, keys, names, applied, with_times=not is_current
        ).items():
            removed[name] = removed.get(name, 0) + count
    removed.pop("", None)
    return removed


def remove_view(
    writer: OnlineWriter, definitions: Sequence[AppliedView], applied: Iterable[AppliedView]
) -> int:
    """Removes everything of one view, whose ``definitions`` these were, and answers from how many entities.

    ``applied``: the views that are defined now. Raises :class:`OnlineStoreError`.
    """
    wanted: dict[tuple[str, ...], set[str]] = {}
    for view in definitions:
        wanted.setdefault(_keys(view), set()).update(view.features)
    entities = 0
    for keys, features in wanted.items():
        entities += max(
            _remove(writer, definitions[0].view, keys, sorted(features), applied, with_times=True).values(),
            default=0,
        )
    return entities


def views_not_defined(
    views: Collection[str], applied: Iterable[AppliedView], former: Iterable[AppliedView]
) -> Mapping[str, list[AppliedView]]:
    """Of the ``views`` that something is online of: those that are not to be online any more, with all definitions they
    had. A view that no definition is known of is not ours."""
    defined = {view.view for view in applied if view.online}
    found: dict[str, list[AppliedView]] = {}
    for view in former:
        if view.view in views and view.view not in defined:
            found.setdefault(view.view, []).append(view)
    return found


def _remove(
    writer: OnlineWriter,
    view: str,
    keys: tuple[str, ...],
    features: Sequence[str],
    applied: Iterable[AppliedView],
    *,
    with_times: bool,
) -> dict[str, int]:
    """Name to how many keys lost it; the view's own three fields are under an empty name."""
    kept = {field for other in applied if _keys(other) == keys for field in other.layout.feature_fields}
    fields = [(name, field_name(view, name)) for name in features]
    fields = [(name, field) for name, field in fields if field not in kept]
    if with_times:
        layout = ViewLayout(view, (), ())
        own = (layout.timestamp_field, layout.created_field, layout.generation_field)
        fields += [("", field) for field in own]
    removed: dict[str, int] = {}
    for start in range(0, len(fields), _FIELDS_AT_ONCE):
        some = fields[start : start + _FIELDS_AT_ONCE]
        counts = writer.remove_fields(key_prefix(keys), [field for _, field in some])
        for (name, _), count in zip(some, counts[:-1], strict=True):
            if count:
                removed[name] = max(removed.get(name, 0), count)
    return removed


def _of_view(name: str, views: Iterable[AppliedView]) -> Iterable[AppliedView]:
    return (view for view in views if view.view == name)


def _keys(view: AppliedView) -> tuple[str, ...]:
    return tuple(sorted(view.join_keys))

"""What is asked for: a feature of a key at a time, found among the applied views."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa

from provender.errors import SpecError
from provender.online.layout import ARROW_TYPES
from provender.online.views import AppliedView
from provender.specs.problems import did_you_mean
from provender.specs.source import ColumnType

_NOT_AFFECTED = "everything: nothing was written"


@dataclass(frozen=True)
class Question:
    """Which value is to be explained."""

    view: str
    feature: str
    keys: Mapping[str, str]
    """Join key to value, as text."""
    at: datetime
    """The time t of the entity row."""
    known_then: bool = False
    """Only versions created at or before t exist (Feast's ``filter_by_created_timestamp``)."""
    online: bool = False
    """The online store is asked too."""
    recompute: bool = True
    """The value is computed again from the raw rows."""


@dataclass(frozen=True)
class Feature:
    """A feature of an applied view, and the log's columns that hold it and its keys."""

    view: AppliedView
    name: str
    keys: Mapping[str, Any]
    """Key column of the log to value."""
    join_keys: Mapping[str, Any]

    @property
    def column(self) -> str:
        """The log's column."""
        return self.view.column(self.name)

    @property
    def ttl(self) -> timedelta:
        """How old a value may be in a join. 0: no limit."""
        return timedelta(seconds=self.view.ttl_seconds or 0)


def find_feature(views: list[AppliedView], question: Question) -> Feature:
    """Find what ``question`` is about. Raises :class:`SpecError` for a view, feature or key that there is not."""
    named = {view.view: view for view in views}
    if question.view not in named:
        raise SpecError(
            f"no applied view is called {question.view!r}",
            not_affected=_NOT_AFFECTED,
            remedy=did_you_mean(question.view, list(named)) or "provender apply",
        )
    view = named[question.view]
    if question.feature not in view.features:
        raise SpecError(
            f"view {view.view} has no feature {question.feature!r}",
            not_affected=_NOT_AFFECTED,
            remedy=did_you_mean(question.feature, list(view.features)),
        )
    join_keys = typed_keys(view, question.keys)
    keys = {view.column(name): value for name, value in join_keys.items()}
    return Feature(view, question.feature, keys, join_keys)


def typed_keys(view: AppliedView, texts: Mapping[str, str]) -> dict[str, Any]:
    """Read join keys given as text by the view's types. Raises :class:`SpecError` for one that cannot be read, is
    missing or is none of the view's."""
    if texts.keys() != view.join_keys.keys():
        raise SpecError(
            f"view {view.view} has the join keys {', '.join(view.join_keys) or '(none)'}, "
            f"and {', '.join(texts) or 'none'} was given",
            not_affected=_NOT_AFFECTED,
            remedy=" ".join(f"--key {name}=VALUE" for name in view.join_keys),
        )
    return {name: _typed(view, name, ColumnType(kind), texts[name]) for name, kind in view.join_keys.items()}


def _typed(view: AppliedView, name: str, kind: ColumnType, text: str) -> Any:
    try:
        return pa.scalar(text).cast(ARROW_TYPES[kind]).as_py()
    except pa.ArrowInvalid as error:
        raise SpecError(
            f"join key {name} of view {view.view} is {kind}: {error}",
            not_affected=_NOT_AFFECTED,
            remedy=f"--key {name}=VALUE with a value of that type",
        ) from error

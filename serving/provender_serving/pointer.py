"""The pointer file: what a model's name stands for now.

    <models dir>/<model>.json
    {"artifact": "file:///…/models/flight_delay/versions/0123456789abcdef",
     "policy": {"unknown_entity": "as_null", "missing": "as_null", "stale": "refuse", "defaults": {…}},
     "online": {"connection_string": "127.0.0.1:6390", "project": "provender"},
     "views": {"carrier_day": {"join_keys": {"carrier": "STRING"}, "features": {"flights": "INT64", …}}}}

It is replaced as a whole, and read again at each load. ``views`` may be left out: then the signature says how the
features were stored when the model was trained. ``connection_string`` may be left out where the environment has it
(``PROVENDER_ONLINE_CONNECTION_STRING``), so that a password need not lie in a file.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from provender.model_registry.artifact import Signature
from provender.online.layout import ViewLayout
from provender.specs.source import ColumnType
from provender_serving.problems import LoadError

CONNECTION_VARIABLE = "PROVENDER_ONLINE_CONNECTION_STRING"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


class Policy(BaseModel):
    """What to do without a value: ``as_null``, ``default`` or ``refuse``, as in the model's spec."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    unknown_entity: str = "as_null"
    missing: str = "as_null"
    stale: str = "as_null"
    defaults: dict[str, Any] = {}


class Online(BaseModel):
    """Where the features are."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    connection_string: str = ""
    project: str

    @property
    def address(self) -> str:
        """Feast's connection string. Raises :class:`LoadError` if there is none."""
        found = os.environ.get(CONNECTION_VARIABLE) or self.connection_string
        if not found:
            raise LoadError(f"no connection string of the online store: set {CONNECTION_VARIABLE}")
        return found


class View(BaseModel):
    """A feature view's layout, names to column types."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    join_keys: dict[str, ColumnType]
    features: dict[str, ColumnType]


class Pointer(BaseModel):
    """One model's pointer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    artifact: str
    policy: Policy = Policy()
    online: Online
    views: dict[str, View] | None = None

    def layouts(self, signature: Signature) -> list[ViewLayout]:
        """How the views the model reads are stored.

        Raises :class:`LoadError` if what is stored is not what the model was trained on.
        """
        trained = _trained(signature)
        stored = trained if self.views is None else self.views
        for feature in signature.features:
            view = stored.get(feature.view)
            if view is None or view.features.get(feature.feature) != feature.type:
                raise LoadError(
                    f"{feature.name} ({feature.type}), which the model needs, is not in the online views"
                )
            if view.join_keys != trained[feature.view].join_keys:
                raise LoadError(
                    f"view {feature.view} is stored by {dict(view.join_keys)}, "
                    f"the model was trained on {dict(trained[feature.view].join_keys)}"
                )
        return [
            ViewLayout(name, tuple(stored[name].join_keys.items()), tuple(stored[name].features.items()))
            for name in trained
        ]


@dataclass(frozen=True)
class PointerFolder:
    """Where the pointers are: a folder, or one pointer given as text (on a cluster)."""

    folder: Path | None = None
    given: dict[str, str] = field(default_factory=dict)
    """Model name to the pointer's JSON."""

    def names(self) -> list[str]:
        """Every model that has a pointer."""
        found = [] if self.folder is None else [path.stem for path in self.folder.glob("*.json")]
        return sorted({*self.given, *found})

    def read(self, name: str) -> Pointer:
        """Raises :class:`LoadError` if there is none, or it is not one."""
        try:
            return Pointer.model_validate_json(self._text(name))
        except ValidationError as error:
            problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise LoadError(f"the pointer of {name} is not one: {problems}") from error

    def _text(self, name: str) -> str:
        if name in self.given:
            return self.given[name]
        path = None if self.folder is None or not _NAME.fullmatch(name) else self.folder / f"{name}.json"
        try:
            if path is not None:
                return path.read_text(encoding="utf-8")
        except FileNotFoundError:
            path = None
        raise LoadError(f"there is no pointer for a model called {name!r}; there is {self.names()}")


def _trained(signature: Signature) -> dict[str, View]:
    kinds = {column.name: ColumnType(column.type) for column in signature.entities}
    views: dict[str, View] = {}
    for feature in signature.features:
        view = views.setdefault(
            feature.view, View(join_keys={key: kinds[key] for key in feature.join_keys}, features={})
        )
        view.features[feature.feature] = ColumnType(feature.type)
    return views

"""What becomes of an apply when another process has applied since it began.

Every apply leaves the state of the registry behind, as a hash for each object (``applied/<project>.states.json``). An
object that others changed since this process began is looked at three times: as it was then, as it is now, and in
the repo. As when branches are merged: what only the others changed stays theirs, what only this repo changes is
made, and what both changed in different ways is for a person to decide.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from feast.diff.registry_diff import FeastObjectDiff
from feast.feature_view import DUMMY_ENTITY_NAME
from feast.infra.registry.registry import FeastObjectType

from provender.feast.differences import fingerprint
from provender.storage import Storage, read_document

Named = tuple[str, str]
"""Kind and name of a Feast object."""
State = Mapping[Named, str]
"""All objects of a project, and a hash of each."""
_VIEWS = (
    FeastObjectType.FEATURE_VIEW,
    FeastObjectType.ON_DEMAND_FEATURE_VIEW,
    FeastObjectType.STREAM_FEATURE_VIEW,
)
_REMEMBERED = timedelta(days=1)
"""Longer than any apply takes."""
_CLOCKS_DIFFER = timedelta(minutes=5)
"""Clocks of machines that are kept right differ by less."""
_BEFORE_ALL = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Merged:
    """What an apply has to leave alone."""

    theirs: frozenset[Named]
    """Objects that others changed, and this repo does not."""
    conflicts: tuple[Named, ...]
    """Objects that others changed, and this repo changes in another way."""

    @property
    def their_views(self) -> set[str]:
        """Names of feature views among ``theirs``."""
        kinds = [kind.value for kind in _VIEWS]
        return {name for kind, name in self.theirs if kind in kinds}


@dataclass(frozen=True)
class States:
    """What the last applies left behind, oldest first."""

    known: tuple[tuple[datetime, State], ...]

    def changed_since(self, began: datetime) -> dict[Named, str | None]:
        """Objects that applies after ``began`` added, changed or removed, and what they were then (None: not there).

        An apply that has yet to come, by this clock, was made under a clock that has been set back since: it is not
        taken for one at the same time, or every apply until then would be refused.
        """
        if (
            not self.known
            or self.known[-1][0] <= began
            or self.known[-1][0] > datetime.now(UTC) + _CLOCKS_DIFFER
        ):
            return {}
        then: State = next((state for at, state in reversed(self.known) if at <= began), {})
        last = self.known[-1][1]
        return {key: then.get(key) for key in {*then, *last} if then.get(key) != last.get(key)}

    def and_then(self, before: State, after: State) -> States:
        """With one apply more, which ends now; ``before`` counts where nothing was known."""
        now = datetime.now(UTC)
        known = self.known or ((_BEFORE_ALL, before),)
        older = [entry for entry in known if entry[0] < now - _REMEMBERED][-1:]
        newer = [entry for entry in known if entry[0] >= now - _REMEMBERED]
        return States((*older, *newer, (now, after)))

    def save(self, storage: Storage, project: str) -> None:
        """For :func:`load_states`."""
        document = [[at.isoformat(), [[*key, value] for key, value in s.items()]] for at, s in self.known]
        with storage.writing(_path(project)) as file:
            file.write(json.dumps(document).encode())


def load_states(storage: Storage, project: str) -> States:
    """Empty before the first apply."""
    path = _path(project)
    remedy = f"remove {storage.uri(path)}, then: provender apply"
    try:
        return read_document(storage, path, _states, what="what earlier applies did", remedy=remedy)
    except FileNotFoundError:
        return States(())


def _states(document: list[Any]) -> States:
    return States(
        tuple(
            (datetime.fromisoformat(at), {(kind, name): value for kind, name, value in state})
            for at, state in document
        )
    )


def named(diff: FeastObjectDiff) -> Named:
    """The kind and name of the object that a diff is about."""
    return diff.feast_object_type.value, diff.name


def registered(diffs: Iterable[FeastObjectDiff]) -> State:
    """The registry, as the diffs saw it."""
    return {
        named(d): fingerprint(d.current_feast_object) for d in diffs if d.current_feast_object is not None
    }


def merge(changed: Mapping[Named, str | None], diffs: Iterable[FeastObjectDiff]) -> Merged:
    """``changed`` by others, with what it was; ``diffs``: the registry, as it is now, against the repo."""
    theirs: list[Named] = []
    conflicts: list[Named] = []
    for diff in diffs:
        key, now, ours = named(diff), _hash(diff.current_feast_object), _hash(diff.new_feast_object)
        if diff.name == DUMMY_ENTITY_NAME or key not in changed or now == ours:
            continue
        (theirs if changed[key] == ours else conflicts).append(key)
    return Merged(frozenset(theirs), tuple(conflicts))


def _hash(feast_object: Any) -> str | None:
    return None if feast_object is None else fingerprint(feast_object)


def _path(project: str) -> str:
    return f"applied/{project}.states.json"
